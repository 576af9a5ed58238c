//! The experiments of a sweep, side by side.

use super::{Chapter, marked};
use crate::markdown::{Table, number, signed, time};
use crate::metrics::ShareLine;
use apportion_recording::{GuestEntry, ServiceEntry};

/// A table per family with more than one experiment.
pub(super) fn render(chapters: &[Chapter]) -> Vec<String> {
    let families = chapters.chunk_by(|a, b| a.experiment.family == b.experiment.family);
    let families = families.filter(|family| family.len() > 1);
    families.map(sweep).collect()
}

/// A row per experiment and entry of guests, whose figures are means over guests and repetitions.
fn sweep(family: &[Chapter]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for setting in family.iter().flat_map(|chapter| &chapter.experiment.point) {
        if !keys.contains(&setting.key.as_str()) {
            keys.push(&setting.key);
        }
    }
    let mut table = Table::new();
    for key in &keys {
        table = table.numbers(*key);
    }
    let mut table = table
        .words("guests")
        .numbers("expected %")
        .numbers("measured %")
        .numbers("largest error pp")
        .numbers("wait/dispatch")
        .numbers("stretch")
        .words("verdict");
    for chapter in family {
        let point = &chapter.experiment.point;
        let value = |key: &&str| {
            let setting = point.iter().find(|setting| setting.key == *key);
            setting.map_or_else(String::new, |setting| setting.value.clone())
        };
        let guests = &chapter.experiment.guests;
        for entry in guests.chunk_by(|a, b| a.group == b.group) {
            table.row(keys.iter().map(value).chain(row(chapter, entry)));
        }
    }
    format!(
        "## Sweep of {}\n\nPer guest: means over the guests of an entry and over repetitions. An empty cell: as the file or `--set` says.\n\n{}",
        family[0].experiment.family,
        table.render()
    )
}

fn row(chapter: &Chapter, entry: &[GuestEntry]) -> [String; 7] {
    let named = |name: &str| entry.iter().any(|guest| guest.name == name);
    let shares = chapter.metrics.guests.iter();
    let shares: Vec<&ShareLine> = shares.filter(|line| named(&line.guest)).collect();
    let mean = |values: Vec<f64>| match values.len() {
        0 => f64::NAN,
        n => values.iter().sum::<f64>() / n as f64,
    };
    let column = |of: fn(&ShareLine) -> f64| mean(shares.iter().map(|line| of(line)).collect());
    let errors = shares.iter().map(|line| line.error_pp);
    let error = errors.max_by(|a, b| a.abs().total_cmp(&b.abs()));
    let served = chapter.runs.iter().flat_map(|run| &run.service);
    let served: Vec<&ServiceEntry> = served.filter(|it| named(&it.guest)).collect();
    let figure = |of: fn(&ServiceEntry) -> Option<f64>| {
        mean(served.iter().filter_map(|entry| of(entry)).collect())
    };
    [
        match entry {
            [one] => one.group.clone(),
            several => format!("{} x {}", several.len(), several[0].group),
        },
        number(column(|line| line.expected_pct), 2),
        number(column(|line| line.measured_pct), 3),
        signed(error.unwrap_or(f64::NAN), 3),
        time(figure(|it| it.wait_per_dispatch_ns)),
        number(figure(|it| it.stretch), 2),
        marked(&verdict(chapter, entry)),
    ]
}

/// The worst over the guests of an entry and all repetitions; that of the experiment where it did not end.
fn verdict(chapter: &Chapter, entry: &[GuestEntry]) -> String {
    let means = chapter.metrics.means.iter();
    let own = means.filter(|mean| entry.iter().any(|guest| guest.name == mean.guest));
    let own: Vec<&str> = own.map(|mean| mean.verdict.as_str()).collect();
    let words = ["fail", "inconclusive", "skipped", "pass"];
    let worst = words.into_iter().find(|word| own.contains(word));
    worst.map_or_else(|| chapter.verdict(), str::to_owned)
}
