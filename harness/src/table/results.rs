//! The lines of what guests report of themselves.

use super::run::COLUMNS;
use apportion_recording::{DemandRow, RunEntry};
use std::fmt::Write as _;

/// One line per guest that has something to tell, and does not replay what a trace `demand`s, which is told elsewhere; so
/// many guests at the most.
pub(super) fn results(text: &mut String, run: &RunEntry, demand: &[DemandRow], most: usize) {
    let replays = |guest: &str| demand.iter().any(|row| row.guest == guest);
    let entries = run.results.iter().filter(|entry| !replays(&entry.guest));
    let lines = entries.map(|entry| (entry, entry.to_string()));
    for (entry, told) in lines.filter(|(_, told)| !told.is_empty()).take(most) {
        let mut width = 0;
        for (index, words) in told.split_inclusive(", ").enumerate() {
            let words = match index {
                0 => format!("results     {}: {words}", entry.guest),
                _ => words.to_owned(),
            };
            let more = words.trim_end().chars().count();
            if index > 0 && width + more > COLUMNS {
                text.truncate(text.trim_end().len());
                text.push_str("\n            ");
                width = 12;
            }
            width += words.chars().count();
            text.push_str(&words);
        }
        text.push('\n');
    }
    let unmasked = run.results.iter().find(|entry| !entry.unmasked.is_empty());
    if let Some(entry) = unmasked {
        let _ = writeln!(
            text,
            "warning     {} sees features that its processor has not, since KVM cannot mask them here:\n            {}",
            entry.guest,
            entry.unmasked.join(" ")
        );
    }
}
