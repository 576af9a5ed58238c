//! LPs that idle while a VP waits: the one thing that a work-conserving scheduler must not do.
//!
//! Where guests are bound to LPs, a VP that waits may have a place on an idle LP only if others move: it takes the LP of
//! a VP that takes the LP of another, and so on, whose last one goes to the idle LP. No more LPs count than VPs wait.

use apportion_hypervisor::RunSpec;
use apportion_scheduler::{GuestId, LpId, LpSet, Nanos};
use std::ops::Range;

/// How long edges are kept until those that came before are known. A dispatch is told when it ends, a second after
/// its VP was picked at the most, and idleness at least every 100 ms.
const KEPT: Nanos = Nanos::from_millis(10_000);

/// A call that tells an LP to take a VP takes no longer than this, besides what kicks are late.
const CALL: Nanos = Nanos::from_micros(200);

/// For how long LPs idled although VPs that were Ready could have run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Idled {
    /// The sum of intervals of at most [`CALL`].
    short: Nanos,
    /// Longer ones.
    long: Vec<Nanos>,
}

impl Idled {
    fn add(&mut self, interval: Nanos) {
        match interval <= CALL {
            true => self.short += interval,
            false => self.long.push(interval),
        }
    }

    /// The longest interval that is a move under way, with kicks late by `overshoot`.
    pub(crate) fn grace(overshoot: Nanos) -> Nanos {
        CALL + overshoot
    }

    /// The sums of longer intervals, and of moves under way.
    pub(crate) fn beyond(&self, grace: Nanos) -> (Nanos, Nanos) {
        let mut sums = (Nanos::ZERO, self.short);
        for &interval in &self.long {
            *(if interval > grace {
                &mut sums.0
            } else {
                &mut sums.1
            }) += interval;
        }
        sums
    }
}

/// Looks for intervals in which LPs idled although VPs that were Ready could have run.
#[derive(Debug)]
pub(super) struct Idleness {
    /// The different affinities; `None` is all LPs.
    affinities: Vec<Option<LpSet>>,
    /// By guest, an index into them.
    affinity: Vec<Affinity>,
    /// What turns after `swept`, in any order.
    edges: Vec<(Nanos, Edge)>,
    swept: Nanos,
    places: Places,
    /// Since when one LP at least idled so, two at least, and so on.
    since: Vec<Nanos>,
    idled: Idled,
}

impl Idleness {
    pub(super) fn new(spec: &RunSpec) -> Idleness {
        let mut affinities = Vec::new();
        let affinity = spec.guests.iter().map(|guest| {
            let known = affinities.iter().position(|it| *it == guest.affinity);
            let index = known.unwrap_or_else(|| {
                affinities.push(guest.affinity.clone());
                affinities.len() - 1
            });
            Affinity::try_from(index).expect("planning has counted the affinities")
        });
        Idleness {
            affinity: affinity.collect(),
            places: Places {
                waiting: vec![0; affinities.len()],
                running: vec![None; spec.lps as usize],
                idle: vec![false; spec.lps as usize],
                idling: 0,
            },
            affinities,
            edges: Vec::new(),
            swept: Nanos::ZERO,
            since: Vec::new(),
            idled: Idled::default(),
        }
    }

    /// A VP of `guest` was Ready. A wait longer than is kept counts with its end.
    pub(super) fn ready(&mut self, guest: GuestId, span: Range<Nanos>) {
        let affinity = self.affinity[guest.index()];
        self.add(span, Edge::Ready(affinity), Edge::Served(affinity));
    }

    /// A VP of `guest` ran on an LP.
    pub(super) fn ran(&mut self, guest: GuestId, lp: LpId, span: Range<Nanos>) {
        if self.is_bound() {
            let affinity = self.affinity[guest.index()];
            self.add(span, Edge::Runs(lp, affinity), Edge::Left(lp));
        }
    }

    pub(super) fn idle(&mut self, lp: LpId, span: Range<Nanos>) {
        self.add(span, Edge::Idles(lp), Edge::Wakes(lp));
    }

    fn is_bound(&self) -> bool {
        self.affinities.iter().any(Option::is_some)
    }

