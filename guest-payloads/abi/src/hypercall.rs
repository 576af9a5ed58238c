//! The hypercalls: one table of codes, names and arguments.
//!
//! A VP writes its arguments into its own [`crate::shared::CallBlock`], then
//! the code as 32 bits to port [`PORT`], which is an intercept. When it goes on
//! the block holds the status and the output.
//!
//! Where Hyper-V has a hypercall for it, the code is that call's (TLFS, appendix
//! "Hypercall code reference"); where it has a synthetic MSR for it, the MSR's
//! number (ring 3 cannot read MSRs); what is only ours begins with 0xA990.

/// The I/O port of hypercalls.
pub const PORT: u16 = 0x510;

/// The most bytes that a line for the log may have; what lies beyond is cut.
pub const LOG_LINE: u64 = 120;

macro_rules! calls {
    ($($(#[$about:meta])* $code:literal $name:literal $variant:ident)*) => {
        /// What a guest can ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Call {
            $($(#[$about])* $variant = $code,)*
        }

        impl Call {
            /// All of them.
            pub const ALL: [Call; [$(Call::$variant),*].len()] = [$(Call::$variant),*];

            /// Its name: Hyper-V's where it has one.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Call::$variant => $name,)*
                }
            }

            /// The call with this code.
            pub const fn from_code(code: u32) -> Option<Call> {
                match code {
                    $($code => Some(Call::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

calls! {
    /// The VP has been spinning on a lock for long. Input 0: how many spins so
    /// far. The dispatch ends, and its lag is lent to a sibling that waits.
    0x0000_0008 "HvCallNotifyLongSpinWait" NotifyLongSpinWait
    /// Output: the VP's index in its guest.
    0x4000_0002 "HV_X64_MSR_VP_INDEX" VpIndex
    /// Output: CPU time that the VP has received, in 100 ns.
    0x4000_0010 "HV_X64_MSR_VP_RUNTIME" VpRuntime
    /// Output: the reference time, in 100 ns since the guest was created.
    0x4000_0020 "HV_X64_MSR_TIME_REF_COUNT" ReferenceTime
    /// Input 0: a reference time. The VP sleeps until then, or until an
    /// interrupt comes; where it has passed, it only gives up its LP.
    /// [`FOREVER`] sleeps until something wakes it.
    0x4000_00f0 "HV_X64_MSR_GUEST_IDLE" GuestIdle
    /// Input 0 and 1: address and length of a line of text for the log, at
    /// most [`LOG_LINE`] bytes. Beyond a rate it is dropped and counted.
    0xa990_0001 "Log" Log
    /// The VP has nothing to do any more, ever.
    0xa990_0002 "Done" Done
}

/// The argument of [`Call::GuestIdle`] that no time reaches.
pub const FOREVER: u64 = u64::MAX;

/// Whether a guest with this threshold of spins notifies the hypervisor at
/// all: 0 and 0xFFFF_FFFF are never (TLFS, "Long Spin Wait").
pub const fn notifies(threshold: u64) -> bool {
    !matches!(threshold, 0 | 0xffff_ffff)
}

/// What a hypercall gave, with Hyper-V's numbers (TLFS, appendix "Hypercall status codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Status {
    /// HV_STATUS_SUCCESS.
    Success = 0,
    /// HV_STATUS_INVALID_HYPERCALL_CODE: there is no such call.
    InvalidCode = 2,
    /// HV_STATUS_INVALID_HYPERCALL_INPUT: it was not made with 32 bits.
    InvalidInput = 3,
    /// HV_STATUS_INVALID_PARAMETER: an argument is out of range or names no memory of the guest.
    InvalidParameter = 5,
    /// HV_STATUS_INSUFFICIENT_BUFFERS: too much at once; nothing was done.
    TooMany = 0x33,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_calls_are_one_to_one() {
        for call in Call::ALL {
            assert_eq!(Call::from_code(call as u32), Some(call));
        }
        assert_eq!(Call::from_code(0), None);
        assert_eq!(Call::from_code(u32::MAX), None);
        assert_eq!(Call::NotifyLongSpinWait as u32, 8);
    }
}
