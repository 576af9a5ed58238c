//! Fixtures summed up by hand, and converted.

use super::{all, fixture, source};
use apportion_workloads::traces::{Selection, Source, Spread, Summary, convert, load, summarise};
use std::fs;
use std::ops::ControlFlow;

fn summary(path: &str) -> Summary {
    let source = source(&[fixture(path)]);
    let go_on = &mut |_| ControlFlow::Continue(());
    summarise(&source, &Selection::default(), go_on).unwrap_or_else(|error| panic!("{error}"))
}

fn rounded(spread: Spread) -> [f64; 4] {
    let Spread {
        mean,
        p50,
        p95,
        max,
    } = spread;
    [mean, p50, p95, max].map(|it| (it * 1e6).round() / 1e6)
}

#[test]
fn azure() {
    let summary = summary("azure-v1");
    assert_eq!((summary.vms, summary.more_vms), (3, false));
    assert_eq!(
        (summary.from.as_secs_f64(), summary.to.as_secs_f64()),
        (0.0, 900.0)
    );
    assert_eq!(summary.step.as_secs_f64(), 300.0);
    // 0.5 + 0.125, then 1 + 0.2 + 4, then 0.03 LPs.
    assert_eq!(rounded(summary.demand), [1.951_667, 0.625, 5.2, 5.2]);
    assert_eq!((summary.cpu_seconds * 10.0).round(), 17_565.0);
    // 0.51, 0.1625 and 2.
    assert_eq!(rounded(summary.vm_means), [0.890_833, 0.51, 2.0, 2.0]);
    // In the middles of their 64ths: 1 of 2 in (32.5/64), 0.2 of 1 (12.5/64), all of 4 (63.5/64).
    assert_eq!(rounded(summary.vm_p95s.unwrap())[3], 3.968_75);
    assert_eq!(
        summary.vps.into_iter().collect::<Vec<_>>(),
        [(1, 1), (2, 1), (4, 1)]
    );
}

#[test]
fn bursts_count_as_if_each_had_an_lp_at_once() {
    let summary = summary("timehist/two-tasks.txt");
    assert_eq!(summary.vms, 3);
    // From 0.75 ms to 10.498 ms: 4 + 1 + 3 + 0.01 ms of work.
    assert_eq!((summary.from.0, summary.to.0), (750_000, 10_498_000));
    assert_eq!((summary.cpu_seconds * 1e6).round(), 8010.0);
    assert_eq!(rounded(summary.demand), [0.821_707; 4]);
    assert_eq!(rounded(summary.vm_means)[3], 0.512_926);
    assert_eq!(summary.vm_p95s, None);
}

#[test]
fn every_format_converts_to_our_own_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "azure-v1",
        "azure-v2/vm_cpu_readings",
        "google",
        "alibaba/container_usage.csv",
        "bitbrains",
        "planetlab",
        "rt-app/video.json",
        "timehist/two-tasks.txt",
        "own/mixed.csv",
    ] {
        let trace = Source {
            machine_lps: Some(64.0),
            ..source(&[fixture(path)])
        };
        let go_on = &mut |_| ControlFlow::Continue(());
        let (text, converted) = convert(&trace, &Selection::default(), go_on, Vec::new()).unwrap();
        let own = folder.path().join("own.csv");
        fs::write(&own, text).unwrap();
        let direct = load(&trace, &Selection::default(), go_on).unwrap().vms;
        let through = load(&source(&[own]), &Selection::default(), go_on)
            .unwrap()
            .vms;
        assert_eq!(converted.vms, direct.len() as u64);
        assert_eq!(through, direct, "{path}");
    }
    assert_eq!(all("own/mixed.csv").vms.len(), 3);
}
