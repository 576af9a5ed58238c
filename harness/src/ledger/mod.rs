//! Who received what and when: a run's log summed up in cells of measured time.
//!
//! Windows, phases and the whole run are sums of cells. A dispatch across a
//! border counts ran·overlap/(end − start) on each side.

mod cells;
mod closed;
mod delivery;
mod due;
mod idleness;
mod oracle;
mod outlook;
mod promise;
mod state;
mod wakes;
mod window;
mod wishes;

use crate::plan::{Roster, change_times};
use crate::statistics::quantile;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{Action, Change, Piece, RunSpec};
use apportion_scheduler::{Controls, GuestId, Happened, LpId, Nanos, VpId, What};
use cells::Cells;
use idleness::Idleness;
use promise::Promise;
use state::Turn;
use std::ops::Range;
use wakes::Wakes;
use wishes::{demands, scale};

pub(crate) use cells::{STEP, STEPS};
pub(crate) use closed::Closed;
pub(crate) use due::Due;
pub(crate) use idleness::Idled;
pub(crate) use outlook::Outlook;
pub(crate) use wakes::{Wake, periodic_burst};
pub(crate) use window::{LpSums, VpSums, Window};
pub(crate) use wishes::{arrivals, awaits_work, declared_demand};

/// The length of the shortest window that is judged.
pub(crate) const BIN: Nanos = Nanos::from_millis(100);

/// How precisely a run was kept: of the dispatches that ended and the lags that were sampled in its measured time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Precision {
    /// From a slice's planned end to the VP having left, ns; sorted once the ledger is closed.
    pub(crate) overshoots: Vec<f64>,
    /// Dispatches on another LP than the VP's last.
    pub(crate) migrations: u64,
    /// The largest lag in absolute terms, ns; `None` under a policy without.
    pub(crate) max_lag: Option<u64>,
}

impl Precision {
    /// A quantile of the overshoot.
    pub(crate) fn overshoot(&self, q: f64) -> Nanos {
        Nanos(quantile(&self.overshoots, q).round() as u64)
    }
}

/// Sums up one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    spec: RunSpec,
    roster: Roster,
    /// Known once the guests were started.
    cells: Option<Cells>,
    /// What the promise depends on, nearly in order.
    turns: Vec<(Nanos, Turn)>,
    /// When guests were changed by hand, in order.
    cuts: Vec<Nanos>,
    /// Each guest's present controls.
    controls: Vec<Controls>,
    /// When LPs were off line; without an end those that are.
    offline: Vec<(LpId, Nanos, Option<Nanos>)>,
    wakes: Wakes,
    idleness: Idleness,
    last_lp: Vec<Option<LpId>>,
}

impl Ledger {
    pub(crate) fn new(spec: &RunSpec, roster: &Roster) -> Ledger {
        Ledger {
            cells: None,
            turns: Vec::new(),
            cuts: Vec::new(),
            controls: spec.guests.iter().map(|guest| guest.controls).collect(),
            offline: Vec::new(),
            wakes: Wakes::new(spec, &roster.owners),
            idleness: Idleness::new(spec),
            last_lp: vec![None; roster.owners.len()],
            spec: spec.clone(),
            roster: roster.clone(),
        }
    }

    /// Begin of measuring and its planned end.
    pub(crate) fn measured(&self) -> Option<Range<Nanos>> {
        Some(self.cells.as_ref()?.measured.clone())
    }

    /// Enters what happened.
    pub(crate) fn enter(&mut self, entry: &LogEntry) {
        match *entry {
            LogEntry::GuestStarted { guest, at } => self.start(guest, at),
            LogEntry::GuestStopped { guest, at } | LogEntry::GuestCrashed { guest, at, .. } => {
                self.wakes.gone(self.roster.vps_of(guest));
                self.turns.push((at, Turn::Gone(guest)));
            }
            LogEntry::VpAdded { vp, at } => self.turns.push((at, Turn::Begins(vp))),
            LogEntry::ControlsChanged {
                guest,
                controls,
                at,
            } => {
                self.controls[guest.index()] = controls;
                self.turns.push((at, Turn::Controls(guest, controls)));
                self.cut_unless_planned(Action::SetControls { guest, controls }, at);
            }
            LogEntry::LpChanged { lp, online, at } => self.change_lp(lp, online, at),
            LogEntry::Vp(happened) => self.enter_happened(happened),
            LogEntry::Dispatch(dispatch) => self.enter_dispatch(&dispatch),
            LogEntry::Idle { lp, start, end } => self.enter_idle(lp, start..end),
            // Being interrupted is no wish to run: whoever sleeps wakes, and says so.
            LogEntry::InterruptsPosted { .. } => {}
            LogEntry::Sample { at, lag, .. } => {
                let cell = self.cells.as_mut().and_then(|cells| cells.at(at));
                if let (Some((_, lag)), Some(cell)) = (lag, cell) {
                    let max = &mut cell.precision.max_lag;
                    *max = (*max).max(Some(lag.unsigned_abs()));
                }
            }
        }
    }

