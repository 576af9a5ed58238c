//! Metrics of a recording whose answers are worked out by hand.

mod common;

use apportion_recording::{Manifest, Status, Writer};
use apportion_reports::Frames;
use apportion_reports::metrics::{Metrics, WindowLine};
use common::{Folder, dispatches, events, manifest, shares, summary};
use std::path::Path;

fn metrics(dir: &Path, manifest: &Manifest) -> Metrics {
    let mut writer = Writer::create(dir, manifest).unwrap();
    for row in dispatches() {
        writer.dispatch(&row).unwrap();
    }
    for row in events() {
        writer.event(&row).unwrap();
    }
    for row in shares() {
        writer.share(&row).unwrap();
    }
    let rows = [summary("prod", 80.1, None), summary("adhoc", 19.9, None)];
    writer.finish(manifest, &rows).unwrap();
    let frames = Frames::load(dir, Status::Complete).unwrap();
    let runs: Vec<_> = manifest.runs.iter().collect();
    Metrics::of(&frames, &manifest.experiments[0], &runs).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9,
        "{found} instead of {expected}"
    );
}

#[test]
fn whole_run_is_in_the_manifests_order() {
    let dir = Folder::new();
    let metrics = metrics(dir.path(), &manifest());
    let guests: Vec<_> = metrics
        .guests
        .iter()
        .map(|l| (l.guest.as_str(), l.error_pp))
        .collect();
    assert_eq!(guests, [("prod", 0.1), ("adhoc", -0.1)]);
    let vps: Vec<_> = metrics
        .vps
        .iter()
        .map(|l| (l.guest.as_str(), l.vp))
        .collect();
    assert_eq!(
        vps,
        [("prod", Some(0)), ("prod", Some(1)), ("adhoc", Some(0))]
    );
    let means: Vec<_> = metrics
        .means
        .iter()
        .map(|l| (l.guest.as_str(), l.ci95_pct))
        .collect();
    assert_eq!(means, [("prod", None), ("adhoc", None)]);
    assert!(metrics.limits.is_empty());
}

#[test]
fn windows_have_quantiles_and_fractions() {
    let dir = Folder::new();
    let metrics = metrics(dir.path(), &manifest());
    let key = |l: &WindowLine| (l.window_ms, l.guest.clone(), l.vp);
    let keys: Vec<_> = metrics.windows.iter().map(key).collect();
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(
        keys,
        [
            (100, None, None),
            (100, some("prod"), None),
            (100, some("adhoc"), None),
            (1000, some("prod"), Some(0)),
        ]
    );
    // 0, 0, 0, 0, 0, .1, .2, .3, .4, .5: ranks 5.5 and 9.55; .5 alone is above .4.
    let all = &metrics.windows[0];
    assert_eq!(all.windows, 10);
    close(all.median_pp, 0.05);
    close(all.p95_pp, 0.455);
    close(all.max_pp, 0.5);
    close(all.outside_pct, 10.0);
    // .1, .2, .3, .4, .5: ranks 3 and 4.8; what equals its bound is inside.
    let prod = &metrics.windows[1];
    assert_eq!(prod.windows, 5);
    close(prod.median_pp, 0.3);
    close(prod.p95_pp, 0.48);
    close(prod.max_pp, 0.5);
    close(prod.outside_pct, 20.0);
    assert_eq!(prod.bound_pp, (0.4, 0.4));
    close(metrics.windows[2].max_pp, 0.0);
    close(metrics.windows[3].median_pp, 0.03);
}

#[test]
fn pace_counts_what_begins_in_the_measured_time() {
    let dir = Folder::new();
    let metrics = metrics(dir.path(), &manifest());
    // 6 begin, 3 of them on another LP, in 20 s on 2 LPs; they ran 0, 1, 2, 3, 4, 5 s.
    let [pace] = &metrics.pace[..] else {
        panic!("one repetition")
    };
    close(pace.dispatches_per_second_per_lp, 6.0 / 40.0);
    close(pace.migrations_per_second_per_lp, 3.0 / 40.0);
    close(pace.median_ran_ns, 2.5e9);
}

#[test]
fn lp_time_is_split_at_the_measured_border() {
    let dir = Folder::new();
    let metrics = metrics(dir.path(), &manifest());
    let [first, second] = &metrics.lps[..] else {
        panic!("two LPs")
    };
    // Guests 0.4 + 5 + 4 + 1.5 s, idle 0.2 + 3 s, of 20 s.
    close(first.guest_pct, 54.5);
    close(first.idle_pct, 16.0);
    close(first.lost_pct, 29.5);
    close(first.dispatches_per_second, 3.0 / 20.0);
    close(first.migrations_per_second, 2.0 / 20.0);
    // Guests 1 + 2 s, idle 1 s.
    close(second.guest_pct, 15.0);
    close(second.idle_pct, 5.0);
    close(second.lost_pct, 80.0);
    close(second.migrations_per_second, 1.0 / 20.0);
}

#[test]
fn lag_is_the_largest_per_period() {
    let dir = Folder::new();
    let metrics = metrics(dir.path(), &manifest());
    let lag: Vec<_> = metrics
        .lag
        .iter()
        .map(|l| (l.period, l.max_slices))
        .collect();
    assert_eq!(lag, [(0, 1.2), (1, 0.7)]);
}

#[test]
fn an_lp_without_rows_is_lost_not_missing() {
    let dir = Folder::new();
    let mut manifest = manifest();
    manifest.runs[0].lp_cpus.push(7);
    let metrics = metrics(dir.path(), &manifest);
    assert_eq!(metrics.lps.len(), 3);
    close(metrics.lps[2].guest_pct, 0.0);
    close(metrics.lps[2].lost_pct, 100.0);
}
