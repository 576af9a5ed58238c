//! What VPs received over a span, and what they were promised: a fluid that follows what arrived and what was lost.

use super::formula::parts;
use super::run::{Controls, Run, Turn};

/// Parts of an LP that differ by less are equal.
const EQUAL: f64 = 1e-6;

/// Over some span, ns but for `work`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) received: f64,
    pub(super) work: f64,
    pub(super) cap: f64,
    pub(super) reserve: f64,
    pub(super) wanted: f64,
    pub(super) present: f64,
    pub(super) expected: f64,
}

/// Between two turns nothing changes: what each VP is promised, and how many LPs are on line.
#[derive(Debug)]
pub(super) struct Segment {
    from: f64,
    to: f64,
    lps: f64,
    /// By VP: (x, whether a loss is missing to it, cap, reserve, wanted, present).
    vps: Vec<(f64, bool, f64, f64, f64, f64)>,
}

#[derive(Debug)]
pub(super) struct Totals {
    pub(super) vps: Vec<Sums>,
    pub(super) delivered: f64,
    pub(super) wall: f64,
}

/// The part of `span` inside `window`, 0 to 1.
pub(super) fn inside(span: (f64, f64), window: (f64, f64)) -> f64 {
    let overlap = overlap(span, window);
    if overlap > 0.0 {
        overlap / (span.1 - span.0)
    } else {
        0.0
    }
}

pub(super) fn overlap(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.1.min(b.1) - a.0.max(b.0)).max(0.0)
}

/// Who wants what at a moment.
#[derive(Clone, Debug)]
struct State {
    controls: Vec<Controls>,
    online: Vec<bool>,
    present: Vec<bool>,
    wants: Vec<bool>,
    /// By VP: work that is left of what arrived.
    left: Vec<f64>,
    /// Turns up to here have been.
    next: usize,
}

/// What is kept of the promises that a loss takes from, and of the others.
type Kept = (f64, f64);

impl Run {
    fn begin(&self) -> State {
        State {
            controls: self.controls.clone(),
            online: vec![true; self.lps],
            present: vec![false; self.vps.len()],
            wants: vec![false; self.vps.len()],
            left: vec![0.0; self.vps.len()],
            next: 0,
        }
    }

    fn turn(&self, state: &mut State, turn: Turn) {
        let guest = |vp: usize| self.vps[vp].0;
        let State {
            present,
            wants,
            left,
            ..
        } = state;
        match turn {
            Turn::Begins(vp) => (present[vp], wants[vp]) = (true, !self.awaits_work[guest(vp)]),
            Turn::Ends(vp) => (present[vp], wants[vp]) = (false, false),
            // The demand of a periodic VP is declared, that of others is what arrives.
            Turn::Wants(vp, _)
                if self.demand[guest(vp)].is_some() || self.awaits_work[guest(vp)] => {}
            Turn::Wants(vp, yes) => wants[vp] = yes && present[vp],
            Turn::Arrives(vp, work) if present[vp] => {
                left[vp] += work;
                wants[vp] = true;
            }
            Turn::Arrives(..) => {}
            Turn::Controls(guest, new) => state.controls[guest] = new,
            Turn::Lp(lp, yes) => state.online[lp] = yes,
        }
    }