    fn start(&mut self, guest: GuestId, at: Nanos) {
        if self.cells.is_none() {
            let from = at + self.spec.warm_up;
            let measured = from..from + self.spec.duration;
            let bound = self
                .spec
                .guests
                .iter()
                .any(|guest| guest.affinity.is_some());
            let lps = if bound { self.spec.lps as usize } else { 0 };
            let changes = change_times(&self.spec);
            self.cells = Some(Cells::new(
                at,
                measured,
                &changes,
                (self.last_lp.len(), lps),
            ));
        }
        let vps = self.roster.initial_vps_of(guest);
        self.turns.extend(vps.map(|vp| (at, Turn::Begins(vp))));
    }

    /// What is lost before a guest was changed by hand is not mixed with what is lost after it.
    fn cut_unless_planned(&mut self, done: Action, at: Nanos) {
        let Some(cells) = &mut self.cells else { return };
        let begun = cells.measured.start;
        let planned = |it: &Change| it.action == done && begun + it.at <= at;
        if !self.spec.changes.iter().any(planned) {
            cells.cut(at);
            self.cuts.push(at);
        }
    }

    fn change_lp(&mut self, lp: LpId, online: bool, at: Nanos) {
        self.turns.push((at, Turn::Lp(lp, online)));
        let open =
            |(of, _, until): &&mut (LpId, Nanos, Option<Nanos>)| *of == lp && until.is_none();
        match (online, self.offline.iter_mut().find(open)) {
            (true, Some((_, _, until))) => *until = Some(at),
            (false, None) => self.offline.push((lp, at, None)),
            _ => {}
        }
    }

    fn enter_happened(&mut self, Happened { vp, at, what }: Happened) {
        let guest = self.roster.owners[vp.index()].0.index();
        let payload = self.spec.guests[guest].payload;
        let told = declared_demand(payload).is_some() || awaits_work(payload);
        match what {
            What::Slept if !told => self.turns.push((at, Turn::Wants(vp, false))),
            What::Woke { due } => {
                let reserve = self.controls[guest].reserve.percent() / 100.0;
                self.wakes.woke(vp, due, reserve);
                if !told {
                    self.turns.push((due, Turn::Wants(vp, true)));
                }
            }
            // One that its cap holds still wants to run.
            What::Slept | What::Held | What::Released => {}
        }
    }

    fn enter_dispatch(&mut self, dispatch: &Dispatch) {
        self.wakes.dispatched(dispatch);
        let vp = dispatch.vp.index();
        let moved = self.last_lp[vp]
            .replace(dispatch.lp)
            .is_some_and(|lp| lp != dispatch.lp);
        let Some(cells) = &mut self.cells else { return };
        let Dispatch {
            ready, start, end, ..
        } = *dispatch;
        cells.spread(ready, start, |window, part| {
            window.vps[vp].ready += part * start.since(ready).0 as f64;
        });
        cells.spread(start, end, |window, part| {
            window.vps[vp].on_lp += part * end.since(start).0 as f64;
            window.vps[vp].received += part * dispatch.ran.0 as f64;
            window.vps[vp].work += part * dispatch.work as f64;
            if let Some(lp) = window.lps.get_mut(dispatch.lp.index()) {
                lp.received += part * dispatch.ran.0 as f64;
            }
        });
        if let Some(cell) = cells.at(start) {
            cell.sums.vps[vp].dispatches += 1.0;
        }
        if let Some(cell) = cells.at(dispatch.end) {
            cell.precision.migrations += u64::from(moved);
            // Both have used their slice up.
            if matches!(dispatch.reason, Reason::Slice | Reason::Capped) {
                let overshoot = dispatch.end.since(dispatch.start).since(self.spec.slice);
                cell.precision.overshoots.push(overshoot.0 as f64);
            }
        }
        let ready = clip(&(dispatch.ready..dispatch.start), &cells.measured);
        let guest = self.roster.owners[vp].0;
        self.idleness.ready(guest, ready);
        let ran = clip(&(start..end), &cells.measured);
        self.idleness.ran(guest, dispatch.lp, ran);
    }

    /// An LP that is off line is not idle.
    fn enter_idle(&mut self, lp: LpId, span: Range<Nanos>) {
        let Some(cells) = &mut self.cells else { return };
        let mut from = span.start;
        let mut parts = Vec::new();
        for &(_, off, on) in self.offline.iter().filter(|(of, ..)| *of == lp) {
            parts.push(from..off.min(span.end));
            from = from.max(on.unwrap_or(Nanos(u64::MAX)));
        }
        parts.push(from..span.end);
        for part in parts.into_iter().filter(|part| part.start < part.end) {
            let length = part.end.since(part.start).0 as f64;
            cells.spread(part.start, part.end, |window, share| {
                window.idle += share * length;
                if let Some(lp) = window.lps.get_mut(lp.index()) {
                    lp.idle += share * length;
                }
            });
            self.idleness.idle(lp, clip(&part, &cells.measured));
        }
    }

