//! What is said of a trace beside its summary: counts, what was left out, and how fast it went. On stderr.

use crate::table::tell;
use apportion_workloads::traces::Scanned;
use std::time::Instant;

/// A number with its digits in groups of three, and what it counts.
pub(super) fn count(number: u64, of_what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {of_what}{plural}", grouped(number))
}

/// 1234567 is 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What was read, and what became of it: the rows add up.
pub(super) fn rows(scanned: &Scanned) -> String {
    let mut text = format!("{}, format {}", grouped(scanned.rows), scanned.format);
    if scanned.used < scanned.rows {
        let parts = [
            (scanned.used, "used"),
            (scanned.elsewhere(), "of other VMs or times"),
            (scanned.gaps, "without a reading"),
            (scanned.skipped, "bad and left out"),
        ];
        let said = parts.iter().filter(|(number, _)| *number > 0);
        let said: Vec<String> = said
            .map(|(number, what)| format!("{} {what}", grouped(*number)))
            .collect();
        text.push_str(&format!(": {}", said.join(", ")));
    }
    text
}

/// Warns of what was left out, or used twice: nobody should take the rest for the whole.
pub(super) fn left_out(scanned: &Scanned) {
    for (number, of_what) in [
        (scanned.skipped, "bad row"),
        (
            scanned.skipped_of_table,
            "bad line of the file that says what the VMs are",
        ),
    ] {
        if number > 0 {
            tell(&format!("warning: {} left out", count(number, of_what)));
        }
    }
    if scanned.unchecked {
        tell(
            "warning: readings are too scattered for all that come twice to be noticed; sort them by VM and time",
        );
    }
}

/// How fast something goes.
#[derive(Debug)]
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn begin() -> Pace {
        Pace(Instant::now())
    }

    pub(super) fn tell(&self, verb: &str, number: u64, of_what: &str) {
        let seconds = self.0.elapsed().as_secs_f64();
        let rate = grouped((number as f64 / seconds) as u64);
        tell(&format!(
            "{verb} {} in {seconds:.2} s ({rate} {of_what}s/s)",
            count(number, of_what)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(count(1, "VM"), "1 VM");
        assert_eq!(count(2000, "VM"), "2,000 VMs");
    }
}