    /// From one moment to another, so much being kept of what is promised.
    fn segments(&self, state: &mut State, (from, to): (f64, f64), kept: Kept) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut now = from;
        while now < to {
            while let Some(&(at, turn)) = self.turns.get(state.next)
                && at <= now
            {
                self.turn(state, turn);
                state.next += 1;
            }
            let lps = state.online.iter().filter(|on| **on).count() as f64;
            let vps = self.rates(lps, &state.controls, &state.present, &state.wants);
            let speed = |vp: usize| vps[vp].0 * if vps[vp].1 { kept.0 } else { kept.1 };
            let works = |vp: &usize| state.wants[*vp] && self.awaits_work[self.vps[*vp].0];
            let at_work: Vec<usize> = (0..vps.len()).filter(works).collect();
            let mut until = self.turns.get(state.next).map_or(to, |next| next.0.min(to));
            for &vp in &at_work {
                until = until.min(now + state.left[vp] / speed(vp));
            }
            for &vp in &at_work {
                state.left[vp] -= speed(vp) * (until - now);
                // So little, ns, is what rounding leaves.
                if state.left[vp] < 1e-3 {
                    (state.left[vp], state.wants[vp]) = (0.0, false);
                }
            }
            segments.push(Segment {
                from: now,
                to: until,
                lps,
                vps,
            });
            now = until;
        }
        segments
    }

    fn rates(
        &self,
        lps: f64,
        controls: &[Controls],
        present: &[bool],
        wants: &[bool],
    ) -> Vec<(f64, bool, f64, f64, f64, f64)> {
        let there: Vec<usize> = (0..wants.len()).filter(|&vp| wants[vp]).collect();
        let guest = |vp: usize| self.vps[vp].0;
        let claims: Vec<_> = there
            .iter()
            .map(|&vp| {
                let of = controls[guest(vp)];
                let siblings = there
                    .iter()
                    .filter(|&&other| guest(other) == guest(vp))
                    .count();
                let sharers = if self.per_guest { siblings as f64 } else { 1.0 };
                let upper = of.cap.min(self.demand[guest(vp)].unwrap_or(1.0));
                (of.weight / sharers, of.reserve, upper)
            })
            .collect();
        let solved = parts(lps, &claims, self.additive);
        let busy = solved.iter().sum::<f64>() > lps - EQUAL;
        (0..wants.len())
            .map(|vp| {
                let of = controls[guest(vp)];
                if !present[vp] {
                    return Default::default();
                }
                let Some(at) = there.iter().position(|&other| other == vp) else {
                    return (0.0, false, of.cap, of.reserve, 0.0, 1.0);
                };
                let (x, upper) = (solved[at], claims[at].2);
                let has_it_all = x > upper - EQUAL;
                let sated = self.demand[guest(vp)].is_some_and(|demand| demand <= upper);
                let loses = if busy {
                    !(has_it_all && sated)
                } else {
                    !has_it_all || x > 1.0 - EQUAL
                };
                let scaled = x < of.reserve.min(upper) - EQUAL;
                let reserve = if scaled { x } else { of.reserve };
                let wanted = if self.demand[guest(vp)].is_none() {
                    1.0
                } else {
                    0.0
                };
                (x, loses, of.cap, reserve, wanted, 1.0)
            })
            .collect()
    }

    /// Where the loss is told anew: every 100 ms, where a change was due, and where one was made by hand.
    fn pieces(&self) -> Vec<(f64, f64)> {
        let (from, to) = self.measured;
        let start = self
            .turns
            .iter()
            .find(|(_, turn)| matches!(turn, Turn::Begins(_)));
        let start = start.map_or(from, |(at, _)| *at);
        let bins = ((to - from) / 1e8).ceil() as usize;
        let mut borders: Vec<f64> = (0..bins).map(|bin| from + bin as f64 * 1e8).collect();
        let cuts = self.changes.iter().chain(&self.cuts);
        borders.extend(cuts.filter(|at| **at > from && **at < to));
        borders.push(to);
        let before = (1..).map(|bin| from - bin as f64 * 1e8);
        borders.extend(before.take_while(|at| *at > start));
        borders.push(start.min(from));
        borders.sort_by(f64::total_cmp);
        borders.dedup();
        borders.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// A run with what is worked out once for all windows.
#[derive(Debug)]
pub(super) struct Book<'a> {
    pub(super) run: &'a Run,
    segments: Vec<Segment>,
    /// With the parts that are left of promises that a loss takes from, and of the others.
    pieces: Vec<((f64, f64), f64, f64)>,
    /// j.
    pub(super) overshoot: f64,
}