    /// Ends measuring at `until`: at the planned end, or after the last whole bin before an interruption.
    pub(crate) fn close(self, until: Nanos) -> Closed {
        let changes = change_times(&self.spec);
        let Some(cells) = self.cells else {
            return Closed::default();
        };
        let start = cells.measured.start;
        let mut precision = Precision::default();
        let mut windows = Vec::new();
        let (mut warm_up, measured) = cells.close(until);
        for mut cell in measured {
            precision.overshoots.append(&mut cell.precision.overshoots);
            precision.migrations += cell.precision.migrations;
            precision.max_lag = precision.max_lag.max(cell.precision.max_lag);
            windows.push(cell.sums);
        }
        precision.overshoots.sort_by(f64::total_cmp);
        let end = windows.last().map_or(start, |window| window.end);
        let (begun, gone) = lifetimes(&self.roster, &self.turns);
        let controls = |turn: &(Nanos, Turn)| match turn {
            (at, Turn::Controls(guest, controls)) => Some((*at, *guest, *controls)),
            _ => None,
        };
        let changes: Vec<Nanos> = changes.into_iter().map(|at| start + at).collect();
        let controls = self.turns.iter().filter_map(controls).collect();
        let warmed_up = sum_of_received(&warm_up, begun.len());
        let measured = sum_of_received(&windows, begun.len());
        let mut turns = self.turns;
        let mut work_scale = vec![1.0; begun.len()];
        let mut arrived = vec![Vec::new(); begun.len()];
        for (vp, (before, measured)) in warmed_up.iter().zip(&measured).enumerate() {
            let Some(begun) = begun[vp] else { continue };
            let id = VpId(vp as u32);
            let pieces = || arrivals(&self.spec, &self.roster, id, (begun, gone[vp]), end);
            let scale = scale(pieces(), before + measured);
            let scaled = |it: Piece| (it.at, it.run.0 as f64 * scale);
            arrived[vp] = pieces().map(scaled).collect();
            let arrives = |&(at, run): &(Nanos, f64)| (at, Turn::Arrives(id, run));
            turns.extend(arrived[vp].iter().map(arrives));
            work_scale[vp] = scale;
        }
        // Entries come nearly in order, and a VP wakes when it was due.
        turns.sort_by_key(|(at, _)| *at);
        let received = part_received(&self.roster, (&begun, &gone), &(start..end), &measured);
        let demands = demands(&self.spec, &received);
        let mut promise = Promise::new(&self.spec, &self.roster, demands, &turns);
        promise.settle(&mut warm_up, |_, _| false);
        let passed = |of: &[Nanos], cell: &Window| of.partition_point(|at| *at <= cell.start);
        let piece = |cell: &Window| {
            let bin = cell.start.since(start).0 / BIN.0;
            (bin, passed(&changes, cell), passed(&self.cuts, cell))
        };
        let reserves_kept = promise.settle(&mut windows, |a, b| piece(a) == piece(b));
        Closed {
            measured: start..end,
            warmed_up,
            work_scale,
            arrivals: arrived,
            begun,
            gone,
            controls,
            reserves_kept,
            wakes: self.wakes.close(start, end),
            idled: self.idleness.close(),
            changes,
            cells: windows,
            precision,
        }
    }
}

/// By VP, when it began to exist, and when its guest was gone.
fn lifetimes(roster: &Roster, turns: &[(Nanos, Turn)]) -> (Vec<Option<Nanos>>, Vec<Option<Nanos>>) {
    let mut begun = vec![None; roster.owners.len()];
    let mut gone = begun.clone();
    for (at, turn) in turns {
        match turn {
            Turn::Begins(vp) => begun[vp.index()] = Some(*at),
            Turn::Gone(guest) => {
                for vp in roster.vps_of(*guest) {
                    gone[vp.index()].get_or_insert(*at);
                }
            }
            _ => {}
        }
    }
    (begun, gone)
}

/// By VP, ns.
fn sum_of_received(windows: &[Window], vps: usize) -> Vec<f64> {
    let each = |vp: usize| windows.iter().map(move |window| window.vps[vp].received);
    (0..vps).map(|vp| each(vp).sum()).collect()
}

/// By guest, the part of an LP that each of its VPs received while it was there and `measured`, of what each VP
/// `received` then, ns.
fn part_received(
    roster: &Roster,
    (begun, gone): (&[Option<Nanos>], &[Option<Nanos>]),
    measured: &Range<Nanos>,
    received: &[f64],
) -> Vec<f64> {
    let of = |guest: GuestId| {
        let vps = roster.vps_of(guest);
        let there = vps.iter().filter_map(|vp| {
            let from = begun[vp.index()]?.max(measured.start);
            let until = gone[vp.index()].map_or(measured.end, |at| at.min(measured.end));
            Some(until.since(from).0 as f64)
        });
        match there.sum::<f64>() {
            0.0 => 0.0,
            there => vps.iter().map(|vp| received[vp.index()]).sum::<f64>() / there,
        }
    };
    roster.guests().map(of).collect()
}

fn clip(span: &Range<Nanos>, to: &Range<Nanos>) -> Range<Nanos> {
    span.start.max(to.start)..span.end.min(to.end)
}

#[cfg(test)]
mod tests;
