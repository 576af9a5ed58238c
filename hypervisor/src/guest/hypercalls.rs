//! What a guest asks for, decoded: nothing in it is believed before it was looked at.

use apportion_abi::hypercall::{Call, FOREVER, Status};

/// A hypercall with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// It has been spinning on a lock for long.
    LongSpin,
    /// The VP's index.
    VpIndex,
    /// CPU time received.
    VpRuntime,
    /// The reference time.
    ReferenceTime,
    /// To sleep until a reference time; `None` is until woken.
    Idle(Option<u64>),
    /// A line for the log.
    Log {
        /// Where it is in guest memory.
        address: u64,
        /// In bytes.
        length: u64,
    },
    /// It is done for ever.
    Done,
}

impl Request {
    /// What a write of `data` to the port of hypercalls means, with the VP's `input`.
    ///
    /// # Errors
    /// The status that the guest is answered with.
    pub fn decode(data: &[u8], input: [u64; 2]) -> Result<Request, Status> {
        let code: [u8; 4] = data.try_into().map_err(|_| Status::InvalidInput)?;
        let call = Call::from_code(u32::from_le_bytes(code)).ok_or(Status::InvalidCode)?;
        Ok(match call {
            Call::NotifyLongSpinWait => Request::LongSpin,
            Call::VpIndex => Request::VpIndex,
            Call::VpRuntime => Request::VpRuntime,
            Call::ReferenceTime => Request::ReferenceTime,
            Call::GuestIdle => Request::Idle((input[0] != FOREVER).then_some(input[0])),
            Call::Log => Request::Log {
                address: input[0],
                length: input[1],
            },
            Call::Done => Request::Done,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(call: Call, input: [u64; 2]) -> Result<Request, Status> {
        Request::decode(&(call as u32).to_le_bytes(), input)
    }

    #[test]
    fn known_calls_carry_their_arguments() {
        assert_eq!(made(Call::GuestIdle, [5, 9]), Ok(Request::Idle(Some(5))));
        assert_eq!(made(Call::GuestIdle, [FOREVER, 0]), Ok(Request::Idle(None)));
        let log = Request::Log {
            address: 7,
            length: 8,
        };
        assert_eq!(made(Call::Log, [7, 8]), Ok(log));
        assert_eq!(
            made(Call::NotifyLongSpinWait, [1, 2]),
            Ok(Request::LongSpin)
        );
    }

    #[test]
    fn whatever_is_no_call_gets_a_status() {
        assert_eq!(Request::decode(&[8], [0, 0]), Err(Status::InvalidInput));
        assert_eq!(Request::decode(&[8, 0], [0, 0]), Err(Status::InvalidInput));
        assert_eq!(
            Request::decode(&[9, 0, 0, 0], [0, 0]),
            Err(Status::InvalidCode)
        );
    }
}
