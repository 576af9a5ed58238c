//! What `report.md` says in ordinary and in odd cases.

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod judged;

use apportion_recording::{
    ActionEntry, ChangeEntry, Check, ClaimRow, ConvergenceEntry, CrashEntry, EventKind, Manifest,
    PhaseEntry, ServiceEntry, SettingEntry, ShareRow, Status, Verdict, WakeEntry, WakeStatistics,
    Writer, files,
};
use apportion_reports::{ReportError, report, write_report};
use common::{Folder, S, dispatches, event, events, manifest, run, share, shares, summary};
use std::fs;
use std::path::Path;

fn record(dir: &Path, manifest: &Manifest, shares: &[ShareRow]) {
    record_claims(dir, manifest, shares, &[]);
}

fn record_claims(dir: &Path, manifest: &Manifest, shares: &[ShareRow], claims: &[ClaimRow]) {
    let mut writer = Writer::create(dir, manifest).unwrap();
    for row in dispatches() {
        writer.dispatch(&row).unwrap();
    }
    for row in events() {
        writer.event(&row).unwrap();
    }
    for row in shares {
        writer.share(row).unwrap();
    }
    let rows = [
        summary("adhoc", 19.9, Some((19.8, 20.0))),
        summary("prod", 80.1, Some((80.0, 80.2))),
    ];
    if !claims.is_empty() {
        writer.claims(claims).unwrap();
    }
    writer.finish(manifest, &rows).unwrap();
}

fn text_of(manifest: &Manifest, shares: &[ShareRow]) -> String {
    let dir = Folder::new();
    record(dir.path(), manifest, shares);
    report(dir.path()).unwrap()
}

#[track_caller]
fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in:\n{text}");
}

#[test]
fn a_sweep_and_what_it_claims_stand_side_by_side() {
    let mut manifest = manifest();
    let other = "pair[slice=2ms]";
    let mut point = common::experiment(other);
    point.family = "pair".into();
    point.point = vec![SettingEntry {
        key: "slice".into(),
        value: "2ms".into(),
    }];
    manifest.experiments.push(point);
    let mut ran = run("pair", 1);
    ran.service = vec![ServiceEntry {
        guest: "prod".into(),
        wait_per_dispatch_ns: Some(1.5e6),
        stretch: Some(2.5),
        ..ServiceEntry::default()
    }];
    manifest.runs = vec![ran, run(other, 1)];
    manifest.verdict = Some(Verdict::Fail);
    let claim = |verdict| ClaimRow {
        experiment: other.into(),
        claim: 1,
        guest: "prod".into(),
        measure: "share".into(),
        unit: "%".into(),
        at_least: Some(90.0),
        repetitions: 1,
        value: Some(80.1),
        verdict,
        ..ClaimRow::default()
    };
    let claims = [Verdict::Fail, Verdict::Pass].map(claim);
    let dir = Folder::new();
    record_claims(dir.path(), &manifest, &shares(), &claims);
    let text = report(dir.path()).unwrap();
    has(&text, "**✗ FAIL: 1 of 2 claims broken; worst error");
    has(
        &text,
        "* claim: pair[slice=2ms]: share of prod is 80.10 %, at least 90.00 %",
    );
    has(&text, "## Claims\n");
    has(
        &text,
        "| pair[slice=2ms]: share of prod is 80.10 %, at least 90.00 % | ✗ FAIL  |",
    );
    has(&text, "## Sweep of pair\n");
    has(
        &text,
        "|       | prod   |      80.00 |     80.100 |           +0.100 |        1.5 ms |    2.50 | ✓ pass",
    );
    has(&text, "|   2ms | prod   |");
}

#[test]
fn an_ordinary_recording() {
    let text = text_of(&manifest(), &shares());
    has(&text, "**✓ Pass: every guest got its share; worst error");
    has(&text, "> Two guests, one favoured.");
    has(&text, "`apportion run 'my file.toml'`");
    has(&text, "2026-01-31 12:00:00 UTC");
    has(
        &text,
        "| prod  |    200 |   2 |     80.000 |     80.100 |   +0.100 |",
    );
    has(&text, "Windows of 100 ms:");
    has(&text, "Windows of 1 s:");
    has(&text, "50 µs");
    assert!(!text.contains("SIMULATED"));
    assert!(!text.contains("NaN"));
    if let Some(path) = std::env::var_os("REPORT_SAMPLE") {
        fs::write(path, text).unwrap();
    }
}

