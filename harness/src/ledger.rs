//! Who received what and when: a run's log summed up in bins of 100 ms of measured time.
//!
//! Longer windows and the whole run are sums of bins. A dispatch across a
//! border counts ran·overlap/(end − start) on each side.

use crate::statistics::quantile;
use apportion_hypervisor::RunSpec;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_scheduler::{GuestId, LpId, Nanos};
use apportion_workloads::expected::{Claim, ReserveModel, expected};
use std::ops::Range;

/// The length of a bin.
pub(crate) const BIN: Nanos = Nanos::from_millis(100);

/// What one window's sums are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// On the engine's clock.
    pub(crate) start: Nanos,
    /// On the engine's clock.
    pub(crate) end: Nanos,
    /// By VP: CPU time received, ns.
    pub(crate) received: Vec<f64>,
    /// By VP: units of work.
    pub(crate) work: Vec<f64>,
    /// By VP: what the formula promises of wall time, ns.
    pub(crate) promised: Vec<f64>,
    /// Of all LPs, ns.
    pub(crate) idle: f64,
}

impl Window {
    /// Received by guests plus idle, ns.
    pub(crate) fn delivered(&self) -> f64 {
        self.received.iter().sum::<f64>() + self.idle
    }

    /// Wall time of all LPs, ns.
    pub(crate) fn wall(&self, lps: u32) -> f64 {
        self.end.since(self.start).0 as f64 * f64::from(lps)
    }
}

/// One bin of the sums.
#[derive(Clone, Debug)]
struct Bin {
    received: Vec<f64>,
    work: Vec<f64>,
    idle: f64,
    precision: Precision,
}

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
    /// Begin and planned end of measuring, known once the guests were started.
    measured: Option<Range<Nanos>>,
    bins: Vec<Bin>,
    /// From when on which VPs wanted to run.
    runnable: Vec<(Nanos, Vec<bool>)>,
    last_lp: Vec<Option<LpId>>,
}

impl Ledger {
    pub(crate) fn new(spec: &RunSpec) -> Ledger {
        let vps = spec.owners().len();
        Ledger {
            spec: spec.clone(),
            measured: None,
            bins: Vec::new(),
            runnable: vec![(Nanos::ZERO, vec![false; vps])],
            last_lp: vec![None; vps],
        }
    }

    /// Begin of measuring and its planned end.
    pub(crate) fn measured(&self) -> Option<Range<Nanos>> {
        self.measured.clone()
    }

    /// Enters what happened.
    pub(crate) fn enter(&mut self, entry: &LogEntry) {
        match *entry {
            LogEntry::GuestStarted { guest, at } => {
                if self.measured.is_none() {
                    let from = at + self.spec.warm_up;
                    self.measured = Some(from..from + self.spec.duration);
                }
                self.set_runnable(guest, at, true);
            }
            LogEntry::GuestCrashed { guest, at, .. } => self.set_runnable(guest, at, false),
            LogEntry::Dispatch(dispatch) => self.enter_dispatch(&dispatch),
            LogEntry::Idle { start, end, .. } => {
                self.spread(start, end, |bin, part| {
                    bin.idle += part * end.since(start).0 as f64
                });
            }
            LogEntry::Sample { at, lag, .. } => {
                if let (Some((_, lag)), Some(bin)) = (lag, self.bin_at(at)) {
                    bin.precision.max_lag = bin.precision.max_lag.max(Some(lag.unsigned_abs()));
                }
            }
        }
    }

    /// The bin that `at` falls into, if it is measured.
    fn bin_at(&mut self, at: Nanos) -> Option<&mut Bin> {
        let measured = self.measured.clone()?;
        let index = bin_index(&measured, at);
        measured.contains(&at).then(|| self.bin(index))
    }

    fn bin(&mut self, index: usize) -> &mut Bin {
        if self.bins.len() <= index {
            self.bins.resize(index + 1, self.empty_bin());
        }
        &mut self.bins[index]
    }

    fn enter_dispatch(&mut self, dispatch: &Dispatch) {
        let vp = dispatch.vp.index();
        self.spread(dispatch.start, dispatch.end, |bin, part| {
            bin.received[vp] += part * dispatch.ran.0 as f64;
            bin.work[vp] += part * dispatch.work as f64;
        });
        let moved = self.last_lp[vp]
            .replace(dispatch.lp)
            .is_some_and(|lp| lp != dispatch.lp);
        let overshoot = dispatch.end.since(dispatch.start).since(self.spec.slice);
        if let Some(bin) = self.bin_at(dispatch.end) {
            bin.precision.migrations += u64::from(moved);
            if dispatch.reason == Reason::Slice {
                bin.precision.overshoots.push(overshoot.0 as f64);
            }
        }
    }

