//! Holds a real run against the fluid one.
//!
//! The bounds are those that the project claims. With slice q and lateness j
//! (overshoot, call latency, overhead and longest stall together), a VP's lag
//! stays within b = q + j on one LP and 2(q + j) on several, and the error over
//! any window within 2b, b with 4q on top where there are several nodes. A VP that comes
//! back with up to a slice that it is owed has that served first: another q where VPs sleep. A window's
//! error is the difference of two deviations, so that the largest rise and the
//! largest fall of the deviation, over all borders, judge every window at once.
//!
//! Allowances on top, all taken from the run itself:
//! * While a called LP wakes up, its time reaches nobody: that time.
//! * A capped VP that waits among sleepers may catch up faster than its cap, by
//!   what its bucket holds: what lies between no such credit and a full bucket is right.
//! * On several LPs the fluid may end work sooner and leave an LP idle that a
//!   real VP uses: that VP may be ahead by what all together received beyond the
//!   fluid, since nobody else could have used it.
//! * LPs lose time unequally. One that is due all of an LP gets what its own has to give, or, moved about and
//!   given way to, what all have on average: what lies between is right.
//! * Losses are made up for, within 128 slices: what lies between rates by the losses of the moment and rates by those of
//!   that time is right.
//! * A VP whose next sleep depends on when its last piece was done, held
//!   against the fluid's own sleeps ([`Source::Own`]): per piece, the wait that
//!   the reserve bound allows, q/x + q + j at its rate x. A periodic VP loses
//!   by it only whole periods that it is late by. What such VPs lose, others may gain.

use super::fluid::{self, CREDIT, OneLp, Outcome, Source};
use super::log::{Log, VpLog};
use super::mix::Mix;
use std::iter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Service of a guest against the fluid with the real arrivals.
    Share,
    /// Service of a guest against the fluid with its own sleeps.
    Promise,
    /// Service of a VP against its reserve, for as long as it wanted to run.
    Reserve,
    /// Service of a VP against a server of its own as fast as its reserve, with its own sleeps.
    Wanted,
    /// The same without any allowance for waits. Counted, and a violation only where a mix asks for it.
    Prompt,
    /// Service of a VP beyond its cap.
    CapOver,
    /// Service of a VP short of its cap, where the fluid gives it its cap.
    CapUnder,
    /// Idle time of LPs that could have run a waiting VP.
    Idle,
}

impl Check {
    pub(crate) const ALL: [Check; 8] = [
        Check::Share,
        Check::Promise,
        Check::Reserve,
        Check::Wanted,
        Check::Prompt,
        Check::CapOver,
        Check::CapUnder,
        Check::Idle,
    ];
}

/// One comparison. Times in ns.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) check: Check,
    pub(crate) guest: usize,
    pub(crate) error: f64,
    pub(crate) bound: f64,
    /// Whether the mix fails where the error is beyond the bound.
    pub(crate) is_claimed: bool,
    /// By border of the run, where that is what was judged.
    pub(crate) course: Vec<f64>,
}

impl Finding {
    fn new(check: Check, guest: usize, error: f64, bound: f64) -> Finding {
        Finding {
            check,
            guest,
            error,
            bound,
            is_claimed: true,
            course: Vec::new(),
        }
    }

    pub(crate) fn is_beyond(&self) -> bool {
        // Ten ns: what rounding to whole ns adds up to.
        self.error > self.bound + 10.0
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.is_claimed && self.is_beyond()
    }

    /// The error in bounds, or, where the bound is less than a slice, in slices.
    pub(crate) fn severity(&self, slice: f64) -> f64 {
        (self.error / self.bound.max(slice)).max(0.0)
    }
}

/// All that was found in one mix.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Least and most, in slices.
    pub(crate) lag: (f64, f64),
}

/// The largest fall of a series that begins at zero.
fn fall(series: impl IntoIterator<Item = f64>) -> f64 {
    let mut highest = 0.0f64;
    let mut fall = 0.0f64;
    for value in series {
        highest = highest.max(value);
        fall = fall.max(highest - value);
    }
    fall
}

/// Everything about a mix that a check needs.
struct Held<'a> {
    mix: &'a Mix,
    log: &'a Log,
    /// Of one VP over a window: twice its lag bound, and what sleepers have served first.
    window: f64,
}

