//! What a guest reports of itself, in numbers and in words.

use crate::units::time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a guest reports of itself, over its VPs; nothing of it was checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultEntry {
    /// The guest's name.
    pub guest: String,
    /// By name, which ends in the unit: `_ns`, or `_per_s` of measured time.
    pub values: BTreeMap<String, f64>,
    /// Features that CPUID showed it though its processor has them not.
    pub unmasked: Vec<String>,
}

/// How a value is told, by its name in the manifest: what stands before and after it.
const TOLD: [(&str, &str, &str); 28] = [
    ("due_ns", "", " fell due"),
    ("received_ns", "", " received"),
    ("backlog_ns", "", " left over"),
    ("stretch_p50", "stretch ", " (p50)"),
    ("stretch_p95", "", " (p95)"),
    ("acquisitions_per_s", "", " acquisitions/s"),
    ("longest_wait_ns", "longest wait ", ""),
    ("notifications_per_s", "", " notifications/s"),
    ("elapsed_ns", "done after ", ""),
    ("vps_not_done", "", " VPs not done"),
    ("accesses_per_s", "", " accesses/s"),
    ("yields_per_s", "", " yields/s"),
    ("readings_per_s", "", " readings/s"),
    ("backwards", "", " backwards"),
    ("bursts", "", " bursts"),
    ("missed", "", " missed"),
    ("lateness_p50_ns", "late by ", " (p50)"),
    ("lateness_p99_ns", "", " (p99)"),
    ("lateness_max_ns", "", " (max)"),
    (
        "features_missing",
        "",
        " features missing: it did not start",
    ),
    ("interrupts_posted", "", " interrupts posted in all"),
    ("interrupts_handled", "", " handled"),
    ("calls_ignored", "", " calls too many to have an effect"),
    (
        "records_lost",
        "",
        " records overwritten before they were read",
    ),
    ("work_scale", "charged ", " times its work"),
    (
        "pieces_late",
        "",
        " pieces of work given to it late by the host",
    ),
    ("log_lines_dropped", "", " lines too many for the log"),
    ("response_p99_ns", "done within ", " (p99)"),
];

impl fmt::Display for ResultEntry {
    /// What there is to tell, in a line; nothing where there is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = TOLD
            .iter()
            .filter_map(|(name, before, after)| {
                let value = *self.values.get(*name)?;
                let number = match name {
                    _ if name.ends_with("_ns") => time(value),
                    _ if name.starts_with("stretch") || *name == "work_scale" => {
                        format!("{value:.1}")
                    }
                    _ => count(value),
                };
                Some(format!("{before}{number}{after}"))
            })
            .collect();
        f.write_str(&parts.join(", "))
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

    #[test]
    fn what_is_replayed_is_told_before_its_bursts() {
        let values = [
            ("bursts", 140.0),
            ("received_ns", 1.25e9),
            ("due_ns", 1.5e9),
            ("backlog_ns", 0.25e9),
            ("stretch_p50", 1.06),
            ("stretch_p95", 20.0),
        ];
        assert_eq!(
            told(&values),
            "1.500 s fell due, 1.250 s received, 250.000 ms left over, stretch 1.1 (p50), 20.0 (p95), 140 bursts"
        );
    }

    fn told(values: &[(&str, f64)]) -> String {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value));
        let entry = ResultEntry {
            guest: "guest".to_owned(),
            values: values.collect(),
            unmasked: Vec::new(),
        };
        entry.to_string()
    }

    #[test]
    fn a_probe_is_told_in_the_order_of_its_tail() {
        let values = [
            ("bursts", 1_000.0),
            ("missed", 0.0),
            ("lateness_max_ns", 2.5e6),
            ("lateness_p50_ns", 61_234.0),
            ("lateness_p99_ns", 990_000.0),
        ];
        assert_eq!(
            told(&values),
            "1000 bursts, 0 missed, late by 61.2 us (p50), 990.0 us (p99), 2.500 ms (max)"
        );
    }
}
