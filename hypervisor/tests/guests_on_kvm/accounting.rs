//! Where the time went: what the counters tell, against each other and against the clock.

use crate::kvm_only::Test;
use crate::rig::{Keep, burners, guest, lps, ms, run};
use apportion_hypervisor::counters::{LpSnapshot, Snapshot};
use apportion_hypervisor::{Attack, Ns, Payload};
use apportion_scheduler::{Nanos, PolicyKind};

pub(crate) const TESTS: [Test; 1] = [("counters_add_up_and_never_go_back", counters)];

/// Everything that an LP's time can have gone to.
fn parts(lp: &LpSnapshot) -> [u64; 6] {
    let LpSnapshot {
        guest,
        hypervisor,
        root,
        others,
        steal,
        idle,
        ..
    } = lp;
    [guest, hypervisor, root, others, steal, idle].map(|part| part.0)
}

/// All that is counted and can only grow.
fn counts(of: &Snapshot) -> Vec<u64> {
    let lps = of.lps.iter().flat_map(|lp| {
        let switches = [lp.switches];
        parts(lp).into_iter().chain(switches)
    });
    let vps = of.vps.iter().flat_map(|vp| {
        let times = [vp.guest, vp.service, vp.ready].map(|time| time.0);
        let events = [vp.dispatches, vp.migrations, vp.posted, vp.injected];
        times.into_iter().chain(events).chain(vp.intercepts)
    });
    lps.chain(vps).chain([of.root_elsewhere.0]).collect()
}

fn counters() {
    for slice in [1, 150] {
        let mut spec = burners(lps(), PolicyKind::Fair, &[(2, 100), (1, 300)]);
        spec.slice = Nanos::from_millis(slice);
        spec.duration = Nanos::from_millis(3_000);
        spec.guests[1].ticks = 500;
        let storm = Payload::Hostile {
            attack: Attack::HypercallStorm,
        };
        let probe = Payload::Probe {
            period: ms(10),
            run: Ns(500_000),
        };
        spec.guests.push(guest("storm", 1, 100, storm));
        spec.guests.push(guest("probe", 1, 100, probe));
        let (keep, outcome) = run(&spec);
        let [from, to] = outcome.measured.as_ref().unwrap();
        assert_add_up(from, to);
        assert_only_grow(&keep, outcome.counters.as_ref().unwrap());
    }
}

/// 1 %, and what the kernel's ticks of 10 ms leave open: of busy, idle and stolen
/// time at either end, and of what was told of others, which is not taken back.
fn assert_add_up(from: &Snapshot, to: &Snapshot) {
    let wall = to.at.since(from.at).0 as f64;
    for (from, to) in from.lps.iter().zip(&to.lps) {
        let gone = parts(to).into_iter().zip(parts(from));
        let gone: Vec<u64> = gone.map(|(to, from)| to - from).collect();
        let sum = gone.iter().sum::<u64>() as f64;
        println!("{gone:?}: {:.3} %", 100.0 * sum / wall);
        assert!(
            (sum - wall).abs() <= 0.01 * wall + 40e6,
            "{sum} of {wall} ns: {gone:?}"
        );
    }
}

fn assert_only_grow(keep: &Keep, last: &Snapshot) {
    // One a second, one at each end of measuring, and one at the very end.
    assert!(keep.counted.len() >= 4, "{}", keep.counted.len());
    let all: Vec<Vec<u64>> = keep.counted.iter().chain([last]).map(counts).collect();
    for pair in all.windows(2) {
        let fell = pair[0].iter().zip(&pair[1]).position(|(a, b)| b < a);
        assert_eq!(fell, None, "{pair:?}");
    }
}