    /// Calls `add` for every bin that `start..end` touches, with the part (0 to 1) of it that falls there.
    fn spread(&mut self, start: Nanos, end: Nanos, mut add: impl FnMut(&mut Bin, f64)) {
        let Some(measured) = self.measured.clone() else {
            return;
        };
        let length = end.since(start).0 as f64;
        let (from, until) = (start.max(measured.start), end.min(measured.end));
        if from >= until || length == 0.0 {
            return;
        }
        // `until` is exclusive: its last nanosecond decides.
        for index in bin_index(&measured, from)..=bin_index(&measured, until - Nanos(1)) {
            let bounds = bin_bounds(&measured, index);
            let overlap = until.min(bounds.end).since(from.max(bounds.start));
            add(self.bin(index), overlap.0 as f64 / length);
        }
    }

    fn empty_bin(&self) -> Bin {
        let vps = self.last_lp.len();
        Bin {
            received: vec![0.0; vps],
            work: vec![0.0; vps],
            idle: 0.0,
            precision: Precision::default(),
        }
    }

    fn set_runnable(&mut self, guest: GuestId, at: Nanos, runnable: bool) {
        let mut set = self.runnable.last().expect("begins with one").1.clone();
        for vp in self.spec.vps_of(guest) {
            set[vp.index()] = runnable;
        }
        self.runnable.push((at, set));
    }

    /// Ends measuring at `until`: at the planned end, or after the last whole bin before an interruption.
    pub(crate) fn close(&mut self, until: Nanos) -> Closed {
        let measured = self.measured.clone().unwrap_or(Nanos::ZERO..Nanos::ZERO);
        let (bins, until) = if until >= measured.end {
            let bins = measured.end.since(measured.start).0.div_ceil(BIN.0) as usize;
            (bins, measured.end)
        } else {
            let bins = bin_index(&measured, until);
            (bins, measured.start + Nanos(bins as u64 * BIN.0))
        };
        self.bins.resize(bins, self.empty_bin());
        let mut precision = Precision::default();
        for bin in &mut self.bins {
            precision.overshoots.append(&mut bin.precision.overshoots);
            precision.migrations += bin.precision.migrations;
            precision.max_lag = precision.max_lag.max(bin.precision.max_lag);
        }
        precision.overshoots.sort_by(f64::total_cmp);
        let promises = self.promises();
        let range = measured.start..until;
        let bins = self
            .bins
            .iter()
            .enumerate()
            .map(|(index, bin)| {
                let Range { start, end } = bin_bounds(&range, index);
                Window {
                    start,
                    end,
                    received: bin.received.clone(),
                    work: bin.work.clone(),
                    promised: promised(&promises, start..end, self.last_lp.len()),
                    idle: bin.idle,
                }
            })
            .collect();
        Closed {
            bins,
            measured: range,
            precision,
        }
    }

    /// From when on what the formula promises each VP, in LPs.
    fn promises(&self) -> Vec<(Nanos, Vec<f64>)> {
        let controls: Vec<_> = self
            .spec
            .guests
            .iter()
            .flat_map(|guest| (0..guest.vps).map(|_| guest.controls))
            .collect();
        self.runnable
            .iter()
            .map(|(from, set)| {
                let wanting: Vec<usize> = (0..set.len()).filter(|&vp| set[vp]).collect();
                let claims: Vec<Claim> = wanting
                    .iter()
                    .map(|&vp| Claim::burning(&controls[vp]))
                    .collect();
                let parts = expected(self.spec.lps, &claims, ReserveModel::Additive);
                let mut promise = vec![0.0; set.len()];
                for (vp, part) in wanting.into_iter().zip(parts) {
                    promise[vp] = part;
                }
                (*from, promise)
            })
            .collect()
    }
}

/// ∫ of the promises over `window`, by VP, in ns.
fn promised(promises: &[(Nanos, Vec<f64>)], window: Range<Nanos>, vps: usize) -> Vec<f64> {
    let mut sums = vec![0.0; vps];
    for (index, (from, parts)) in promises.iter().enumerate() {
        let next = promises
            .get(index + 1)
            .map_or(Nanos(u64::MAX), |(at, _)| *at);
        let overlap = next.min(window.end).since(window.start.max(*from)).0 as f64;
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += overlap * part;
        }
    }
    sums
}

fn bin_index(measured: &Range<Nanos>, at: Nanos) -> usize {
    (at.since(measured.start).0 / BIN.0) as usize
}

fn bin_bounds(measured: &Range<Nanos>, bin: usize) -> Range<Nanos> {
    let start = measured.start + Nanos(bin as u64 * BIN.0);
    start..(start + BIN).min(measured.end)
}

/// The sums of a run that has ended.
#[derive(Debug)]
pub(crate) struct Closed {
    bins: Vec<Window>,
    /// What was measured.
    pub(crate) measured: Range<Nanos>,
    /// How precisely.
    pub(crate) precision: Precision,
}

impl Closed {
    /// The whole measured time; `None` where nothing was measured.
    pub(crate) fn whole(&self) -> Option<Window> {
        merge(&self.bins)
    }

