//! `apportion trace summarise`: what a trace comes to.

use super::arguments::SummariseArguments;
use super::failed;
use super::progress::Bar;
use super::told::{self, Pace, grouped};
use crate::exit::{Code, Failure};
use crate::table;
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{self, Spread, Summary};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

pub(super) fn summarise(arguments: &SummariseArguments) -> Result<Code, Failure> {
    let (source, selection) = (arguments.trace.source(), arguments.trace.selection()?);
    let pace = Pace::begin();
    let bar = Bar::reading()?;
    let summary = traces::summarise(&source, &selection, &mut |it| bar.see(it));
    drop(bar);
    let summary = summary.map_err(failed)?;
    table::print(&picture(&summary))?;
    told::left_out(&summary.scanned);
    pace.tell("read", summary.scanned.rows, "row");
    Ok(Code::Pass)
}

/// The summary as text.
fn picture(summary: &Summary) -> String {
    let rows = told::rows(&summary.scanned);
    let mut vms = grouped(summary.vms);
    if summary.more_vms {
        vms.push_str(", and more, of which only the demand of all tells");
    }
    let size = |(vps, vms): (&u32, &u64)| format!("{} x {vps}", grouped(*vms));
    let sizes: Vec<String> = summary.vps.iter().map(size).collect();
    let mut text = format!(
        "rows  {rows}\nVMs   {vms}\nVPs   {}\ntime  {} from {} on, in steps of {}\nCPU   {} in all\n\n",
        sizes.join(", "),
        long(summary.to - summary.from),
        long(summary.from),
        long(summary.step),
        cpu_time(summary.cpu_seconds),
    );
    let mut lps = Table::new();
    lps.load_style(ASCII_MARKDOWN);
    lps.set_header(["demand in LPs", "mean", "p50", "p95", "max"]);
    lps.add_row(row("of all, over time", &summary.demand));
    match &summary.vm_p95s {
        Some(p95s) => {
            lps.add_row(row("mean of a VM while read, over VMs", &summary.vm_means));
            lps.add_row(row("p95 of a VM while read, over VMs", p95s));
        }
        None => {
            lps.add_row(row("mean of a VM, over VMs", &summary.vm_means));
        }
    }
    for column in lps.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    text.push_str(&lps.to_string());
    text
}

fn row(of_what: &str, spread: &Spread) -> [String; 5] {
    let lps = |value: f64| format!("{value:.3}");
    let Spread {
        mean,
        p50,
        p95,
        max,
    } = *spread;
    [of_what.to_owned(), lps(mean), lps(p50), lps(p95), lps(max)]
}

/// CPU time in hours, or in seconds where it is less than one.
fn cpu_time(seconds: f64) -> String {
    match seconds < 3600.0 {
        true => format!("{seconds:.3} s"),
        false => format!("{:.3} h", seconds / 3600.0),
    }
}

/// A time as people say it where it is long: in hours, minutes and seconds.
fn long(time: Nanos) -> String {
    const MINUTE: Nanos = Nanos(60_000_000_000);
    const HOUR: u64 = 3_600_000_000_000;
    if time == Nanos::ZERO {
        return "0s".to_owned();
    }
    if time < MINUTE || !time.0.is_multiple_of(1_000_000_000) {
        return time.to_string();
    }
    let parts = [
        (time.0 / HOUR, "h"),
        (time.0 % HOUR / MINUTE.0, "min"),
        (time.0 % MINUTE.0 / 1_000_000_000, "s"),
    ];
    let said = parts.iter().filter(|(number, _)| *number > 0);
    said.map(|(number, unit)| format!("{number}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_in_the_unit_that_suits_it() {
        assert_eq!(cpu_time(1.5), "1.500 s");
        assert_eq!(cpu_time(5400.0), "1.500 h");
    }

    #[test]
    fn long_times_are_said_in_parts() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1min"),
            (300, "5min"),
            (86_461, "24h 1min 1s"),
        ] {
            assert_eq!(long(Nanos(seconds * 1_000_000_000)), text);
        }
        assert_eq!(long(Nanos(90_500_000_000)), "90.500s");
    }
}
