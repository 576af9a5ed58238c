//! Parts of traces: by name, time and count.

use super::{all, bursts, fixture, ids, means, source, try_load};
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{Count, Selection, TraceError, load};
use std::ops::ControlFlow;

fn azure(selection: Selection) -> Result<apportion_workloads::traces::Loaded, TraceError> {
    try_load(&source(&[fixture("azure-v1")]), &selection)
}

fn named(ids: &[&str]) -> Selection {
    Selection {
        ids: Some(ids.iter().map(ToString::to_string).collect()),
        ..Selection::default()
    }
}

#[test]
fn by_name() {
    let loaded = azure(named(&["cccc", "aaaa"])).unwrap();
    assert_eq!(ids(&loaded), ["aaaa", "cccc"]);
    assert_eq!(loaded.vms[0], all("azure-v1").vms[0]);
    let error = azure(named(&["cccc", "dddd"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the trace has no VM `dddd` in the selected time"
    );
}

#[test]
fn by_time() {
    let selection = Selection {
        from: Nanos(150_000_000_000),
        span: Some(Nanos(200_000_000_000)),
        ..Selection::default()
    };
    let loaded = azure(selection).unwrap();
    assert_eq!(
        means(&loaded.vms[0]),
        [(0.0, 150.0, 0.5), (150.0, 50.0, 1.0)]
    );
    assert_eq!(means(&loaded.vms[2]), [(150.0, 50.0, 4.0)]);
    // What lies behind is not read.
    assert_eq!(loaded.scanned.rows, 5);
    let never = Selection {
        from: Nanos(900_000_000_000),
        ..Selection::default()
    };
    assert!(matches!(azure(never), Err(TraceError::Nothing { rows: 7 })));
}

#[test]
fn bursts_are_cut_where_an_lp_of_their_own_would_have_come_to() {
    let selection = Selection {
        from: Nanos(600_000),
        span: Some(Nanos(1_000_000)),
        ..Selection::default()
    };
    let of = |path| try_load(&source(&[fixture(path)]), &selection).unwrap();
    let loaded = of("own/mixed.csv");
    // One burst of the editor began before that time, one does not end in it, and one is behind it.
    assert_eq!(ids(&loaded), ["web", "editor"]);
    assert_eq!(bursts(&loaded.vms[1]), [(3, 0, 1000), (0, 400, 600)]);
    let loaded = of("timehist/two-tasks.txt");
    assert_eq!(ids(&loaded), ["make[50]", "Web Content[41/40]"]);
    assert_eq!(bursts(&loaded.vms[0]), [(0, 400, 600)]);
    assert_eq!(bursts(&loaded.vms[1]), [(0, 150, 850)]);
    // A VM whose bursts lie around the selected time is not there.
    let between = Selection {
        from: Nanos(1_000_000_000),
        span: Some(Nanos(1_000_000_000)),
        ..Selection::default()
    };
    let loaded = try_load(&source(&[fixture("own/mixed.csv")]), &between).unwrap();
    assert_eq!(ids(&loaded), ["web"]);
}

#[test]
fn by_count() {
    let count = |count| Selection {
        count,
        ..Selection::default()
    };
    assert_eq!(
        ids(&azure(count(Count::First(2))).unwrap()),
        ["aaaa", "bbbb"]
    );
    let sample = |vms, seed| azure(count(Count::Sample { vms, seed })).unwrap();
    let of = |seed| ids(&sample(2, seed)).join(" ");
    assert_eq!(of(1), of(1));
    assert!((0..20).any(|seed| of(seed) != of(1)));
    // All there are is all.
    assert_eq!(sample(3, 5).vms, all("azure-v1").vms);
    assert_eq!(sample(9, 5).vms, all("azure-v1").vms);
}

#[test]
fn who_watches_sees_all_bytes_and_can_end_it() {
    let source = source(&[fixture("azure-v1")]);
    for count in [Count::All, Count::Sample { vms: 1, seed: 1 }] {
        let selection = Selection {
            count,
            ..Selection::default()
        };
        let mut seen = Vec::new();
        load(&source, &selection, &mut |it| {
            seen.push((it.bytes, it.of));
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        let (bytes, of) = seen[seen.len() - 1];
        assert!(bytes == of && bytes > 0, "{seen:?}");
        let ended = load(&source, &selection, &mut |_| ControlFlow::Break(()));
        assert!(matches!(ended, Err(TraceError::Interrupted)));
    }
}
