//! What guests report of themselves: how much they did, how late they woke, how long it took.

use super::Chapter;
use crate::markdown::one_line;

/// A table of those that have something to tell; empty where none has.
pub(super) fn render(chapter: &Chapter) -> String {
    let mut table = chapter.table().words("guest").words("reports");
    let mut rows = 0;
    for run in &chapter.runs {
        for entry in &run.results {
            let told = entry.to_string();
            if told.is_empty() {
                continue;
            }
            rows += 1;
            let cells = [entry.guest.clone(), one_line(&told)];
            table.row(chapter.row(run.repetition.into()).into_iter().chain(cells));
        }
    }
    match rows {
        0 => String::new(),
        _ => format!(
            "\n### What the guests report\n\nRates, and bursts with their times, are of the measured time; all else is \
             counted since the guests\nstarted, some of it by the host. What guests count was not checked.\n\n{}",
            table.render()
        ),
    }
}