/// Runs a mix, and judges it.
pub(crate) fn judge(mix: &Mix) -> Result<Report, String> {
    let log = super::driver::run(mix)?;
    let (slice, late) = (mix.slice as f64, mix.lateness());
    let lag = match mix.lps {
        1 => slice + late,
        _ => 2.0 * (slice + late),
    };
    let nodes = if mix.nodes > 1 { 4.0 * slice } else { 0.0 };
    let served_first = if mix.has_sleepers() { slice } else { 0.0 };
    let held = Held {
        mix,
        log: &log,
        window: 2.0 * (lag + nodes) + served_first,
    };
    let run = |source, credit| fluid::run(mix, &log, source, credit, OneLp::Own);
    let real = run(Source::Real, 0.0);
    let saves = mix.has_capped_sleepers();
    let credited = saves.then(|| run(Source::Real, CREDIT));
    let loses = mix.overhead > 0 || !mix.stalls.is_empty();
    let lossy = |one_lp| loses.then(|| fluid::run(mix, &log, Source::Real, 0.0, one_lp));
    let (evened, remembered) = (lossy(OneLp::Mean), lossy(OneLp::Remembered));
    let outcomes = iter::once(&real)
        .chain(&credited)
        .chain(&evened)
        .chain(&remembered);
    let outcomes: Vec<&Outcome> = outcomes.collect();
    let mut findings = held.shares(&outcomes, Check::Share);
    if mix.has_closed() {
        let own = run(Source::Own, 0.0);
        let credited = saves.then(|| run(Source::Own, CREDIT));
        let outcomes: Vec<&Outcome> = iter::once(&own).chain(&credited).collect();
        findings.extend(held.shares(&outcomes, Check::Promise));
    }
    if !real.shrank {
        let alone = run(Source::Reserved, 0.0);
        findings.extend(held.reserves(&alone));
        findings.extend(held.wanted(&alone));
    }
    findings.extend(held.caps(&real));
    findings.push(Finding::new(Check::Idle, 0, log.idle, 0.0));
    let lag = (log.lag.0 / slice, log.lag.1 / slice);
    Ok(Report { findings, lag })
}

