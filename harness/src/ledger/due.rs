//! What a reserve gives a VP for which work arrives.

use super::Closed;
use super::window::{VpSums, Window};
use apportion_scheduler::{Nanos, VpId};
use std::ops::Range;

/// CPU time in ns that a reserve gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Due {
    pub(crate) whole: f64,
    /// The part of that which losses leave.
    pub(crate) left: f64,
}

impl Closed {
    /// What its reserve gives a VP that awaits work over a span whose ends are borders of cells: the work left as the
    /// span begins and what arrives in it, done at the rate of the reserve.
    pub(crate) fn work_due(&self, vp: VpId, span: Range<Nanos>) -> Due {
        let Some(arrivals) = self.arrivals.get(vp.index()) else {
            return Due::default();
        };
        let from = self.cells.partition_point(|cell| cell.start < span.start);
        let to = self.cells.partition_point(|cell| cell.end <= span.end);
        let (before, rest) = self.cells.split_at(from);
        let of_vp = |cell: &Window| cell.vps[vp.index()].received;
        let received = self.warmed_up[vp.index()] + before.iter().map(of_vp).sum::<f64>();
        let first = arrivals.partition_point(|(at, _)| *at <= span.start);
        let arrived: f64 = arrivals[..first].iter().map(|(_, run)| run).sum();
        let backlog = (arrived - received).max(0.0);
        let cells = &rest[..to.saturating_sub(from)];
        let drain = |rate: fn(&VpSums) -> f64| {
            let rates = cells.iter().map(|cell| {
                let length = cell.length().0 as f64;
                (cell.end, rate(&cell.vps[vp.index()]) / length)
            });
            drain(backlog, span.start, &arrivals[first..], rates)
        };
        Due {
            whole: drain(|vp| vp.reserve),
            left: drain(|vp| vp.reserve_left),
        }
    }
}

/// How much of `backlog` and of `arrivals`, in order, is done from `now` on at these rates, each up to its time.
fn drain(
    mut backlog: f64,
    mut now: Nanos,
    mut arrivals: &[(Nanos, f64)],
    rates: impl Iterator<Item = (Nanos, f64)>,
) -> f64 {
    let mut sum = 0.0;
    for (end, rate) in rates {
        while now < end {
            let next = arrivals.first().filter(|(at, _)| *at < end);
            let until = next.map_or(end, |(at, _)| *at);
            let done = backlog.min(rate * until.since(now).0 as f64);
            backlog -= done;
            sum += done;
            now = until;
            if let Some((_, run)) = next {
                backlog += run;
                arrivals = &arrivals[1..];
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_at_the_rate_of_the_reserve_while_there_is_some() {
        let due = |backlog, arrivals: &[(u64, f64)]| {
            let arrivals: Vec<_> = arrivals.iter().map(|&(at, run)| (Nanos(at), run)).collect();
            let rates = [(Nanos(200), 0.5), (Nanos(300), 0.2)];
            drain(backlog, Nanos(100), &arrivals, rates.into_iter())
        };
        assert_eq!(due(0.0, &[]), 0.0);
        assert_eq!(due(30.0, &[]), 30.0);
        // As much as 100 at 0.5 and 100 at 0.2 hold.
        assert_eq!(due(1000.0, &[]), 70.0);
        // Work that comes late is not done in the time before.
        assert_eq!(due(10.0, &[(180, 100.0)]), 10.0 + 10.0 + 20.0);
        assert_eq!(due(0.0, &[(150, 5.0), (290, 5.0)]), 5.0 + 2.0);
        assert_eq!(due(0.0, &[(300, 5.0)]), 0.0);
    }
}
