//! How it is known what VPs want: their payload declares it, work arrives for them as planned, or their sleeps are recorded.

use crate::plan::Roster;
use apportion_hypervisor::{Arrivals, Payload, Piece, RunSpec};
use apportion_scheduler::{Nanos, VpId};

/// The demand that a payload declares, as a part of one LP.
pub(crate) fn declared_demand(payload: Payload) -> Option<f64> {
    match payload {
        Payload::Periodic { period, run } | Payload::Probe { period, run } => {
            Some(run.0 as f64 / period.0 as f64)
        }
        _ => None,
    }
}

/// By guest, the demand that its payload declares; `None` where it declares none.
pub(super) fn declared_demands(spec: &RunSpec) -> Vec<Option<f64>> {
    let guests = spec.guests.iter();
    guests.map(|guest| declared_demand(guest.payload)).collect()
}

/// Whether a payload wants to run while work is left that arrived for it.
pub(crate) fn awaits_work(payload: Payload) -> bool {
    matches!(payload, Payload::Bursts { .. } | Payload::Replay)
}

/// By guest, the demand of those that sleep once in a period, having received these parts of an LP per VP. A
/// probe wants more than it declares: sleeping and waking cost it time, and work takes longer than it thinks.
pub(super) fn demands(spec: &RunSpec, received: &[f64]) -> Vec<Option<f64>> {
    let guests = spec.guests.iter().zip(received);
    let of = guests.map(|(guest, received)| {
        let declared = declared_demand(guest.payload)?;
        Some(match guest.payload {
            Payload::Probe { .. } => declared.max(received.min(1.0)),
            _ => declared,
        })
    });
    of.collect()
}

/// What arrives until `end` for a VP that began at `begun`, while it is there; nothing for one that awaits no work.
pub(crate) fn arrivals(
    spec: &RunSpec,
    roster: &Roster,
    vp: VpId,
    (begun, gone): (Nanos, Option<Nanos>),
    end: Nanos,
) -> impl Iterator<Item = Piece> {
    let end = gone.map_or(end, |gone| gone.min(end));
    let (guest, index) = roster.owners[vp.index()];
    let guest = &spec.guests[guest.index()];
    let arrivals = Arrivals::new(guest, index, spec.seed, u64::from(vp.0), begun);
    arrivals
        .into_iter()
        .flatten()
        .take_while(move |piece| piece.at <= end)
}

/// How many times what `arrived` for a VP it wants: no less than it `received` in that time, for sleeping and waking
/// cost it time, too.
pub(super) fn scale(arrived: impl Iterator<Item = Piece>, received: f64) -> f64 {
    let arrived: f64 = arrived.map(|piece| piece.run.0 as f64).sum();
    match arrived > 0.0 {
        true => (received / arrived).max(1.0),
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{burners, planned_as};
    use apportion_hypervisor::Ns;

    #[test]
    fn what_a_probe_received_counts_as_wanted_where_it_is_more() {
        let mut spec = planned_as(burners(&[("a", 100), ("b", 100), ("c", 100), ("d", 100)])).spec;
        let (period, run) = (Ns(10), Ns(4));
        spec.guests[0].payload = Payload::Periodic { period, run };
        spec.guests[1].payload = Payload::Probe { period, run };
        spec.guests[2].payload = Payload::Bursts {
            every: period,
            run,
            random: false,
        };
        let told = |received| demands(&spec, &[received; 4]);
        assert_eq!(told(0.5), [Some(0.4), Some(0.5), None, None]);
        // One that is starved still wants what it declares; none can use more than an LP.
        assert_eq!(told(0.1), [Some(0.4), Some(0.4), None, None]);
        assert_eq!(told(1.1), [Some(0.4), Some(1.0), None, None]);
    }

    #[test]
    fn a_vp_wants_what_arrives_or_what_it_received_if_that_is_more() {
        let piece = |at, run| Piece {
            at: Nanos(at),
            run: Nanos(run),
        };
        let arrived = [piece(1, 30), piece(5, 10)];
        assert_eq!(scale(arrived.into_iter(), 20.0), 1.0);
        assert_eq!(scale(arrived.into_iter(), 44.0), 1.1);
        assert_eq!(scale([].into_iter(), 5.0), 1.0);
    }
}
