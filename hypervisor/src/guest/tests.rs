//! Guest memory without KVM: what is refused, and what the host makes of what a guest wrote.

use super::image::ImageError;
use super::memory::{BuildError, GuestMemory};
use super::shared::Noted;
use apportion_abi::clock::Line;
use apportion_abi::hypercall::Status;
use apportion_abi::shared::{DemandRing, Results, Value};
use apportion_abi::{ABI_VERSION, ImageHeader, Payload, StartPage, layout};
use apportion_guest_payloads::IMAGE;
use std::mem::offset_of;

fn start(vps: u32) -> StartPage {
    StartPage::new(Payload::Burn, vps, layout::LEAST_MEMORY)
}

fn guest() -> GuestMemory {
    GuestMemory::new(IMAGE, &start(2)).unwrap()
}

fn pretend_record(guest: &GuestMemory, vp: u32, number: u64, noted: Noted) {
    let base = layout::results(vp);
    let slot = number % Results::RECORDS as u64;
    let record = base + offset_of!(Results, records) as u64 + 24 * slot;
    for (word, at) in [noted.due, noted.start, noted.done]
        .iter()
        .zip((record..).step_by(8))
    {
        guest.poke(at, &word.to_le_bytes());
    }
    let written = base + offset_of!(Results, written) as u64;
    guest.poke(written, &number.wrapping_add(1).to_le_bytes());
}

fn pretend_taken(guest: &GuestMemory, vp: u32, taken: u64) {
    let at = layout::demand_ring(vp) + offset_of!(DemandRing, taken) as u64;
    guest.poke(at, &taken.to_le_bytes());
}

/// The image with one byte of its header changed, counted from where the header begins.
fn patched(field: usize, byte: u8) -> Vec<u8> {
    let mut image = IMAGE.to_vec();
    let magic = ImageHeader::MAGIC.to_le_bytes();
    let header = image.windows(8).position(|bytes| bytes == magic);
    image[header.expect("the image has a header") + field] = byte;
    image
}

#[test]
fn an_image_of_another_version_is_refused_with_both_versions() {
    let refused = GuestMemory::new(&patched(8, 99), &start(1)).unwrap_err();
    assert!(matches!(
        refused,
        BuildError::Image(ImageError::Version {
            image: 99,
            host: ABI_VERSION
        })
    ));
    let text = refused.to_string();
    assert!(text.contains("version 99"), "{text}");
    assert!(text.contains(&format!("version {ABI_VERSION}")), "{text}");
}

#[test]
fn what_is_no_image_of_ours_is_refused() {
    for (image, told) in [
        (patched(0, b'x'), "no header"),
        (b"no ELF at all".to_vec(), "cannot load"),
        (Vec::new(), "cannot load"),
    ] {
        let text = GuestMemory::new(&image, &start(1)).unwrap_err().to_string();
        assert!(text.contains(told), "{text}");
    }
    // The handler's address lies behind magic and version: its third byte is 0x20.
    let text = GuestMemory::new(&patched(18, 0x70), &start(1)).unwrap_err();
    assert!(text.to_string().contains("interrupt handler"), "{text}");
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for vps in [0, 65, u32::MAX] {
        let refused = GuestMemory::new(IMAGE, &start(vps));
        assert!(matches!(refused, Err(BuildError::Vps(v)) if v == vps));
    }
    for memory in [
        0,
        layout::LEAST_MEMORY - 1,
        layout::LEAST_MEMORY + 4096,
        u64::MAX,
    ] {
        let start = StartPage { memory, ..start(1) };
        let text = GuestMemory::new(IMAGE, &start).unwrap_err().to_string();
        assert!(text.contains("4 MiB to 16 GiB"), "{text}");
    }
}