    fn add(&mut self, span: Range<Nanos>, begins: Edge, ends: Edge) {
        let start = span.start.max(self.swept);
        if start >= span.end {
            return;
        }
        self.edges.push((start, begins));
        self.edges.push((span.end, ends));
        if span.end > self.swept + KEPT + KEPT {
            self.sweep(span.end - KEPT);
        }
    }

    /// Passes what turned before `until`.
    fn sweep(&mut self, until: Nanos) {
        self.edges.sort_unstable();
        let over = self.edges.partition_point(|(at, _)| *at < until);
        let edges: Vec<(Nanos, Edge)> = self.edges.drain(..over).collect();
        for at_once in edges.chunk_by(|a, b| a.0 == b.0) {
            let now = at_once[0].0;
            at_once.iter().for_each(|(_, edge)| self.places.pass(*edge));
            let wasted = match self.is_bound() {
                true => self.places.wasted_by_moves(&self.affinities),
                false => self.places.wasted(),
            };
            while self.since.len() > wasted {
                let since = self.since.pop().unwrap_or(now);
                self.idled.add(now.since(since));
            }
            self.since.resize(wasted, now);
        }
        self.swept = until;
    }

    pub(super) fn close(mut self) -> Idled {
        self.sweep(Nanos(u64::MAX));
        self.idled
    }
}

/// An index into the different affinities. Edges are many, and kept for a while.
type Affinity = u16;

/// Something that turns; of what turns at once, ends come before beginnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Served(Affinity),
    Left(LpId),
    Wakes(LpId),
    Ready(Affinity),
    Runs(LpId, Affinity),
    Idles(LpId),
}

/// Who waits, runs and idles at a moment.
#[derive(Debug)]
struct Places {
    /// By affinity, how many VPs wait.
    waiting: Vec<u32>,
    /// By LP, the affinity of the VP that runs there.
    running: Vec<Option<Affinity>>,
    idle: Vec<bool>,
    /// How many LPs idle.
    idling: usize,
}

impl Places {
    fn pass(&mut self, edge: Edge) {
        match edge {
            Edge::Served(affinity) => self.waiting[usize::from(affinity)] -= 1,
            Edge::Ready(affinity) => self.waiting[usize::from(affinity)] += 1,
            Edge::Left(lp) => self.running[lp.index()] = None,
            Edge::Runs(lp, affinity) => self.running[lp.index()] = Some(affinity),
            Edge::Idles(lp) => {
                self.idle[lp.index()] = true;
                self.idling += 1;
            }
            Edge::Wakes(lp) => {
                self.idle[lp.index()] = false;
                self.idling -= 1;
            }
        }
    }

    /// How many LPs idle beside VPs that wait, where every VP may run anywhere.
    fn wasted(&self) -> usize {
        self.idling.min(self.waiting.iter().sum::<u32>() as usize)
    }

