//! Work that was recorded elsewhere: done as it was recorded, at its times.

use crate::rig::{SECOND, burn, controls, guest, ms, run, spec};
use apportion_hypervisor::{Burst, GuestSpec, Payload, Piece, RecordedDemand, SimulatorSpec};
use apportion_scheduler::{Nanos, VpId};
use std::sync::Arc;

fn replay(weight: i64, vps: &[&[(u64, u64)]]) -> GuestSpec {
    let piece = |&(at, run): &(u64, u64)| Piece {
        at: ms(at),
        run: ms(run),
    };
    let vps: Vec<Vec<Piece>> = vps
        .iter()
        .map(|it| it.iter().map(piece).collect())
        .collect();
    let mut guest = guest(
        vps.len() as u32,
        controls(weight, 0.0, 100.0),
        Payload::Replay,
    );
    guest.demand = Some(Arc::new(RecordedDemand { vps }));
    guest
}

/// Each piece of a VP in ms: due, done, and what it was to take.
fn told(bursts: &[Burst], vp: u32) -> Vec<(f64, f64, f64)> {
    let ms = |time: Nanos| time.0 as f64 / 1e6;
    let of_vp = bursts.iter().filter(|it| it.vp == VpId(vp));
    of_vp
        .map(|it| (ms(it.due), ms(it.done), ms(it.run)))
        .collect()
}

#[test]
fn pieces_are_done_at_their_times_one_after_the_other() {
    let mut spec = spec(
        2,
        vec![replay(100, &[&[(0, 3), (10, 2), (11, 4)], &[(5, 1)]])],
    );
    spec.simulator = SimulatorSpec {
        overhead: Nanos::ZERO,
        kick_latency: Nanos::ZERO,
    };
    let ran = run(&spec);
    let first = [(0.0, 3.0, 3.0), (10.0, 12.0, 2.0), (11.0, 16.0, 4.0)];
    assert_eq!(told(&ran.keep.bursts, 0), first);
    assert_eq!(told(&ran.keep.bursts, 1), [(5.0, 6.0, 1.0)]);
}

#[test]
fn what_is_not_done_in_time_waits_and_is_done_in_order() {
    // 300 ms at once, beside a burner of the same weight: half of an LP until it is done, but for the last slices.
    let mut spec = spec(1, vec![replay(100, &[&[(0, 200), (0, 100)]]), burn(1, 100)]);
    spec.duration = SECOND;
    let ran = run(&spec);
    let done = told(&ran.keep.bursts, 0);
    assert_eq!(done.len(), 2);
    for ((due, done, run), expected) in done.into_iter().zip([400.0, 600.0]) {
        assert!((done - expected).abs() < 5.0, "{done} of {expected}");
        assert_eq!((due, run % 100.0), (0.0, 0.0));
    }
}
