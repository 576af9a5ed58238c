//! Our own format gives back what was written.

use super::{all, fixture, source, try_load};
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{
    Burst, Interval, Selection, TracedControls, TracedDemand, TracedVm, write,
};
use proptest::prelude::*;

fn through_a_file(vms: &[TracedVm]) -> Vec<TracedVm> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.csv");
    std::fs::write(&path, write(vms, Vec::new()).unwrap()).unwrap();
    let loaded = try_load(&source(&[path]), &Selection::default());
    loaded.unwrap_or_else(|error| panic!("{error}")).vms
}

fn controls() -> impl Strategy<Value = TracedControls> {
    let percent = || prop::option::of((0u32..=100_000).prop_map(|it| f64::from(it) / 1000.0));
    let weight = prop::option::of(1i64..=10_000);
    (weight, percent(), percent()).prop_map(|(weight, reserve_pct, cap_pct)| TracedControls {
        weight,
        reserve_pct,
        cap_pct: cap_pct.filter(|it| *it > 0.0),
    })
}

/// Intervals of a few lengths, with gaps between some.
fn intervals(vps: u32) -> impl Strategy<Value = TracedDemand> {
    let length = prop_oneof![Just(300_000_000_000u64), Just(1), 1u64..1 << 40];
    let gap = prop_oneof![4 => Just(0u64), 1 => 0u64..1 << 40];
    let lps = (0..=u64::from(vps) * 1_000_000).prop_map(|it| it as f64 / 1e6);
    let one = (gap, length, lps);
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let mut now = 0;
        let make = |(gap, length, lps)| {
            let from = Nanos(now + gap);
            now = from.0 + length;
            let length = Nanos(length);
            Interval { from, length, lps }
        };
        TracedDemand::Means(all.into_iter().map(make).collect())
    })
}

fn pieces(vps: u32) -> impl Strategy<Value = TracedDemand> {
    let one = (0..vps, 0u64..1 << 50, 1u64..1 << 50);
    prop::collection::vec(one, 1..40).prop_map(|mut all| {
        all.sort_by_key(|(_, at, _)| *at);
        let make = |(vp, at, run)| Burst {
            vp,
            at: Nanos(at),
            run: Nanos(run),
        };
        TracedDemand::Bursts(all.into_iter().map(make).collect())
    })
}

fn vm() -> impl Strategy<Value = TracedVm> {
    let demand = |vps| prop_oneof![intervals(vps).boxed(), pieces(vps).boxed()];
    let sized = (1u32..=64).prop_flat_map(move |vps| (Just(vps), demand(vps)));
    ("\\PC{1,12}|[,%\"#\\n\\r\\t ]{1,3}", controls(), sized).prop_map(
        |(id, controls, (vps, demand))| TracedVm {
            id,
            vps,
            controls,
            demand,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_written_reads_back(vms in prop::collection::vec(vm(), 1..6)) {
        // Every VM has a name of its own.
        let named = |(at, vm): (usize, TracedVm)| TracedVm { id: format!("{at}{}", vm.id), ..vm };
        let vms: Vec<_> = vms.into_iter().enumerate().map(named).collect();
        prop_assert_eq!(through_a_file(&vms), vms);
    }
}

#[test]
fn long_stretches_and_many_bursts_take_several_rows() {
    let interval = |at: u64| Interval {
        from: Nanos(at * 10),
        length: Nanos(10),
        lps: (at % 7) as f64 / 8.0,
    };
    let burst = |at: u64| Burst {
        vp: 0,
        at: Nanos(at),
        run: Nanos(1 + at),
    };
    let vm = |id: &str, demand| TracedVm {
        id: id.to_owned(),
        vps: 1,
        controls: TracedControls::default(),
        demand,
    };
    let vms = [
        vm(
            "means",
            TracedDemand::Means((0..3000).map(interval).collect()),
        ),
        vm(
            "bursts",
            TracedDemand::Bursts((0..3000).map(burst).collect()),
        ),
    ];
    let text = String::from_utf8(write(&vms, Vec::new()).unwrap()).unwrap();
    assert_eq!(text.lines().count(), 2 + 3 + 3);
    assert_eq!(through_a_file(&vms), vms);
}

#[test]
fn a_fixture_is_as_it_would_be_written() {
    let written = write(&all("own/mixed.csv").vms, Vec::new()).unwrap();
    let fixture = std::fs::read_to_string(fixture("own/mixed.csv")).unwrap();
    let sorted = fixture.replace(
        "0@0.001+0.002 3@0.0005+0.25 0@7+0.000000001",
        "3@0.0005+0.25 0@0.001+0.002 0@7+0.000000001",
    );
    assert_eq!(String::from_utf8(written).unwrap(), sorted);
}