    /// The same where guests are bound: no more LPs than VPs that wait could reach if others moved, and no more than
    /// there are such VPs.
    fn wasted_by_moves(&self, affinities: &[Option<LpSet>]) -> usize {
        if self.wasted() == 0 {
            return 0;
        }
        let allows = |affinity: usize, lp: usize| {
            let allowed = affinities[affinity].as_ref();
            allowed.is_none_or(|lps| lps.contains(LpId(lp as u32)))
        };
        // From VPs that wait, by way of those that they could displace.
        let mut placed: Vec<bool> = self.waiting.iter().map(|vps| *vps > 0).collect();
        let mut reached = vec![false; self.idle.len()];
        let mut left: Vec<usize> = (0..placed.len()).filter(|it| placed[*it]).collect();
        while let Some(affinity) = left.pop() {
            for lp in (0..reached.len()).filter(|lp| allows(affinity, *lp)) {
                reached[lp] = true;
                if let Some(displaced) = self.running[lp]
                    && !std::mem::replace(&mut placed[usize::from(displaced)], true)
                {
                    left.push(usize::from(displaced));
                }
            }
        }
        // From LPs that idle, by way of those whose VPs could come there.
        let mut free = self.idle.clone();
        let mut helped = vec![false; affinities.len()];
        loop {
            let may = |affinity: usize| (0..free.len()).any(|lp| free[lp] && allows(affinity, lp));
            let more = (0..helped.len()).find(|it| !helped[*it] && may(*it));
            let Some(affinity) = more else { break };
            helped[affinity] = true;
            for (free, running) in free.iter_mut().zip(&self.running) {
                *free |= running.is_some_and(|it| usize::from(it) == affinity);
            }
        }
        let lps = self.idle.iter().zip(reached);
        let lps = lps.filter(|(idle, reached)| **idle && *reached).count();
        let vps = self.waiting.iter().zip(helped);
        let vps: u32 = vps.filter(|(_, helped)| *helped).map(|(vps, _)| vps).sum();
        lps.min(vps as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::burners;

    fn ms(from: u64, to: u64) -> Range<Nanos> {
        Nanos::from_millis(from)..Nanos::from_millis(to)
    }

    /// Guests that are bound to these LPs, on three.
    fn bound(lps: [&[u32]; 3]) -> Idleness {
        let mut spec = burners(&[("a", 1), ("b", 1), ("c", 1)]);
        spec.lps = 3;
        for (guest, lps) in spec.guests.iter_mut().zip(lps) {
            guest.affinity = Some(lps.iter().map(|lp| LpId(*lp)).collect());
        }
        Idleness::new(&spec)
    }

    fn lasting(idleness: Idleness) -> u64 {
        idleness.close().beyond(Nanos::ZERO).0.0 / 1_000_000
    }

    #[test]
    fn an_lp_counts_for_each_vp_that_waits_and_may_run_there() {
        let mut idleness = bound([&[0, 1, 2], &[0], &[0]]);
        idleness.idle(LpId(0), ms(10, 18));
        idleness.idle(LpId(0), ms(18, 20));
        idleness.idle(LpId(1), ms(10, 20));
        idleness.ready(GuestId(0), ms(12, 15));
        // It may not use LP 1, so that two are lost while both wait; the third waits for LP 0 as well.
        idleness.ready(GuestId(1), ms(14, 19));
        idleness.ready(GuestId(2), ms(16, 17));
        let idled = idleness.close();
        assert_eq!(
            idled.long,
            [ms(14, 15), ms(12, 19)].map(|it| it.end.since(it.start))
        );
    }

    #[test]
    fn idle_time_counts_where_others_could_have_moved() {
        // The first waits for LP 0, on which the second runs, which may move to LP 1; there the third runs, which
        // may move to LP 2, the idle one.
        let chain = |third: &'static [u32]| {
            let mut idleness = bound([&[0], &[0, 1], third]);
            idleness.ran(GuestId(1), LpId(0), ms(0, 100));
            idleness.ran(GuestId(2), LpId(1), ms(0, 70));
            idleness.ready(GuestId(0), ms(10, 100));
            idleness.idle(LpId(2), ms(0, 100));
            lasting(idleness)
        };
        assert_eq!(chain(&[1, 2]), 60);
        assert_eq!(chain(&[1]), 0);
    }

    #[test]
    fn what_is_short_is_a_move_under_way() {
        let mut idleness = Idleness::new(&burners(&[("a", 1)]));
        let us = |from, to| Nanos::from_micros(from)..Nanos::from_micros(to);
        for (from, length) in [(0, 150), (1_000, 250), (2_000, 300)] {
            idleness.idle(LpId(0), us(from, from + 900));
            idleness.ready(GuestId(0), us(from + 100, from + 100 + length));
        }
        let idled = idleness.close();
        let grace = Idled::grace(Nanos::from_micros(50));
        let micros = Nanos::from_micros;
        assert_eq!(idled.beyond(grace), (micros(300), micros(150 + 250)));
    }

    #[test]
    fn what_is_swept_away_has_been_counted() {
        for affinity in [None, Some([LpId(0)].into_iter().collect())] {
            let mut spec = burners(&[("a", 1)]);
            spec.guests[0].affinity = affinity;
            let mut idleness = Idleness::new(&spec);
            for second in 0..100 {
                let from = second * 1_000;
                idleness.ready(GuestId(0), ms(from + 10, from + 20));
                idleness.idle(LpId(0), ms(from, from + 100));
                idleness.ran(GuestId(0), LpId(0), ms(from + 100, from + 200));
            }
            assert!(idleness.edges.len() < 200, "{}", idleness.edges.len());
            assert_eq!(lasting(idleness), 1_000);
        }
    }
}