    /// Consecutive windows of `length`, a multiple of [`BIN`]; a shorter rest is left out.
    pub(crate) fn windows(&self, length: Nanos) -> impl Iterator<Item = Window> {
        let per_window = (length.0 / BIN.0) as usize;
        self.bins
            .chunks_exact(per_window)
            .filter_map(merge)
            .filter(move |window| window.end.since(window.start) == length)
    }
}

fn merge(bins: &[Window]) -> Option<Window> {
    let mut merged = bins.first()?.clone();
    let add = |sums: &mut Vec<f64>, more: &[f64]| {
        sums.iter_mut()
            .zip(more)
            .for_each(|(sum, value)| *sum += value);
    };
    for bin in &bins[1..] {
        merged.end = bin.end;
        merged.idle += bin.idle;
        add(&mut merged.received, &bin.received);
        add(&mut merged.work, &bin.work);
        add(&mut merged.promised, &bin.promised);
    }
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_hypervisor::{GuestSpec, Payload};
    use apportion_scheduler::{Controls, PolicyKind, VpId, Weight};

    const MS: u64 = 1_000_000;

    fn ms(value: u64) -> Nanos {
        Nanos(value * MS)
    }

    fn spec() -> RunSpec {
        let guest = |name: &str, weight| GuestSpec {
            name: name.to_owned(),
            vps: 1,
            controls: Controls::with_weight(Weight::new(weight).unwrap()),
            payload: Payload::Burn,
        };
        RunSpec {
            lps: 1,
            slice: ms(1),
            policy: PolicyKind::Fair,
            guests: vec![guest("a", 300), guest("b", 100)],
            warm_up: ms(100),
            duration: ms(250),
        }
    }

    fn started() -> Ledger {
        let mut ledger = Ledger::new(&spec());
        for guest in [GuestId(0), GuestId(1)] {
            ledger.enter(&LogEntry::GuestStarted {
                guest,
                at: ms(1000),
            });
        }
        ledger
    }

    fn dispatch(vp: u32, start: Nanos, end: Nanos, ran: Nanos) -> LogEntry {
        LogEntry::Dispatch(Dispatch {
            lp: LpId(0),
            vp: VpId(vp),
            ready: start,
            start,
            end,
            ran,
            work: 100,
            reason: Reason::Slice,
        })
    }

    #[test]
    fn a_dispatch_across_borders_counts_by_overlap() {
        let mut ledger = started();
        // 40 ms from 20 ms before the measured time begins (at 1100 ms): half of it counts.
        ledger.enter(&dispatch(0, ms(1080), ms(1120), ms(30)));
        // Across the border of the first two bins: 10 ms and 30 ms of 40.
        ledger.enter(&dispatch(1, ms(1190), ms(1230), ms(20)));
        // Beyond the end (1350 ms): a quarter counts.
        ledger.enter(&dispatch(0, ms(1340), ms(1380), ms(40)));
        ledger.enter(&LogEntry::Idle {
            lp: LpId(0),
            start: ms(1150),
            end: ms(1180),
        });
        let closed = ledger.close(ms(1350));
        let bins: Vec<_> = closed.windows(BIN).collect();
        assert_eq!(bins.len(), 2, "the last 50 ms make no window");
        assert_eq!(bins[0].received, [15e6, 5e6]);
        assert_eq!(bins[0].work, [50.0, 25.0]);
        assert_eq!(bins[0].idle, 30e6);
        assert_eq!(bins[1].received, [0.0, 15e6]);
        let whole = closed.whole().unwrap();
        assert_eq!((whole.start, whole.end), (ms(1100), ms(1350)));
        assert_eq!(whole.received, [25e6, 20e6]);
        assert_eq!(whole.delivered(), 75e6);
        assert_eq!(whole.wall(1), 250e6);
    }

    #[test]
    fn what_is_promised_follows_who_wants_to_run() {
        let mut ledger = started();
        ledger.enter(&LogEntry::GuestCrashed {
            guest: GuestId(0),
            vp: 0,
            at: ms(1200),
        });
        let whole = ledger.close(ms(1350)).whole().unwrap();
        // 100 ms of 3 : 1, then 150 ms alone.
        assert!((whole.promised[0] - 75e6).abs() < 1.0);
        assert!((whole.promised[1] - 175e6).abs() < 1.0);
    }

    #[test]
    fn an_interrupted_run_ends_with_its_last_whole_bin() {
        let closed = started().close(ms(1290));
        assert_eq!(closed.measured, ms(1100)..ms(1200));
        assert_eq!(closed.windows(BIN).count(), 1);
        assert!(started().close(ms(1050)).whole().is_none());
    }

    #[test]
    fn overshoot_is_what_a_slice_took_beyond_its_length() {
        let mut ledger = started();
        ledger.enter(&dispatch(0, ms(1100), Nanos(1101 * MS + 30_000), ms(1)));
        ledger.enter(&dispatch(0, ms(1110), Nanos(1111 * MS + 10_000), ms(1)));
        let precision = ledger.close(ms(1350)).precision;
        assert_eq!(precision.overshoots, [10_000.0, 30_000.0]);
        assert_eq!(precision.overshoot(0.99), Nanos(29_800));
    }
}
