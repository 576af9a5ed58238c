//! LPs that idle while a VP waits: the one thing that a work-conserving scheduler must not do.

use apportion_hypervisor::RunSpec;
use apportion_scheduler::{GuestId, LpId, Nanos};
use std::collections::BTreeMap;
use std::ops::Range;

/// How long intervals are kept. A dispatch is told when it ends, a second after
/// its VP was picked at the most, and idleness at least every 100 ms.
const KEPT: Nanos = Nanos::from_millis(10_000);

/// Sums up the time for which an LP idled while a VP that may run there was Ready.
#[derive(Debug)]
pub(super) struct Idleness {
    /// By guest, the LPs it may use; `None` is all.
    allowed: Vec<Option<apportion_scheduler::LpSet>>,
    ready: Vec<(GuestId, Range<Nanos>)>,
    idle: Vec<(LpId, Range<Nanos>)>,
    swept: Nanos,
    sum: Nanos,
}

impl Idleness {
    pub(super) fn new(spec: &RunSpec) -> Idleness {
        Idleness {
            allowed: spec.guests.iter().map(|g| g.affinity.clone()).collect(),
            ready: Vec::new(),
            idle: Vec::new(),
            swept: Nanos::ZERO,
            sum: Nanos::ZERO,
        }
    }

    /// A VP of `guest` was Ready. A wait longer than is kept counts with its end.
    pub(super) fn ready(&mut self, guest: GuestId, span: Range<Nanos>) {
        if span.start < span.end {
            let now = span.end;
            self.ready.push((guest, span));
            self.advance(now);
        }
    }

    pub(super) fn idle(&mut self, lp: LpId, span: Range<Nanos>) {
        if span.start >= span.end {
            return;
        }
        let now = span.end;
        self.idle.push((lp, span));
        self.advance(now);
    }

    fn advance(&mut self, now: Nanos) {
        if now > self.swept + KEPT + KEPT {
            self.sweep(now - KEPT);
            self.swept = now - KEPT;
        }
    }

    /// Counts what ended by `until` and forgets it.
    fn sweep(&mut self, until: Nanos) {
        let pinned = self.allowed.iter().any(Option::is_some);
        let mut unions: BTreeMap<Option<LpId>, Vec<Range<Nanos>>> = BTreeMap::new();
        let mut sum = Nanos::ZERO;
        for (lp, span) in self.idle.iter().filter(|(_, span)| span.end <= until) {
            // Without affinities one union serves all LPs.
            let place = pinned.then_some(*lp);
            let union = unions.entry(place).or_insert_with(|| self.union(place));
            sum += overlap(span, union);
        }
        self.sum += sum;
        self.idle.retain(|(_, span)| span.end > until);
        let oldest = self.idle.iter().map(|(_, span)| span.start).min();
        let oldest = oldest.unwrap_or(until).min(until);
        self.ready.retain(|(_, span)| span.end > oldest);
    }

    /// When some VP was Ready that may run on `lp`, as intervals in order that do not touch.
    fn union(&self, lp: Option<LpId>) -> Vec<Range<Nanos>> {
        let may_run = |guest: GuestId| match (lp, &self.allowed[guest.index()]) {
            (Some(lp), Some(allowed)) => allowed.contains(lp),
            _ => true,
        };
        let mut spans: Vec<Range<Nanos>> = self
            .ready
            .iter()
            .filter(|(guest, _)| may_run(*guest))
            .map(|(_, span)| span.clone())
            .collect();
        spans.sort_by_key(|span| span.start);
        let mut union: Vec<Range<Nanos>> = Vec::new();
        for span in spans {
            match union.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => union.push(span),
            }
        }
        union
    }

    pub(super) fn close(mut self) -> Nanos {
        self.sweep(Nanos(u64::MAX));
        self.sum
    }
}

fn overlap(span: &Range<Nanos>, union: &[Range<Nanos>]) -> Nanos {
    let first = union.partition_point(|other| other.end <= span.start);
    union[first..]
        .iter()
        .take_while(|other| other.start < span.end)
        .map(|other| other.end.min(span.end).since(other.start.max(span.start)))
        .fold(Nanos::ZERO, |sum, part| sum + part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::burners;

    fn ms(from: u64, to: u64) -> Range<Nanos> {
        Nanos::from_millis(from)..Nanos::from_millis(to)
    }

    #[test]
    fn idle_time_counts_where_somebody_is_ready_and_may_run_there() {
        let mut spec = burners(&[("a", 1), ("b", 1)]);
        spec.guests[1].affinity = Some([LpId(0)].into_iter().collect());
        let mut idleness = Idleness::new(&spec);
        idleness.idle(LpId(0), ms(10, 20));
        idleness.idle(LpId(1), ms(10, 20));
        // Two wait at once: an LP's time counts once. The second may not use LP 1.
        idleness.ready(GuestId(0), ms(12, 15));
        idleness.ready(GuestId(1), ms(14, 17));
        assert_eq!(idleness.close(), Nanos::from_millis(5 + 3));
    }

    #[test]
    fn what_is_swept_away_has_been_counted() {
        let mut idleness = Idleness::new(&burners(&[("a", 1)]));
        for second in 0..100 {
            let from = second * 1_000;
            idleness.ready(GuestId(0), ms(from + 10, from + 20));
            idleness.idle(LpId(0), ms(from, from + 100));
        }
        assert!(idleness.idle.len() < 40, "{}", idleness.idle.len());
        assert!(idleness.ready.len() < 40, "{}", idleness.ready.len());
        assert_eq!(idleness.close(), Nanos::from_millis(1_000));
    }
}
