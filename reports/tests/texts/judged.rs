//! What it says of what was judged besides shares, and why: changes, wakes, crashes, lag, a busy host.

use super::*;

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
    manifest.runs[0].calibration.lag_limit_ns = 2_100_000;
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
