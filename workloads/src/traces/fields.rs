//! Fields of a line: split, and read as numbers with messages of what was expected.

use apportion_scheduler::Nanos;

/// What is wrong with a line, before it is known which one it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) column: String,
    pub(super) problem: String,
}

impl Bad {
    /// A column, and what is wrong with it.
    pub(super) fn new(column: &str, problem: impl Into<String>) -> Bad {
        Bad {
            column: column.to_owned(),
            problem: problem.into(),
        }
    }

    /// A column with this content, where something else was expected.
    pub(super) fn field(column: &str, field: &[u8], expected: &str) -> Bad {
        let what = match field {
            [] => "nothing is here".to_owned(),
            _ => format!("`{}` is here", shown(field)),
        };
        Bad::new(column, format!("{what}, and {expected} was expected"))
    }

    /// A line with so many columns, where these were expected.
    pub(super) fn columns(found: usize, names: &[&str]) -> Bad {
        let plural = if found == 1 { "" } else { "s" };
        let (expected, names) = (names.len(), names.join(", "));
        let problem =
            format!("it has {found} column{plural}, and {expected} were expected: {names}");
        Bad::new("line", problem)
    }
}

/// A field as it can be shown: escaped, and not endless.
pub(super) fn shown(field: &[u8]) -> String {
    const MOST: usize = 40;
    let shown = field[..field.len().min(MOST)].escape_ascii();
    let rest = if field.len() > MOST { "…" } else { "" };
    format!("{shown}{rest}")
}

/// The name of a VM, which has to be text: two that are not could look the same.
pub(super) fn name<'a>(column: &str, field: &'a [u8]) -> Result<&'a [u8], Bad> {
    match str::from_utf8(field) {
        Ok(_) => Ok(field),
        Err(_) => Err(Bad::new(column, "the name of the VM is no UTF-8")),
    }
}

/// The fields of a line that has exactly the columns of these names.
pub(super) fn split<'a, const N: usize>(
    line: &'a [u8],
    names: &[&str; N],
) -> Result<[&'a [u8]; N], Bad> {
    let mut fields: [&[u8]; N] = [&[]; N];
    let mut start = 0;
    let mut count = 0;
    for end in memchr::memchr_iter(b',', line).chain([line.len()]) {
        if count < N {
            fields[count] = &line[start..end];
        }
        start = end + 1;
        count += 1;
    }
    match count == N {
        true => Ok(fields),
        false => Err(Bad::columns(count, names)),
    }
}

/// A finite number.
pub(super) fn number(field: &[u8]) -> Option<f64> {
    simple(field).or_else(|| {
        let number: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
        number.is_finite().then_some(number)
    })
}

/// Digits with at most one point between them, as nearly all numbers are: exact where
/// they make a whole number below 2⁵³ and a power of ten that a float holds, too.
fn simple(field: &[u8]) -> Option<f64> {
    const TENS: [f64; 16] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ];
    if field.is_empty() || field.len() > 16 {
        return None;
    }
    let mut digits = 0u64;
    let mut decimals = None;
    for (at, byte) in field.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if decimals.is_none() && at > 0 => decimals = Some(field.len() - at - 1),
            _ => return None,
        }
    }
    match decimals {
        _ if digits >= 1 << 53 => None,
        None => Some(digits as f64),
        Some(0) => None,
        Some(decimals) => Some(digits as f64 / TENS[decimals]),
    }
}

/// A number from 0 to `most`.
///
/// What exceeds it by no more than a hundredth of it is rounding of whoever recorded it, and counts as `most`.
pub(super) fn up_to(column: &str, field: &[u8], most: f64, expected: &str) -> Result<f64, Bad> {
    match number(field) {
        Some(number) if (0.0..=most * 1.01).contains(&number) => Ok(number.min(most)),
        _ => Err(Bad::field(column, field, expected)),
    }
}

/// A whole number.
pub(super) fn whole(field: &[u8]) -> Option<u64> {
    let digits = |it: &&[u8]| !it.is_empty() && it.len() <= 19 && it.iter().all(u8::is_ascii_digit);
    let digits = Some(field).filter(digits)?;
    let add = |sum: u64, byte: &u8| sum * 10 + u64::from(byte - b'0');
    Some(digits.iter().fold(0, add))
}

/// Seconds with up to nine decimals, as a time that is exact.
pub(super) fn seconds(field: &[u8]) -> Option<Nanos> {
    let (seconds, decimals) = match memchr::memchr(b'.', field) {
        Some(point) => (&field[..point], &field[point + 1..]),
        None => (field, &b"0"[..]),
    };
    if decimals.len() > 9 {
        return None;
    }
    let nanos = whole(decimals)? * 10_u64.pow(9 - decimals.len() as u32);
    let seconds = whole(seconds)?.checked_mul(1_000_000_000)?;
    seconds
        .checked_add(nanos)
        .filter(|it| *it <= LATEST.0)
        .map(Nanos)
}

/// The latest time that a trace may name: 146 years, so that no sum of two of them is too large.
pub(super) const LATEST: Nanos = Nanos(u64::MAX / 4);

/// Seconds in a column of this name.
pub(super) fn time(column: &str, field: &[u8]) -> Result<Nanos, Bad> {
    seconds(field).ok_or_else(|| Bad::field(column, field, "a time in seconds, 0 or more,"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_finite_or_none() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("12.5", Some(12.5)),
            ("100", Some(100.0)),
            ("2.052803", Some(2.052_803)),
            ("1.2e-05", Some(0.000_012)),
            ("-1", Some(-1.0)),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("12abc", None),
            (" 1", None),
            ("NaN", None),
            ("inf", None),
            ("1e999", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_little_more_than_allowed_is_rounding_and_more_is_wrong() {
        let percent = |text: &str| up_to("x", text.as_bytes(), 100.0, "a percentage").ok();
        assert_eq!(percent("100"), Some(100.0));
        assert_eq!(percent("100.9"), Some(100.0));
        for wrong in ["101.1", "-0.1", "NaN", "x"] {
            assert_eq!(percent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn columns_are_counted() {
        assert_eq!(split(b"a,", &["x", "y"]), Ok([&b"a"[..], b""]));
        let error = split(b"a,b", &["x", "y", "z"]).unwrap_err();
        assert_eq!(
            error.problem,
            "it has 2 columns, and 3 were expected: x, y, z"
        );
        let error = split(b"a", &["x", "y"]).unwrap_err();
        assert_eq!(error.problem, "it has 1 column, and 2 were expected: x, y");
        assert!(split(b"a,b,c", &["x", "y"]).is_err());
    }

    #[test]
    fn times_are_exact() {
        for (text, ns) in [
            ("0", Some(0)),
            ("300", Some(300_000_000_000)),
            ("79371.874569", Some(79_371_874_569_000)),
            ("0.000000001", Some(1)),
            ("1.", None),
            (".5", None),
            ("-1", None),
            ("1e3", None),
            ("0.0000000001", None),
            ("9999999999", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), ns.map(Nanos), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_way_reads_what_the_library_reads(text in "[0-9]{0,9}[.]?[0-9]{0,9}") {
            if let Some(number) = simple(text.as_bytes()) {
                prop_assert_eq!(Ok(number), text.parse::<f64>());
            }
        }
    }
}
