//! What `report.md` says in ordinary and in odd cases.

mod common;

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
fn changed() -> (Manifest, Vec<ShareRow>) {
    let mut manifest = manifest();
    let guest = || "adhoc".to_owned();
    let actions = [
        ActionEntry::Controls {
            guest: guest(),
            weight: 200,
            reserve_pct: 0.0,
            cap_pct: 100.0,
        },
        ActionEntry::AddVp { guest: guest() },
        ActionEntry::AddVp { guest: guest() },
        ActionEntry::LpOff { lp: 1, force: true },
    ];
    manifest.experiments[0].changes = actions
        .map(|action| ChangeEntry { at_ns: S, action })
        .into();
    let run = &mut manifest.runs[0];
    run.phases = [(S, 2 * S), (2 * S, 21 * S)]
        .map(|(from_ns, until_ns)| PhaseEntry {
            from_ns,
            until_ns,
            verdict: Verdict::Pass,
        })
        .into();
    run.convergence = [("prod", Some(30)), ("adhoc", None)]
        .map(|(guest, converged_ms)| ConvergenceEntry {
            change_ns: 2 * S,
            guest: guest.into(),
            converged_ms,
            bound_ns: 40_200_000,
            looked_at_ms: 1000,
        })
        .into();
    // The first phase is as long as a window, whose rows follow.
    let rows = [(S, 1_000, 0.1), (2 * S, 19_000, -0.7), (S, 1_000, 0.3)];
    let rows = rows
        .into_iter()
        .flat_map(|(window_start_ns, length, error)| {
            ["prod", "adhoc"].map(|guest| ShareRow {
                window_start_ns,
                ..share(guest, None, length, error)
            })
        });
    let whole = shares().into_iter().filter(|row| row.window_ms == 0);
    (manifest, whole.chain(rows).collect())
}

#[test]
fn phases_and_changes_are_told_and_judged() {
    let (mut manifest, mut rows) = changed();
    let text = text_of(&manifest, &rows);
    has(&text, "worst error -0.700 pp (adhoc, phase 2)");
    has(&text, "| adhoc | 50→200 | 1→3 |");
    has(
        &text,
        "| 1 (0 s to 1 s)  | prod  |    200 |     80.000 |     80.100 |   +0.100 |",
    );
    assert_eq!(text.matches("| 1 (0 s to 1 s)  | prod").count(), 1);
    has(
        &text,
        "* at 1 s: adhoc: weight 50→200, VPs 1→3; LP 1 is forced off line",
    );
    has(
        &text,
        "|       1 s | prod  |                 30 ms | ±40.2 ms |           1 s |",
    );
    has(
        &text,
        "|       1 s | adhoc |                 never | ±40.2 ms |           1 s |",
    );

    // Every share of the whole run passes, and a phase does not.
    manifest.verdict = Some(Verdict::Fail);
    manifest.runs[0].verdict = Verdict::Fail;
    let length = rows.len();
    rows[length - 3].verdict = Verdict::Fail;
    let text = text_of(&manifest, &rows);
    has(
        &text,
        "**✗ FAIL: 1 of 4 checks outside tolerance; worst error",
    );
    has(
        &text,
        "* phase 2 (1 s to 20 s), adhoc: 19.300 instead of 20.000 %, -0.700 pp (tolerance 0.5 pp, bound 0.400 pp)",
    );
}

#[test]
fn wakes_are_told_also_where_none_was_undisturbed() {
    let statistics = |wakes, within| WakeStatistics {
        wakes,
        within_pct: (wakes > 0).then_some(within),
        p50_ns: wakes * 10_000,
        p99_ns: wakes * 20_000,
        max_ns: wakes * 30_000,
    };
    let entry = |guest: &str, undisturbed, verdict| WakeEntry {
        guest: guest.into(),
        bound_ns: Some(6_025_000),
        all: statistics(300, 97.0),
        undisturbed: statistics(undisturbed, 98.0),
        verdict: Some(verdict),
    };
    let mut manifest = manifest();
    manifest.verdict = Some(Verdict::Fail);
    manifest.runs[0].verdict = Verdict::Fail;
    manifest.runs[0].wakes = vec![
        entry("prod", 100, Verdict::Fail),
        entry("adhoc", 0, Verdict::Inconclusive),
    ];
    let text = text_of(&manifest, &shares());
    has(&text, "**✗ FAIL: wakes of 1 guest too late; worst error");
    has(
        &text,
        "* wakes of prod: 98.00 % of 100 undisturbed ones within 6.03 ms",
    );
    has(
        &text,
        "| prod  |   300 |         100 | the undisturbed | 1 ms | 2 ms | 3 ms | 6.03 ms |       98.00 | ✗ FAIL         |",
    );
    has(
        &text,
        "| adhoc |   300 |           0 | all             | 3 ms | 6 ms | 9 ms | 6.03 ms |       97.00 | ? inconclusive |",
    );
    has(&text, "Where no wake was undisturbed nothing can be told");
}

#[test]
fn a_crash_is_a_crash_and_no_error_of_a_share() {
    let mut manifest = manifest();
    manifest.verdict = Some(Verdict::Fail);
    manifest.runs[0].verdict = Verdict::Fail;
    manifest.runs[0].crashed.push(CrashEntry {
        guest: "adhoc".into(),
        vp: 0,
        report: "halted at 0x1000".into(),
    });
    let mut rows = shares();
    for row in rows.iter_mut().filter(|row| row.guest == "adhoc") {
        row.verdict = Verdict::Fail;
    }
    let text = text_of(&manifest, &rows);
    has(&text, "**✗ FAIL: 1 guest crashed; worst error");
    has(&text, "* crash: adhoc, VP 0");
}

