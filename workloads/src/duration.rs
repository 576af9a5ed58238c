//! Durations as people write them, in experiments and on the command line.

use apportion_scheduler::Nanos;
use thiserror::Error;

/// The units, each with its length in nanoseconds.
pub(crate) const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// What to write instead; ends every message about a duration.
pub(crate) const FORM: &str =
    "write a number and a unit (ns, us, ms, s, min or h), such as 10s, 500ms or 1.5min";

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{cause}: {FORM}")]
pub struct DurationError {
    cause: String,
}

impl DurationError {
    /// What is wrong, without what to do about it.
    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }
}

/// A duration from a number, decimals allowed, and its unit: `10s`, `1.5min`.
///
/// What is finer than a nanosecond is rounded to the nearest one.
///
/// # Errors
/// [`DurationError`], which names the allowed form, where the number or the
/// unit is missing or unknown, or the time exceeds 2⁶⁴ ns (584 years).
pub fn parse_duration(text: &str) -> Result<Nanos, DurationError> {
    let fail = |what: &str| DurationError {
        cause: format!("`{}` {what}", text.escape_debug()),
    };
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);

    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || decimals.contains('.') || number.ends_with('.') {
        return Err(fail("does not begin with a number"));
    }
    if unit.is_empty() {
        return Err(fail("has no unit"));
    }
    let Some(&(_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(fail("has an unknown unit"));
    };

    let whole: u64 = whole.parse().map_err(|_| fail("is too long"))?;
    // Below one unit and so at most an hour: a float holds it to the nanosecond.
    let fraction: f64 = format!("0.{decimals}").parse().unwrap_or(0.0);
    whole
        .checked_mul(length)
        .and_then(|ns| ns.checked_add((fraction * length as f64).round() as u64))
        .map(Nanos)
        .ok_or_else(|| fail("is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_decimals_are_exact() {
        for (text, ns) in [
            ("7ns", 7),
            ("250us", 250_000),
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("2min", 120_000_000_000),
            ("24h", 86_400_000_000_000),
            ("0s", 0),
            ("0.1s", 100_000_000),
            ("1.5min", 90_000_000_000),
            ("0.0000001h", 360_000),
            ("1.123456789s", 1_123_456_789),
            ("0.999999999999s", 1_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Nanos(ns)), "{text}");
        }
    }

    #[test]
    fn what_nanos_prints_reads_back() {
        for ns in [
            Nanos(1),
            Nanos(1_500),
            Nanos(2_500_000),
            Nanos(10_000_000_000),
        ] {
            assert_eq!(parse_duration(&ns.to_string()), Ok(ns));
        }
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_to_write() {
        for (text, cause) in [
            ("10", "`10` has no unit"),
            ("10 s", "`10 s` has an unknown unit"),
            ("10sec", "`10sec` has an unknown unit"),
            ("", "`` does not begin with a number"),
            ("s", "`s` does not begin with a number"),
            ("-5s", "`-5s` does not begin with a number"),
            (".5s", "`.5s` does not begin with a number"),
            ("5.s", "`5.s` does not begin with a number"),
            ("1.2.3s", "`1.2.3s` does not begin with a number"),
            (
                "99999999999999999999s",
                "`99999999999999999999s` is too long",
            ),
            ("6000000h", "`6000000h` is too long"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert_eq!(error.cause(), cause);
            assert_eq!(error.to_string(), format!("{cause}: {FORM}"));
        }
    }
}
