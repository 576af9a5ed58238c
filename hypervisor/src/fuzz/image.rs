//! Whatever is handed over as a guest image.

use super::Input;
use crate::guest::{BuildError, GuestMemory};
use apportion_abi::hypercall::LOG_LINE;
use apportion_abi::shared::DemandRing;
use apportion_abi::{
    ABI_VERSION, INTERRUPT_VECTOR, ImageHeader, MAX_VPS, Payload, StartPage, layout,
};
use std::mem::offset_of;

/// Sizes of memory, the first ones of which a guest can have.
const SIZES: [u64; 8] = [
    layout::LEAST_MEMORY,
    layout::LEAST_MEMORY + layout::LARGE_PAGE,
    layout::MOST_MEMORY,
    layout::LEAST_MEMORY - layout::LARGE_PAGE,
    layout::LEAST_MEMORY + 1,
    layout::MOST_MEMORY + layout::LARGE_PAGE,
    0,
    u64::MAX,
];
/// How many of them.
const FIT: usize = 3;

/// Loads an image. The input is how many VPs, which size, whether the rest is
/// an image or tells which bytes of the shipped one differ, and the rest.
pub fn image(input: &[u8]) {
    let mut input = Input(input);
    let vps = u32::from(input.byte());
    let size = usize::from(input.byte()) % SIZES.len();
    let image = match input.byte() % 2 {
        0 => input.0.to_vec(),
        _ => shipped_but(&mut input),
    };
    let start = StartPage::new(Payload::Burn, vps, SIZES[size]);
    match GuestMemory::new(&image, &start) {
        Ok(memory) => {
            assert!((1..=MAX_VPS).contains(&vps) && size < FIT);
            assert_loaded(&memory, &start);
        }
        Err(error) => {
            let about_vps = matches!(error, BuildError::Vps(_));
            assert_eq!(about_vps, !(1..=MAX_VPS).contains(&vps), "{error}");
            let about_size = matches!(error, BuildError::Memory { .. });
            assert_eq!(about_size, !about_vps && size >= FIT, "{error}");
            let said = error.to_string();
            assert!(
                !said.is_empty() && !said.contains(char::is_control),
                "{said:?}"
            );
        }
    }
}

/// Each change is the place of a byte, and the bits that differ there.
fn shipped_but(changes: &mut Input<'_>) -> Vec<u8> {
    let mut image = apportion_guest_payloads::IMAGE.to_vec();
    while !changes.is_empty() {
        let at = usize::from(u16::from_le_bytes(changes.array())) % image.len();
        image[at] ^= changes.byte();
    }
    image
}

/// It is an image of ours, VPs stay in it, and it has written to nothing but its place.
fn assert_loaded(memory: &GuestMemory, start: &StartPage) {
    let header = |field: usize| memory.peek(layout::IMAGE + field as u64);
    assert_eq!(header(offset_of!(ImageHeader, magic)), ImageHeader::MAGIC);
    let version = header(offset_of!(ImageHeader, version)) as u32;
    assert_eq!(version, ABI_VERSION);

    let place = layout::IMAGE..layout::HEAP;
    assert!(place.contains(&memory.entry), "{:#x}", memory.entry);
    let gate = layout::IDT + 16 * u64::from(INTERRUPT_VECTOR);
    let (low, high) = (memory.peek(gate), memory.peek(gate + 8));
    let handler = low & 0xffff | low >> 48 << 16 | high << 32;
    assert!(place.contains(&handler), "{handler:#x}");
    assert_eq!(handler, header(offset_of!(ImageHeader, interrupt_handler)));

    // The rest is the host's work, or zero.
    assert_eq!(memory.peek(layout::START_PAGE), StartPage::MAGIC);
    for vp in [0, start.vps - 1] {
        assert_eq!((memory.work(vp), memory.interrupts_handled(vp)), (0, 0));
        assert_eq!(memory.demand_room(vp, 0), DemandRing::PIECES as u64);
        assert!(memory.values(vp).iter().all(|(_, value)| *value == 0));
        assert_eq!(memory.records(vp, &mut 0), (Vec::new(), 0));
    }
    for page in [
        0,
        layout::GDT - 8,
        layout::SHARED,
        layout::STACKS,
        layout::HEAP,
        start.memory - 8,
    ] {
        assert_eq!(memory.peek(page), 0, "{page:#x}");
    }
    let inside = memory.text(start.memory - LOG_LINE, LOG_LINE);
    assert_eq!(inside, Some("\\0".repeat(LOG_LINE as usize)));
    assert_eq!(memory.text(start.memory - LOG_LINE + 1, LOG_LINE), None);
}
