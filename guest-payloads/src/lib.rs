//! The guest image, ready to be loaded: one static ELF that holds every payload.
#![forbid(unsafe_code)]

/// The ELF, linked to [`apportion_abi::layout::IMAGE`]; its entry takes the
/// start page's address in RDI and the VP's index in RSI.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.elf"));

#[cfg(test)]
mod tests {
    use super::IMAGE;
    use apportion_abi::layout;

    /// A little-endian field of the ELF header (System V ABI, chapter 4).
    fn field(offset: usize, len: usize) -> u64 {
        IMAGE[offset..offset + len]
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    #[test]
    fn image_is_a_fixed_executable_that_enters_inside_its_place_in_memory() {
        assert_eq!(&IMAGE[..4], b"\x7fELF");
        let (e_type, e_machine, e_entry) = (field(16, 2), field(18, 2), field(24, 8));
        assert_eq!(e_type, 2, "ET_EXEC: loaded where it is linked to");
        assert_eq!(e_machine, 62, "x86-64");
        assert!((layout::IMAGE..layout::HEAP).contains(&e_entry));
    }

    #[test]
    fn image_stays_tiny() {
        assert!(IMAGE.len() < 64 * 1024, "{} bytes", IMAGE.len());
    }
}