#[test]
fn simulated_numbers_are_stamped() {
    let text = text_of(
        &Manifest {
            engine: "simulator".into(),
            ..manifest()
        },
        &shares(),
    );
    has(&text, "**These numbers are SIMULATED");
    has(&text, "**✓ Pass, simulated: ");
    // The host that it ran on does not matter.
    for of_host in ["Model 9", "kernel 6.1", "| host CPU"] {
        assert!(!text.contains(of_host), "{text}");
    }
}

#[test]
fn the_rules_that_expected_values_hold_under_are_told() {
    let mut manifest = manifest();
    let experiment = &mut manifest.experiments[0];
    experiment.lps = 4;
    let text = text_of(&manifest, &shares());
    has(
        &text,
        "Policy fair · reserve model additive · weights per VP · 4 LPs in 1 node · slices of 10 ms",
    );
    has(&text, "Payloads: prod: burn; adhoc: burn.");
    has(
        &text,
        "Expected of prod: 88.89 % by weight, but its 2 VP(s) can use 50.00 %, one LP each.",
    );

    let experiment = &mut manifest.experiments[0];
    experiment.weight_scope = "guest".into();
    experiment.guests[1].affinity = Some(vec![1, 3]);
    experiment.guests[1].payload = "periodic".into();
    experiment.guests[1].parameters = [("period_ns", 20_000_000), ("run_ns", 1_000_000)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let text = text_of(&manifest, &shares());
    has(&text, "weights per guest");
    has(&text, "adhoc: periodic (period 20 ms, run 1 ms).");
    has(&text, "| adhoc |     50 | 1, 3   |   1 |");
    assert!(!text.contains("by weight, but"));
}

#[test]
fn repetitions_have_a_column_and_a_mean() {
    let mut manifest = manifest();
    manifest.experiments[0].repetitions = 2;
    manifest.runs.push(run("pair", 2));
    manifest.runs[1].crashed.push(CrashEntry {
        guest: "adhoc".into(),
        vp: 0,
        report: "halted at 0x1000".into(),
    });
    let mut rows = shares();
    rows.extend(shares().into_iter().map(|row| ShareRow {
        repetition: 2,
        bound_pp: 0.6,
        ..row
    }));
    let text = text_of(&manifest, &rows);
    has(&text, "| rep | guest |");
    has(&text, "| measured in the run itself |  rep 1 |  rep 2 |");
    has(&text, "80.000 … 80.200");
    has(&text, "0.400–0.600");
    has(
        &text,
        "**Guest crashed in repetition 2:** adhoc, VP 0: halted at 0x1000",
    );
}

#[test]
fn failures_and_limits_are_named() {
    let mut manifest = manifest();
    manifest.verdict = Some(Verdict::Fail);
    manifest.runs[0].verdict = Verdict::Fail;
    manifest.experiments[0].guests[1].cap_pct = 12.5;
    let mut rows = vec![share("prod", None, 0, 0.1), share("adhoc", None, 0, -0.9)];
    rows[1].verdict = Verdict::Fail;
    rows.push(ShareRow {
        check: Check::Cap,
        ..share("adhoc", None, 0, -0.2)
    });
    let text = text_of(&manifest, &rows);
    has(
        &text,
        "**✗ FAIL: 1 of 3 checks outside tolerance; worst error -0.900 pp (adhoc).**",
    );
    has(
        &text,
        "* adhoc: 19.100 instead of 20.000 %, -0.900 pp (tolerance 0.5 pp, bound 0.400 pp)",
    );
    has(&text, "| cap % |");
    has(&text, "Caps and reserves, as percentages of wall time:");
    has(&text, "| ✗ FAIL  |");
}

/// After 1 s of 20 the weight of `adhoc` becomes 200, and it gets two VPs more.
#[test]
fn several_experiments_have_an_overview() {
    let mut manifest = manifest();
    manifest.experiments.push(common::experiment("later"));
    let text = text_of(&manifest, &shares());
    has(&text, "| experiment |");
    has(&text, "## later: – not run");
    has(&text, "Not run: nothing was measured.");
}
