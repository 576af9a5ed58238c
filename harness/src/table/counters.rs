//! The tables of performance counters: LPs, VPs and the root's VPs of every run.

use apportion_recording::{LpCounters, Manifest, RootCounters, RunEntry, Snapshot, VpCounters};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use std::fmt::Write as _;

/// All runs of a recording.
pub(crate) fn counters(manifest: &Manifest) -> String {
    let simulated = match manifest.engine.as_str() {
        "kvm" => String::new(),
        engine => format!(" (engine {engine}: virtual time, nothing was measured)"),
    };
    let run = |run: &RunEntry| {
        let (title, tables) = match &run.counters {
            Some(counted) => {
                let seconds = counted.wall_ns as f64 / 1e9;
                (format!("counters over {seconds:.3} s"), tables(counted))
            }
            None => ("no counters".to_owned(), Vec::new()),
        };
        // Writing to a String cannot fail.
        let mut text = String::new();
        let _ = write!(
            text,
            "{} {}: {title}{simulated}",
            run.experiment, run.repetition
        );
        for table in tables {
            let _ = write!(text, "\n\n{table}");
        }
        text
    };
    let runs: Vec<String> = manifest.runs.iter().map(run).collect();
    runs.join("\n\n")
}

/// Those of one run; none where there is nobody in it.
fn tables(counted: &Snapshot) -> Vec<String> {
    let Snapshot {
        wall_ns,
        lps,
        vps,
        roots,
        ..
    } = counted;
    let of_lp = |lp: &LpCounters| lp_row(lp, *wall_ns);
    let of_vp = |vp: &VpCounters| vp_row(vp, *wall_ns);
    let calls = |vp: &VpCounters| calls_row(vp, *wall_ns);
    let of_root = |root: &RootCounters| root_row(root, *wall_ns);
    let tables = [
        table(&LP, 1, lps.iter().map(of_lp)),
        table(&VP, 2, vps.iter().map(of_vp)),
        table(&CALLS, 2, vps.iter().map(calls)),
        table(&ROOT, 1, roots.iter().map(of_root)),
    ];
    tables.into_iter().flatten().collect()
}

/// A table whose columns behind the first `names` hold numbers; none without rows.
fn table<const N: usize>(
    header: &[&str; N],
    names: usize,
    rows: impl Iterator<Item = [String; N]>,
) -> Option<String> {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (table.row_count() > 0).then(|| table.to_string())
}

const LP: [&str; 9] = [
    "LP",
    "guest %",
    "hypervisor %",
    "root %",
    "others %",
    "steal %",
    "idle %",
    "sum %",
    "switches/s",
];

fn lp_row(lp: &LpCounters, wall_ns: u64) -> [String; 9] {
    let rates = lp.rates(wall_ns);
    [
        lp.lp.to_string(),
        pct(rates.guest_pct),
        pct(rates.hypervisor_pct),
        pct(rates.root_pct),
        pct(rates.others_pct),
        pct(rates.steal_pct),
        pct(rates.idle_pct),
        pct(rates.sum_pct()),
        rate(rates.context_switches_per_second),
    ]
}

const VP: [&str; 8] = [
    "guest",
    "VP",
    "guest %",
    "hypervisor %",
    "total %",
    "us waited/dispatch",
    "dispatches/s",
    "migrations/s",
];

fn vp_row(vp: &VpCounters, wall_ns: u64) -> [String; 8] {
    let rates = vp.rates(wall_ns);
    [
        vp.guest.clone(),
        vp.vp.to_string(),
        pct(rates.guest_pct),
        pct(rates.hypervisor_pct),
        pct(rates.total_pct()),
        format!("{:.3}", rates.wait_ns_per_dispatch / 1e3),
        rate(rates.dispatches_per_second),
        rate(rates.migrations_per_second),
    ]
}

const CALLS: [&str; 7] = [
    "guest",
    "VP",
    "intercepts/s",
    "hypercalls/s",
    "long spins/s",
    "interrupts posted",
    "delivered",
];

fn calls_row(vp: &VpCounters, wall_ns: u64) -> [String; 7] {
    let rates = vp.rates(wall_ns);
    [
        vp.guest.clone(),
        vp.vp.to_string(),
        rate(rates.intercepts_per_second),
        rate(rates.hypercalls_per_second),
        rate(rates.long_spin_waits_per_second),
        vp.interrupts_posted.to_string(),
        vp.interrupts_delivered.to_string(),
    ]
}

const ROOT: [&str; 2] = ["root VP", "total %"];

fn root_row(root: &RootCounters, wall_ns: u64) -> [String; 2] {
    [root.place(), pct(root.rates(wall_ns).run_pct)]
}

fn pct(value: f64) -> String {
    format!("{value:.2}")
}

fn rate(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_recording::Intercepts;

    #[test]
    fn every_number_is_in_its_column() {
        let counted = Snapshot {
            wall_ns: 2_000_000_000,
            lps: vec![LpCounters {
                lp: 1,
                guest_ns: 1_000_000_000,
                hypervisor_ns: 20_000_000,
                root_ns: 40_000_000,
                others_ns: 60_000_000,
                steal_ns: 80_000_000,
                idle_ns: 799_800_000,
                context_switches: 401,
            }],
            vps: vec![VpCounters {
                guest: "prod".to_owned(),
                vp: 3,
                guest_ns: 500_000_000,
                hypervisor_ns: 10_000_000,
                ready_ns: 1_000_001,
                dispatches: 100,
                migrations: 7,
                hypercalls: 30,
                long_spin_waits: 4,
                interrupts_posted: 12,
                interrupts_delivered: 11,
                interrupts_pending: 1,
                intercepts: Intercepts {
                    hypercall: 30,
                    port: 8,
                    ..Intercepts::default()
                },
            }],
            roots: vec![
                RootCounters {
                    lp: Some(0),
                    run_ns: 30_000_000,
                },
                RootCounters {
                    lp: None,
                    run_ns: 5_000_000,
                },
            ],
            ..Snapshot::default()
        };
        assert_eq!(
            tables(&counted),
            [
                "\
| LP | guest % | hypervisor % | root % | others % | steal % | idle % | sum % | switches/s |
|----|---------|--------------|--------|----------|---------|--------|-------|------------|
| 1  |   50.00 |         1.00 |   2.00 |     3.00 |    4.00 |  39.99 | 99.99 |      200.5 |",
                "\
| guest | VP | guest % | hypervisor % | total % | us waited/dispatch | dispatches/s | migrations/s |
|-------|----|---------|--------------|---------|--------------------|--------------|--------------|
| prod  | 3  |   25.00 |         0.50 |   25.50 |             10.000 |         50.0 |          3.5 |",
                "\
| guest | VP | intercepts/s | hypercalls/s | long spins/s | interrupts posted | delivered |
|-------|----|--------------|--------------|--------------|-------------------|-----------|
| prod  | 3  |         19.0 |         15.0 |          2.0 |                12 |        11 |",
                "\
| root VP   | total % |
|-----------|---------|
| 0         |    1.50 |
| elsewhere |    0.25 |",
            ]
        );
        for line in tables(&counted).iter().flat_map(|it| it.lines()) {
            assert!(line.len() <= 100, "{line}");
        }
    }

    #[test]
    fn who_is_not_there_has_no_table() {
        assert!(tables(&Snapshot::default()).is_empty());
    }
}
