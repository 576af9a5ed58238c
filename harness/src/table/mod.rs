//! Tables for people, on stdout.

mod catalogue;
mod changes;
mod claims;
mod counters;
mod demand;
mod lines;
mod predict;
mod results;
mod run;
mod sweep;

use apportion_recording::Verdict;
use apportion_workloads::lint::Rule;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use std::io::{self, Write as _};

pub(crate) use catalogue::catalogue;
pub(crate) use claims::claims;
pub(crate) use counters::counters;
pub(crate) use predict::prediction;
pub(crate) use run::run;
pub(crate) use sweep::sweeps;

/// Writes `text` to stdout. A reader that has gone away is no error: `apportion list | head` is fine.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to stderr, where somebody reads it.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What `apportion check` looks for.
pub(crate) fn rules(rules: &[Rule]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["RULE", "SEVERITY", "WHAT IT FINDS"]);
    for rule in rules {
        table.add_row([rule.id, &rule.severity.to_string(), rule.about]);
    }
    trim_lines(&table.to_string())
}

fn trim_lines(text: &str) -> String {
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::Skipped => "-",
    }
}
