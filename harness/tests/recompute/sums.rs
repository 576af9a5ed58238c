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
    /// What losses leave of it.
    pub(super) reserve_left: f64,
    pub(super) present: f64,
    pub(super) expected: f64,
}

/// What a VP is promised, per ns of wall time.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    x: f64,
    cap: f64,
    reserve: f64,
    reserve_left: f64,
    present: f64,
}

/// Between two turns nothing changes: what each VP is promised, and how many LPs are on line.
#[derive(Debug)]
pub(super) struct Segment {
    from: f64,
    to: f64,
    lps: f64,
    /// By VP.
    vps: Vec<Rate>,
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

    /// From one moment to another, each LP delivering that part of itself.
    fn segments(&self, state: &mut State, (from, to): (f64, f64), delivered: f64) -> Vec<Segment> {
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
            let vps = self.rates(lps, delivered, state);
            let works = |vp: &usize| state.wants[*vp] && self.awaits_work[self.vps[*vp].0];
            let at_work: Vec<usize> = (0..vps.len()).filter(works).collect();
            let mut until = self.turns.get(state.next).map_or(to, |next| next.0.min(to));
            for &vp in &at_work {
                until = until.min(now + state.left[vp] / vps[vp].x);
            }
            for &vp in &at_work {
                state.left[vp] -= vps[vp].x * (until - now);
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

    fn rates(&self, lps: f64, delivered: f64, state: &State) -> Vec<Rate> {
        let there: Vec<usize> = (0..state.wants.len())
            .filter(|&vp| state.wants[vp])
            .collect();
        let guest = |vp: usize| self.vps[vp].0;
        let claims: Vec<_> = there
            .iter()
            .map(|&vp| {
                let of = state.controls[guest(vp)];
                let siblings = there
                    .iter()
                    .filter(|&&other| guest(other) == guest(vp))
                    .count();
                let sharers = if self.per_guest { siblings as f64 } else { 1.0 };
                let upper = of.cap.min(self.demand[guest(vp)].unwrap_or(1.0));
                (of.weight / sharers, of.reserve, upper)
            })
            .collect();
        // An LP has no more for a VP than it delivers.
        let lossy: Vec<_> = claims
            .iter()
            .map(|&(w, r, u)| (w, r, u.min(delivered)))
            .collect();
        let solved = parts(lps * delivered, &lossy, self.additive);
        let whole = parts(lps, &claims, self.additive);
        let rate = |vp: usize| {
            let of = state.controls[guest(vp)];
            let declared = self.demand[guest(vp)];
            let mut rate = Rate {
                cap: of.cap,
                reserve: of.reserve,
                reserve_left: of.reserve,
                present: 1.0,
                ..Rate::default()
            };
            let at = there.iter().position(|&other| other == vp);
            if let Some(at) = at {
                rate.x = solved[at];
                let held = of.reserve.min(claims[at].2);
                if whole[at] < held - EQUAL {
                    rate.reserve = whole[at];
                }
                if solved[at] < held - EQUAL {
                    rate.reserve_left = solved[at].min(rate.reserve);
                }
            }
            let asleep = at.is_none() && !self.awaits_work[guest(vp)];
            let demand = declared.unwrap_or(if asleep { 0.0 } else { 1.0 });
            rate.reserve = rate.reserve.min(demand);
            rate.reserve_left = rate.reserve_left.min(demand);
            rate
        };
        let present = |vp: usize| state.present[vp];
        let each = (0..state.wants.len()).map(|vp| {
            if present(vp) {
                rate(vp)
            } else {
                Rate::default()
            }
        });
        each.collect()
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
    /// j.
    pub(super) overshoot: f64,
}

impl<'a> Book<'a> {
    pub(super) fn new(run: &'a Run) -> Book<'a> {
        let mut book = Book {
            run,
            segments: Vec::new(),
            overshoot: run.overshoot(),
        };
        let mut state = run.begin();
        for piece in run.pieces() {
            let delivered = book.part_delivered(&state, piece);
            book.segments
                .extend(run.segments(&mut state, piece, delivered));
        }
        book
    }

    /// The part of itself that an LP delivers in a piece: what is lost is lost of the time that LPs were busy, or
    /// should have been.
    fn part_delivered(&self, state: &State, piece: (f64, f64)) -> f64 {
        let (mut wall, mut promised) = (0.0, 0.0);
        for it in self.run.segments(&mut state.clone(), piece, 1.0) {
            let span = it.to - it.from;
            wall += span * it.lps;
            promised += span * it.vps.iter().map(|vp| vp.x).sum::<f64>();
        }
        let idle = self.run.idle.iter();
        let idle: f64 = idle.map(|&(_, from, to)| overlap((from, to), piece)).sum();
        let lost = wall - self.delivered(piece);
        let at_work = f64::max(wall - idle, promised);
        if lost > 0.0 && at_work > 0.0 {
            (1.0 - lost / at_work).max(0.0)
        } else {
            1.0
        }
    }

    /// The largest error of `vps` VPs at either end of a window, in ns.
    pub(super) fn bound_ns(&self, vps: usize) -> f64 {
        let b = self.run.slice + self.overshoot;
        let b = match (self.run.lps, self.run.nodes) {
            (1, _) => b,
            (_, 1) => 2.0 * b,
            _ => 2.0 * b + 4.0 * self.run.slice,
        };
        vps as f64 * 2.0 * b
    }

    /// What its reserve, and what losses leave of that, gives a VP of the work that arrives for it: the backlog as the
    /// window begins, and what arrives later.
    pub(super) fn work_due(&self, vp: usize, window: (f64, f64)) -> (f64, f64) {
        let run = self.run;
        let dispatches = run.dispatches.iter().filter(|it| it.vp == vp);
        let received: f64 = dispatches
            .map(|it| it.ran * inside((it.start, it.end), (0.0, window.0)))
            .sum();
        let arrivals = run.turns.iter().filter_map(|&(at, turn)| match turn {
            Turn::Arrives(of, work) if of == vp && at < window.1 => Some((at, work)),
            _ => None,
        });
        let (before, during): (Vec<_>, Vec<_>) = arrivals.partition(|(at, _)| *at <= window.0);
        let arrived: f64 = before.iter().map(|(_, work)| work).sum();
        let backlog = (arrived - received).max(0.0);
        let drain = |rate: fn(&Rate) -> f64| {
            let (mut left, mut done, mut coming) = (backlog, 0.0, during.iter().peekable());
            for segment in &self.segments {
                let (mut now, end) = (segment.from.max(window.0), segment.to.min(window.1));
                while now < end {
                    let next = coming.peek().map_or(end, |(at, _)| at.clamp(now, end));
                    let part = f64::min(left, rate(&segment.vps[vp]) * (next - now));
                    (left, done, now) = (left - part, done + part, next);
                    while let Some((_, work)) = coming.next_if(|(at, _)| *at <= now) {
                        left += work;
                    }
                }
            }
            done
        };
        (drain(|rate| rate.reserve), drain(|rate| rate.reserve_left))
    }

    fn segments_in(&self, window: (f64, f64)) -> impl Iterator<Item = (f64, &Segment)> {
        let spans = self
            .segments
            .iter()
            .map(move |it| (overlap((it.from, it.to), window), it));
        spans.filter(|(span, _)| *span > 0.0)
    }

    /// Received by guests plus idle, ns.
    fn delivered(&self, window: (f64, f64)) -> f64 {
        let dispatches = self.run.dispatches.iter();
        let received = dispatches.map(|it| it.ran * inside((it.start, it.end), window));
        let idle = self.run.idle.iter();
        let idle = idle.map(|&(_, from, to)| overlap((from, to), window));
        received.sum::<f64>() + idle.sum::<f64>()
    }

    pub(super) fn totals(&self, window: (f64, f64)) -> Totals {
        let mut vps = vec![Sums::default(); self.run.vps.len()];
        let mut wall = 0.0;
        for dispatch in &self.run.dispatches {
            let part = inside((dispatch.start, dispatch.end), window);
            vps[dispatch.vp].received += part * dispatch.ran;
            vps[dispatch.vp].work += part * dispatch.work;
        }
        for (span, segment) in self.segments_in(window) {
            wall += span * segment.lps;
            for (sums, rate) in vps.iter_mut().zip(&segment.vps) {
                sums.expected += span * rate.x;
                sums.cap += span * rate.cap;
                sums.reserve += span * rate.reserve;
                sums.reserve_left += span * rate.reserve_left;
                sums.present += span * rate.present;
            }
        }
        Totals {
            vps,
            delivered: self.delivered(window),
            wall,
        }
    }
}
