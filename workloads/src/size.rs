//! Sizes of memory as people write them.

use std::fmt;

use thiserror::Error;

/// The units, each with its length in bytes, the largest first.
pub(crate) const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// What to write instead; ends every message about a size.
pub(crate) const FORM: &str =
    "write a whole number and a unit (B, KiB, MiB or GiB), such as 64B, 1MiB or 2GiB";

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// In the largest unit of which it is a whole number.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, length): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*length);
        let (name, length) = UNITS.iter().find(whole).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / length)
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{cause}: {FORM}")]
pub struct SizeError {
    cause: String,
}

impl SizeError {
    /// What is wrong, without what to do about it.
    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }
}

/// A size from a whole number and its unit: `64B`, `1MiB`.
///
/// # Errors
/// [`SizeError`], which names the allowed form, where the number or the unit
/// is missing or unknown, the number has decimals, or the size exceeds 2⁶⁴ bytes.
pub fn parse_size(text: &str) -> Result<Bytes, SizeError> {
    let fail = |what: &str| SizeError {
        cause: format!("`{}` {what}", text.escape_debug()),
    };
    let number_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);

    if number.is_empty() {
        return Err(fail("does not begin with a number"));
    }
    if unit.is_empty() {
        return Err(fail("has no unit"));
    }
    if unit.starts_with('.') {
        return Err(fail("is no whole number"));
    }
    let Some(&(_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(fail("has an unknown unit"));
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(length))
        .map(Bytes)
        .ok_or_else(|| fail("is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_reads_and_prints_back() {
        for (text, bytes) in [
            ("0B", 0),
            ("64B", 64),
            ("1025B", 1_025),
            ("4KiB", 4_096),
            ("2MiB", 2 << 20),
            ("1536MiB", 3 << 29),
            ("16GiB", 16 << 30),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(parse_size("1024KiB"), parse_size("1MiB"));
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_to_write() {
        for (text, cause) in [
            ("64", "`64` has no unit"),
            ("1 MiB", "`1 MiB` has an unknown unit"),
            ("1MB", "`1MB` has an unknown unit"),
            ("1mib", "`1mib` has an unknown unit"),
            ("1.5MiB", "`1.5MiB` is no whole number"),
            ("", "`` does not begin with a number"),
            ("MiB", "`MiB` does not begin with a number"),
            ("-1B", "`-1B` does not begin with a number"),
            ("17179869184GiB", "`17179869184GiB` is too large"),
            (
                "99999999999999999999B",
                "`99999999999999999999B` is too large",
            ),
        ] {
            let error = parse_size(text).unwrap_err();
            assert_eq!(error.cause(), cause);
            assert_eq!(error.to_string(), format!("{cause}: {FORM}"));
        }
    }
}
