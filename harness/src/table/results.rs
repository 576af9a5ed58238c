//! The lines of what guests report of themselves.

use apportion_recording::{ResultEntry, RunEntry};
use std::fmt::Write as _;

/// How a value is told, by its name in the manifest: what stands before and after it.
const TOLD: [(&str, &str, &str); 16] = [
    ("acquisitions_per_s", "", " acquisitions/s"),
    ("longest_wait_ns", "longest wait ", ""),
    ("notifications_per_s", "", " notifications/s"),
    ("elapsed_ns", "done after ", ""),
    ("accesses_per_s", "", " accesses/s"),
    ("yields_per_s", "", " yields/s"),
    ("readings_per_s", "", " readings/s"),
    ("backwards", "", " backwards"),
    ("bursts", "", " bursts"),
    ("lateness_p50_ns", "late by ", " (p50)"),
    ("lateness_p99_ns", "", " (p99)"),
    ("lateness_max_ns", "", " (max)"),
    (
        "features_missing",
        "",
        " features missing: it did not start",
    ),
    ("interrupts_posted", "", " interrupts posted"),
    ("interrupts_handled", "", " handled"),
    ("response_p99_ns", "done within ", " (p99)"),
];

/// One line per guest; so many guests at the most.
pub(super) fn results(text: &mut String, run: &RunEntry, most: usize) {
    for entry in run
        .results
        .iter()
        .filter(|it| !it.values.is_empty())
        .take(most)
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "results     {}: {}", entry.guest, told(entry));
    }
    let unmasked = run.results.iter().find(|entry| !entry.unmasked.is_empty());
    if let Some(entry) = unmasked {
        let features: Vec<&str> = entry.unmasked.iter().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "warning     {} sees features that its processor has not, since KVM cannot mask them here:\n            {}",
            entry.guest,
            features.join(" ")
        );
    }
}

fn told(entry: &ResultEntry) -> String {
    let parts: Vec<String> = TOLD
        .iter()
        .filter_map(|(name, before, after)| {
            let value = *entry.values.get(*name)?;
            let number = match name.ends_with("_ns") {
                true => time(value),
                false => count(value),
            };
            Some(format!("{before}{number}{after}"))
        })
        .collect();
    parts.join(", ")
}

/// In the unit of which there are one to a thousand.
fn time(ns: f64) -> String {
    match ns {
        0.0..1e6 => format!("{:.1} us", ns / 1e3),
        1e6..1e9 => format!("{:.3} ms", ns / 1e6),
        _ => format!("{:.3} s", ns / 1e9),
    }
}

fn count(number: f64) -> String {
    match number {
        0.0..1e5 => format!("{}", number.round()),
        1e5..1e8 => format!("{:.0} k", number / 1e3),
        _ => format!("{:.0} M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_probe_is_told_in_the_order_of_its_tail() {
        let values = [
            ("bursts", 1_000.0),
            ("lateness_max_ns", 2.5e6),
            ("lateness_p50_ns", 61_234.0),
            ("lateness_p99_ns", 990_000.0),
        ];
        let entry = ResultEntry {
            guest: "probe".to_owned(),
            values: BTreeMap::from(values.map(|(name, value)| (name.to_owned(), value))),
            unmasked: Vec::new(),
        };
        assert_eq!(
            told(&entry),
            "1000 bursts, late by 61.2 us (p50), 990.0 us (p99), 2.500 ms (max)"
        );
    }
}
