//! Our own format: what it looks like. `formats/own.rs` reads it.

mod convert;
mod writer;

use std::borrow::Cow;

pub use convert::{Converted, convert};
pub(super) use writer::Writer;
pub use writer::write;

/// The version that is written.
pub(super) const VERSION: u64 = 1;

/// The columns, which the second line names.
pub(super) const COLUMNS: [&str; 9] = [
    "vm",
    "vps",
    "weight",
    "reserve_pct",
    "cap_pct",
    "from_s",
    "interval_s",
    "demand_lps",
    "bursts",
];

/// A number of which the last `decimals` digits are decimals, without zeros at its end.
pub(super) fn push_decimals(text: &mut Vec<u8>, mut number: u64, mut decimals: usize) {
    while decimals > 0 && number.is_multiple_of(10) {
        number /= 10;
        decimals -= 1;
    }
    // From the back: the digits of the largest number, and the point.
    let mut digits = [0; 21];
    let mut at = digits.len();
    let mut written = 0;
    while number > 0 || written <= decimals {
        if written == decimals && decimals > 0 {
            at -= 1;
            digits[at] = b'.';
        }
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        written += 1;
    }
    text.extend_from_slice(&digits[at..]);
}

/// A name without the characters that divide fields and lines.
fn escape(id: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(id.len());
    for &byte in id {
        match byte {
            b'%' | b',' | b'"' | b'#' | ..=0x1f | 0x7f.. => {
                let _ = write!(text, "%{byte:02x}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

/// The name that was escaped; none where a `%` is not followed by two digits.
pub(super) fn unescape(field: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', field).is_none() {
        return Some(Cow::Borrowed(field));
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
            plain.push((digit(0)? * 16 + digit(1)?) as u8);
            rest = &after[2..];
        } else {
            plain.push(byte);
        }
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimals(number: u64, decimals: usize) -> String {
        let mut text = Vec::new();
        push_decimals(&mut text, number, decimals);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_have_a_point_and_no_zeros_behind() {
        for (number, places, text) in [
            (0, 6, "0"),
            (1, 6, "0.000001"),
            (1_000_000, 6, "1"),
            (1_200_000, 6, "1.2"),
            (12_345_678, 6, "12.345678"),
            (10, 0, "10"),
            (300_000_000_000, 9, "300"),
            (u64::MAX, 9, "18446744073.709551615"),
        ] {
            assert_eq!(decimals(number, places), text);
        }
    }

    proptest! {
        #[test]
        fn names_come_back(name in prop::collection::vec(any::<u8>(), 0..20), number in any::<u64>()) {
            let escaped = escape(&name);
            prop_assert!(!escaped.contains([',', '\n', '\r', '"', '#']));
            let plain = unescape(escaped.as_bytes());
            prop_assert_eq!(plain.as_deref(), Some(&name[..]));
            let plain: f64 = decimals(number, 9).parse().unwrap();
            prop_assert!((plain - number as f64 / 1e9).abs() <= 1e-6 * plain);
        }
    }
}