#[test]
fn lag_beyond_its_limit_is_explained() {
    let remark = "The lag went beyond the limit";
    assert!(!text_of(&manifest(), &shares()).contains(remark));
    let mut manifest = manifest();
    manifest.experiments[0].slice_ns = 1_000_000;
    let text = text_of(&manifest, &shares());
    has(&text, "(the limit b is 2.10 slices)");
    has(&text, remark);
    has(&text, "the latest kick was 1.2 ms late");
}

#[test]
fn a_busy_host_is_told_beside_the_verdict() {
    let mut manifest = manifest();
    let remark = "Busy host";
    assert!(!text_of(&manifest, &shares()).contains(remark));
    let calibration = &mut manifest.runs[0].calibration;
    calibration.capacity_pct = 33.2;
    calibration.kick_overshoot_p99_ns = 20_500_000;
    let text = text_of(&manifest, &shares());
    has(&text, "**Busy host:** it disturbed 1 of 1 run so much");
    has(
        &text,
        "**Busy host in repetition 1:** the host took 67 % of the LPs' time and let kicks be 20.5 ms late (p99): \
         bounds over short windows say little; repeat on a quieter host.",
    );
    manifest.engine = "simulator".into();
    assert!(!text_of(&manifest, &shares()).contains(remark));
}

#[test]
fn several_experiments_have_an_overview() {
    let mut manifest = manifest();
    manifest.experiments.push(common::experiment("later"));
    let text = text_of(&manifest, &shares());
    has(&text, "| experiment |");
    has(&text, "## later: – not run");
    has(&text, "Not run: nothing was measured.");
}

#[test]
fn interrupted_in_warm_up_is_a_report_not_an_error() {
    let dir = Folder::new();
    let mut manifest = manifest();
    manifest.status = Status::Interrupted;
    manifest.verdict = None;
    manifest.runs[0].interrupted = true;
    manifest.runs[0].measured_until_ns = manifest.runs[0].measured_from_ns;
    manifest.runs[0].verdict = Verdict::Skipped;
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    writer.flush().unwrap();
    drop(writer);
    for absent in [false, true] {
        if absent {
            fs::remove_file(dir.path().join(files::SHARES)).unwrap();
        }
        let text = report(dir.path()).unwrap();
        has(&text, "**– Nothing was measured.**");
        has(&text, "**Interrupted:**");
        has(&text, "Stopped before measuring began");
    }
}

#[test]
fn what_was_interrupted_has_no_verdict() {
    let mut manifest = manifest();
    manifest.status = Status::Interrupted;
    manifest.verdict = None;
    manifest.runs[0].interrupted = true;
    let text = text_of(&manifest, &shares());
    has(&text, "**– Interrupted, so there is no verdict;");
    has(&text, "## pair: – incomplete");
}

#[test]
fn a_torn_last_row_is_left_out_while_running() {
    let dir = Folder::new();
    let manifest = Manifest {
        status: Status::Running,
        verdict: None,
        ..manifest()
    };
    record(dir.path(), &manifest, &shares());
    let path = dir.path().join(files::DISPATCHES);
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 9);
    fs::write(&path, bytes).unwrap();
    let text = report(dir.path()).unwrap();
    has(
        &text,
        "The last row of `dispatches.csv` is cut off and left out.",
    );
    has(&text, "**Still running, or its writer died:**");
}

#[test]
fn empty_columns_keep_their_type() {
    let dir = Folder::new();
    let manifest = manifest();
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    writer.dispatch(&dispatches()[2]).unwrap();
    let mut row = event(EventKind::MeasureStart, 0, 0, 0);
    (row.lp, row.value) = (None, None);
    writer.event(&row).unwrap();
    writer.share(&share("prod", None, 0, 0.0)).unwrap();
    writer
        .finish(&manifest, &[summary("prod", 80.0, None)])
        .unwrap();
    has(&report(dir.path()).unwrap(), "| prod  |");
}

#[test]
fn damage_is_an_error_of_one_line_with_the_place() {
    type Damage = fn(&str) -> String;
    let damage: [(&str, Damage, &str); 6] = [
        (
            files::SHARES,
            |text| text.replacen(",fair,guest,", ",fair,host,", 1),
            "line: 2",
        ),
        (
            files::SHARES,
            |text| text.replacen(",80.1,", ",many,", 1),
            "line: 3",
        ),
        (
            files::DISPATCHES,
            |text| format!("{text}pair,1\n"),
            "line: 10",
        ),
        (
            files::EVENTS,
            |text| text.replacen("t_ns", "t_ms", 1),
            "column 3 is `t_ms`",
        ),
        (
            files::SUMMARY,
            |_| String::new(),
            "summary.csv is missing or empty",
        ),
        (
            files::MANIFEST,
            |text| text.replacen('{', "", 1),
            "manifest.json is not a manifest",
        ),
    ];
    for (file, damaged, expected) in damage {
        let dir = Folder::new();
        record(dir.path(), &manifest(), &shares());
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, damaged(&text)).unwrap();
        let message = report(dir.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(file), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn the_report_replaces_an_older_one_whole() {
    let dir = Folder::new();
    let path = write_report(dir.path(), "one").unwrap();
    assert_eq!(write_report(dir.path(), "two").unwrap(), path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = write_report(&dir.path().join("none"), "x").unwrap_err();
    assert!(matches!(missing, ReportError::Write { .. }));
}