impl<'a> Book<'a> {
    pub(super) fn new(run: &'a Run) -> Book<'a> {
        let mut book = Book {
            run,
            segments: Vec::new(),
            pieces: Vec::new(),
            overshoot: run.overshoot(),
        };
        let mut state = run.begin();
        for piece in run.pieces() {
            let kept = book.kept(&state, piece);
            book.segments.extend(run.segments(&mut state, piece, kept));
            book.pieces.push((piece, kept.0, kept.1));
        }
        book
    }

    /// How much is kept of promises in a piece, so that what is missing to them is what was lost. Halves where it lies.
    fn kept(&self, state: &State, piece: (f64, f64)) -> Kept {
        let delivered = self.delivered(piece);
        // (wall, promises that a loss takes from, others)
        let promised = |kept: Kept| {
            let segments = self.run.segments(&mut state.clone(), piece, kept);
            let mut sums = (0.0, 0.0, 0.0);
            for it in segments {
                let span = it.to - it.from;
                sums.0 += span * it.lps;
                for vp in &it.vps {
                    *(if vp.1 { &mut sums.1 } else { &mut sums.2 }) += span * vp.0;
                }
            }
            sums
        };
        let halve = |is_too_much: &dyn Fn(f64) -> bool| {
            if !is_too_much(1.0) {
                return 1.0;
            }
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..40 {
                let middle = (low + high) / 2.0;
                *(if is_too_much(middle) {
                    &mut high
                } else {
                    &mut low
                }) = middle;
            }
            low
        };
        let loses = halve(&|kept| {
            let (wall, loses, _) = promised((kept, 1.0));
            (1.0 - kept) * loses < wall - delivered
        });
        let others = if loses > 1e-9 {
            1.0
        } else {
            halve(&|kept| kept * promised((0.0, kept)).2 > delivered)
        };
        (loses, others)
    }

    /// The largest error of `vps` VPs at either end of a window, in ns.
    pub(super) fn bound_ns(&self, vps: usize) -> f64 {
        let b = self.run.slice + self.overshoot;
        vps as f64 * 2.0 * if self.run.lps == 1 { b } else { 2.0 * b }
    }

    pub(super) fn totals(&self, window: (f64, f64)) -> Totals {
        let mut totals = self.received(window);
        for &(piece, kept, safe_kept) in &self.pieces {
            let part = (piece.0.max(window.0), piece.1.min(window.1));
            if part.0 >= part.1 {
                continue;
            }
            for (sums, (loses, safe)) in totals.vps.iter_mut().zip(self.promised(part)) {
                sums.expected += loses * kept + safe * safe_kept;
            }
        }
        totals
    }

    fn segments_in(&self, window: (f64, f64)) -> impl Iterator<Item = (f64, &Segment)> {
        let spans = self
            .segments
            .iter()
            .map(move |it| (overlap((it.from, it.to), window), it));
        spans.filter(|(span, _)| *span > 0.0)
    }

    /// By VP the promise that a loss takes from, and the one that it does not.
    fn promised(&self, window: (f64, f64)) -> Vec<(f64, f64)> {
        let mut promised = vec![(0.0, 0.0); self.run.vps.len()];
        for (span, segment) in self.segments_in(window) {
            for (to, rate) in promised.iter_mut().zip(&segment.vps) {
                *(if rate.1 { &mut to.0 } else { &mut to.1 }) += span * rate.0;
            }
        }
        promised
    }

    /// Received by guests plus idle, ns.
    fn delivered(&self, window: (f64, f64)) -> f64 {
        let dispatches = self.run.dispatches.iter();
        let received = dispatches.map(|it| it.ran * inside((it.start, it.end), window));
        let idle = self.run.idle.iter();
        let idle = idle.map(|&(_, from, to)| overlap((from, to), window));
        received.sum::<f64>() + idle.sum::<f64>()
    }

    /// All but what is expected.
    fn received(&self, window: (f64, f64)) -> Totals {
        let mut vps = vec![Sums::default(); self.run.vps.len()];
        let mut wall = 0.0;
        for dispatch in &self.run.dispatches {
            let part = inside((dispatch.start, dispatch.end), window);
            vps[dispatch.vp].received += part * dispatch.ran;
            vps[dispatch.vp].work += part * dispatch.work;
        }
        for (span, segment) in self.segments_in(window) {
            wall += span * segment.lps;
            for (sums, &(_, _, cap, reserve, wanted, present)) in vps.iter_mut().zip(&segment.vps) {
                sums.cap += span * cap;
                sums.reserve += span * reserve;
                sums.wanted += span * wanted;
                sums.present += span * present;
            }
        }
        Totals {
            vps,
            delivered: self.delivered(window),
            wall,
        }
    }
}