#[test]
fn records_come_once_oldest_first_and_the_overwritten_are_counted() {
    let guest = guest();
    // The slot of the next one may be written to at any time.
    let room = Results::RECORDS as u64 - 1;
    let mut seen = 0;
    assert_eq!(guest.records(1, &mut seen), (Vec::new(), 0));
    let noted = |due| Noted {
        due,
        start: due + 1,
        done: due + 2,
    };
    for number in 0..3 {
        pretend_record(&guest, 1, number, noted(10 * number));
    }
    assert_eq!(
        guest.records(1, &mut seen),
        (vec![noted(0), noted(10), noted(20)], 0)
    );
    for number in 3..room + 5 {
        pretend_record(&guest, 1, number, noted(number));
    }
    let (records, lost) = guest.records(1, &mut seen);
    assert_eq!((records.len() as u64, lost), (room, 2));
    assert_eq!((records[0], seen), (noted(5), room + 5));
    // A number from nowhere costs the guest its own records.
    pretend_record(&guest, 1, u64::MAX - 1, noted(1));
    let (records, lost) = guest.records(1, &mut seen);
    assert_eq!(records.len() as u64, room);
    assert!(lost > 0);
    // The other VP's are untouched.
    assert_eq!(guest.records(0, &mut 0), (Vec::new(), 0));
}

#[test]
fn a_demand_ring_takes_as_much_as_it_holds() {
    let guest = guest();
    let room = DemandRing::PIECES as u64;
    assert_eq!(guest.demand_room(0, 0), room);
    for number in 0..room {
        guest.put_demand(0, number, number, 1);
    }
    assert_eq!(guest.demand_room(0, room), 0);
    pretend_taken(&guest, 0, 7);
    assert_eq!((guest.demand_room(0, room), guest.demand_taken(0)), (7, 7));
    // More taken than was ever put in: no room, rather than too much.
    pretend_taken(&guest, 0, room + 1);
    assert_eq!(guest.demand_room(0, room), 0);
}

#[test]
fn text_is_shown_escaped_and_only_from_memory() {
    let guest = guest();
    guest.poke(layout::HEAP, b"a\x1b[2Jb\xff\n\"");
    let text = guest.text(layout::HEAP, 9).unwrap();
    assert_eq!(text, "a\\u{1b}[2Jb\u{fffd}\\n\\\"");
    assert_eq!(
        guest.text(layout::LEAST_MEMORY - 1, 1).as_deref(),
        Some("\\0")
    );
    for (address, length) in [
        (layout::LEAST_MEMORY, 1),
        (layout::LEAST_MEMORY - 1, 2),
        (u64::MAX, 1),
        (u64::MAX - 3, u64::MAX),
    ] {
        assert_eq!(guest.text(address, length), None, "{address:#x} {length}");
    }
    // What is too long is cut.
    assert_eq!(
        guest
            .text(layout::HEAP, u64::MAX)
            .map(|text| text.starts_with('a')),
        Some(true)
    );
}

#[test]
fn answers_and_values_lie_where_the_guest_looks_for_them() {
    let guest = guest();
    guest.answer(1, Status::InvalidCode, 77);
    let line = layout::vp_line(1);
    // After two lines of 64 bytes: two inputs, the status, the output.
    assert_eq!(guest.peek(line + 128 + 16), Status::InvalidCode as u64);
    assert_eq!(guest.peek(line + 128 + 24), 77);
    assert_eq!(guest.call_input(1), [0, 0]);
    let values = guest.values(0);
    assert_eq!(values.len(), Value::ALL.len());
    assert!(values.iter().all(|(_, value)| *value == 0));
}

#[test]
fn a_reference_page_is_valid_or_says_that_it_is_not() {
    let guest = guest();
    let line = Line {
        scale: 5,
        offset: -6,
    };
    guest.show_time(9, Some(line));
    let page = layout::REFERENCE_PAGE;
    assert_eq!(guest.peek(page), 9);
    assert_eq!(guest.peek(page + 8), 5);
    assert_eq!(guest.peek(page + 16) as i64, -6);
    guest.show_time(10, None);
    assert_eq!(guest.peek(page), 0);
}