impl Held<'_> {
    fn members(&self, guest: usize) -> Vec<usize> {
        (0..self.log.vps.len())
            .filter(|&vp| self.log.vps[vp].guest == guest)
            .collect()
    }

    /// The cap's bucket adds to the lag of a VP that has one.
    fn cap_window(&self) -> f64 {
        3.0 * self.mix.slice as f64 + self.mix.lateness()
    }

    fn shares(&self, outcomes: &[&Outcome], check: Check) -> Vec<Finding> {
        let guests = 0..self.mix.guests.len();
        guests
            .map(|guest| self.share(guest, outcomes, check))
            .collect()
    }

    /// Where there are several outcomes, what lies between them is right.
    fn share(&self, guest: usize, outcomes: &[&Outcome], check: Check) -> Finding {
        let members = self.members(guest);
        let (short, long): (Vec<_>, Vec<_>) = outcomes
            .iter()
            .map(|outcome| self.deviation(&members, outcome))
            .unzip();
        let rise = |course: &[f64], from: usize, to: usize| course[to] - course[from];
        let least_behind = |from, to| {
            let each = short.iter().map(|course| -rise(course, from, to));
            each.fold(f64::INFINITY, f64::min)
        };
        let least_ahead = |surplus: &[Vec<f64>], from, to| {
            let each = long.iter().zip(surplus);
            each.map(|(course, surplus)| rise(course, from, to) - rise(surplus, from, to).max(0.0))
                .fold(f64::INFINITY, f64::min)
        };
        let surplus: Vec<_> = outcomes
            .iter()
            .map(|outcome| self.surplus(outcome))
            .collect();
        let mut worst = 0.0f64;
        for to in 0..=self.log.borders.len() {
            // A run whose sleeps come earlier or later has other bursts in any
            // one window: its own sleeps judge it since the start only.
            let froms = if check == Check::Promise { 1 } else { to };
            for from in 0..froms.min(to) {
                let behind = least_behind(from, to);
                worst = worst.max(behind).max(least_ahead(&surplus, from, to));
            }
        }
        let each = match self.mix.guests[guest].terms.cap < 100.0 {
            true => self.window.max(self.cap_window()),
            false => self.window,
        };
        Finding {
            course: short[0].clone(),
            ..Finding::new(check, guest, worst, each * members.len() as f64)
        }
    }

    /// By border, zero at the start: what all VPs together received beyond the fluid.
    fn surplus(&self, outcome: &Outcome) -> Vec<f64> {
        let beyond = |at: usize| {
            let vps = self.log.vps.iter().zip(&outcome.courses);
            vps.map(|(vp, course)| vp.service[at] - course.service[at])
                .sum()
        };
        let borders = 0..self.log.borders.len();
        iter::once(0.0).chain(borders.map(beyond)).collect()
    }

    /// By border, zero at the start: how far some VPs are ahead of the fluid,
    /// once with all that lets them be behind, once with all that lets them be ahead.
    fn deviation(&self, members: &[usize], outcome: &Outcome) -> (Vec<f64>, Vec<f64>) {
        let others: Vec<usize> = (0..self.log.vps.len())
            .filter(|vp| !members.contains(vp))
            .collect();
        let courses = &outcome.courses;
        let error = |at: usize| -> f64 {
            let each = members.iter();
            each.map(|&vp| self.log.vps[vp].service[at] - courses[vp].service[at])
                .sum()
        };
        let behind = |vps: &[usize], at: usize| -> f64 {
            vps.iter().map(|&vp| courses[vp].slack[at].behind).sum()
        };
        let ahead = |vps: &[usize], at: usize| -> f64 {
            vps.iter().map(|&vp| courses[vp].slack[at].ahead).sum()
        };
        let waking = |at: usize| self.log.waking[at];
        let short = |at| error(at) + waking(at) + behind(members, at) + ahead(&others, at);
        let long = |at| error(at) - waking(at) - ahead(members, at) - behind(&others, at);
        let borders = 0..self.log.borders.len();
        let from_zero = |course: &dyn Fn(usize) -> f64| {
            iter::once(0.0).chain(borders.clone().map(course)).collect()
        };
        (from_zero(&short), from_zero(&long))
    }

    /// The VPs with a reserve that they wanted at some time.
    fn reserved(&self) -> impl Iterator<Item = (usize, &VpLog)> {
        let promised = |vp: &VpLog| vp.reserved.last().is_some_and(|&ns| ns > 0.0);
        let vps = self.log.vps.iter().enumerate();
        vps.filter(move |(_, vp)| promised(vp))
    }

    /// A VP that waited, and yet has done all that a server of its own would
    /// have done, has had its reserve.
    fn reserves(&self, alone: &Outcome) -> Vec<Finding> {
        let judge = |(index, vp): (usize, &VpLog)| {
            let borders = 0..self.log.borders.len();
            let account = |at: usize| vp.service[at] - vp.reserved[at] + self.log.waking[at];
            let due = &alone.courses[index].service;
            let undone = borders.clone().map(|at| due[at] - vp.service[at]);
            let undone = undone.fold(0.0, f64::max);
            let worst = fall(borders.clone().map(account)).min(undone);
            Finding {
                course: borders.map(account).collect(),
                ..Finding::new(Check::Reserve, vp.guest, worst, self.window)
            }
        };
        self.reserved().map(judge).collect()
    }

    /// Since the start, not over windows: a VP that was served early has less
    /// to do later than one that was not.
    fn wanted(&self, alone: &Outcome) -> Vec<Finding> {
        let judge = |(index, vp): (usize, &VpLog)| {
            let course = &alone.courses[index];
            let find = |check, allowance: &dyn Fn(usize) -> f64| {
                let behind = |at: usize| {
                    course.service[at] - allowance(at) - vp.service[at] - self.log.waking[at]
                };
                let borders = 0..self.log.borders.len();
                let worst = borders.map(behind).fold(0.0, f64::max);
                Finding::new(check, vp.guest, worst, self.window)
            };
            let prompt = Finding {
                is_claimed: self.mix.is_strict,
                ..find(Check::Prompt, &|_| 0.0)
            };
            let wanted = find(Check::Wanted, &|at| course.slack[at].behind);
            [wanted, prompt]
        };
        self.reserved().flat_map(judge).collect()
    }

    fn caps(&self, outcome: &Outcome) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (vp, course) in self.log.vps.iter().zip(&outcome.courses) {
            if self.mix.guests[vp.guest].terms.cap >= 100.0 {
                continue;
            }
            let mut find = |check, error, bound| {
                findings.push(Finding::new(check, vp.guest, error, bound));
            };
            let slices = 2.0 * self.mix.slice as f64;
            find(Check::CapOver, vp.over_cap, slices + self.mix.lateness());
            let mut highest = f64::NEG_INFINITY;
            let mut short = 0.0f64;
            let mut before = 0.0;
            for at in 0..self.log.borders.len() {
                let account = vp.service[at] - course.capped[at] + self.log.waking[at];
                // Only windows over which the fluid gave it its cap at every moment.
                highest = match course.at_cap[at] {
                    true => highest.max(before).max(account),
                    false => f64::NEG_INFINITY,
                };
                before = account;
                short = short.max(highest - account);
            }
            let bound = match outcome.had_room {
                true => self.cap_window(),
                false => self.cap_window().max(self.window),
            };
            find(Check::CapUnder, short, bound);
        }
        findings
    }
}
