//! How guests fared that replay what a trace demands: what fell due, what they received, how long they waited for it.

use crate::ledger::{Closed, arrivals};
use crate::plan::Planned;
use crate::recorder::Recorded;
use crate::statistics::quantile;
use crate::verdict::{Judge, Row, guest_shares, is_at_least, is_at_most};
use apportion_hypervisor::{Burst, Piece};
use apportion_recording::{DemandRow, Fared, Verdict};
use apportion_scheduler::{GuestId, Nanos, VpId};
use std::ops::Range;

/// Who received this part of what it demanded got all of it: the rest is what falls due as measuring begins or ends.
const MET: f64 = 0.98;

/// What arrived while its VP was there and was not done when the run was stopped, VP by VP: what has no record.
pub(crate) fn undone(
    planned: &Planned,
    closed: &Closed,
    stopped: Nanos,
    bursts: &[Burst],
) -> Vec<(VpId, Piece)> {
    let mut done: Vec<Vec<Nanos>> = vec![Vec::new(); planned.roster.owners.len()];
    // What a guest claims to have done beyond what there was takes no time.
    for burst in bursts.iter().filter(|burst| burst.run > Nanos::ZERO) {
        done[burst.vp.index()].push(burst.due);
    }
    let mut undone = Vec::new();
    for (index, done) in done.iter().enumerate() {
        let vp = VpId(index as u32);
        let Some(begun) = closed.begun(vp) else {
            continue;
        };
        let there = (begun, closed.gone(vp));
        let mut done = done.iter().peekable();
        for piece in arrivals(&planned.spec, &planned.roster, vp, there, stopped) {
            // Both are in order.
            if done.next_if(|due| **due == piece.at).is_none() {
                undone.push((vp, piece));
            }
        }
    }
    undone
}

/// The rows of demand.csv: one per guest that replays a trace, none where nothing was measured.
pub(crate) fn rows(judge: &Judge<'_>, rows: &[Row], recorded: &Recorded) -> Vec<DemandRow> {
    let planned = judge.planned;
    if planned.replays.is_empty() || judge.closed.measured.is_empty() {
        return Vec::new();
    }
    let mut work = vec![Vec::new(); planned.roster.owners.len()];
    for burst in &recorded.bursts {
        work[burst.vp.index()].push(Work {
            due: burst.due,
            done: Some(burst.done),
            run: burst.run,
        });
    }
    for (vp, piece) in &recorded.undone {
        work[vp.index()].push(Work {
            due: piece.at,
            done: None,
            run: piece.run,
        });
    }
    work.iter_mut()
        .for_each(|of_vp| of_vp.sort_by_key(|it| it.due));
    let guests = planned.roster.guests();
    guests
        .filter_map(|guest| row(judge, rows, guest, &work))
        .collect()
}

/// A piece of work that fell due.
#[derive(Clone, Copy, Debug)]
struct Work {
    due: Nanos,
    done: Option<Nanos>,
    run: Nanos,
}

fn row(judge: &Judge<'_>, rows: &[Row], guest: GuestId, work: &[Vec<Work>]) -> Option<DemandRow> {
    let (planned, closed) = (judge.planned, judge.closed);
    let vm = planned.traced(guest)?;
    let whole = closed.whole()?;
    let vps = planned.roster.vps_of(guest);
    let mut sums = Sums::default();
    for vp in vps {
        let received = (closed.warmed_up[vp.index()], whole.vps[vp.index()].received);
        sums.add(&work[vp.index()], &closed.measured, received);
    }
    sums.stretches.sort_by(f64::total_cmp);
    let stretch = |q| (!sums.stretches.is_empty()).then(|| quantile(&sums.stretches, q));
    let name = &planned.spec.guests[guest.index()].name;
    let share = guest_shares(rows).find(|share| share.guest == *name);
    let denied = share.is_some_and(|it| it.verdict == Verdict::Fail && it.error_pp < 0.0);
    let ns = |time: f64| time.round() as u64;
    Some(DemandRow {
        experiment: planned.name().to_owned(),
        repetition: judge.repetition,
        engine: judge.engine.to_owned(),
        guest: name.clone(),
        vm: vm.id.clone(),
        vps: vps.len() as u32,
        trace_ns: vm.demand.0,
        bursts: sums.bursts,
        due_ns: ns(sums.due),
        received_ns: ns(sums.received),
        backlog_before_ns: ns(sums.backlog_before),
        backlog_ns: ns(sums.backlog),
        unfinished: sums.unfinished,
        stretch_p50: stretch(0.5),
        stretch_p95: stretch(0.95),
        fared: match sums.is_starved() {
            false => Fared::Met,
            true if denied => Fared::Short,
            true => Fared::BeyondDue,
        },
    })
}

/// Of a guest, over its VPs; times in ns.
#[derive(Clone, Debug, Default)]
struct Sums {
    bursts: u64,
    due: f64,
    received: f64,
    backlog_before: f64,
    backlog: f64,
    unfinished: u64,
    /// What fell due so late that nobody could have done it before measuring ended.
    too_late: f64,
    stretches: Vec<f64>,
}

impl Sums {
    /// One VP, with its work in order of when that was due, and what it received before and while measuring.
    fn add(&mut self, work: &[Work], measured: &Range<Nanos>, received: (f64, f64)) {
        let run = |it: &Work| it.run.0 as f64;
        let due_before = work.iter().filter(|it| it.due < measured.start);
        let due_before: f64 = due_before.map(run).sum();
        let inside: Vec<&Work> = work
            .iter()
            .filter(|it| measured.contains(&it.due))
            .collect();
        let due: f64 = inside.iter().map(|it| run(it)).sum();
        self.bursts += inside.len() as u64;
        self.due += due;
        self.received += received.1;
        self.backlog_before += (due_before - received.0).max(0.0);
        self.backlog += (due_before + due - received.0 - received.1).max(0.0);
        let late = |it: &Work| it.run.since(measured.end.since(it.due)).0 as f64;
        let by_end = work.iter().filter(|it| it.due < measured.end);
        self.too_late += by_end.map(late).sum::<f64>();
        // What was done after it was done, too, only its record was lost.
        let last_done = work.iter().rposition(|it| it.done.is_some());
        let lost = last_done.map_or(Nanos::ZERO, |last| work[last].due);
        for it in inside
            .iter()
            .filter(|it| it.done.is_some() || it.due >= lost)
        {
            let done = it.done.unwrap_or(measured.end).min(measured.end);
            self.unfinished += u64::from(it.done.is_none_or(|done| done > measured.end));
            self.stretches
                .push(done.since(it.due).0 as f64 / run(it).max(1.0));
        }
    }

    /// Whether it received less than it demanded, by more than could not have been done any more.
    fn is_starved(&self) -> bool {
        let wanted = self.backlog_before + self.due;
        !is_at_least(self.received, MET * wanted) && !is_at_most(self.backlog, self.too_late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    fn work(due: u64, done: Option<u64>, run: u64) -> Work {
        Work {
            due: ms(due),
            done: done.map(ms),
            run: ms(run),
        }
    }

    fn sums(work: &[Work], before: f64, received: f64) -> Sums {
        let mut sums = Sums::default();
        sums.add(work, &(ms(100)..ms(200)), (before * 1e6, received * 1e6));
        sums
    }

    #[test]
    fn what_is_due_is_received_or_left_over() {
        let all = [
            work(80, Some(110), 20),
            work(100, Some(130), 10),
            work(150, Some(170), 10),
        ];
        let met = sums(&all, 10.0, 30.0);
        assert_eq!((met.bursts, met.due, met.received), (2, 20e6, 30e6));
        assert_eq!((met.backlog_before, met.backlog), (10e6, 0.0));
        assert_eq!((met.stretches.clone(), met.unfinished), (vec![3.0, 2.0], 0));
        assert!(!met.is_starved());
    }

    #[test]
    fn what_is_not_done_counts_with_the_time_it_had() {
        let all = [
            work(90, Some(120), 5),
            // Its record was lost.
            work(110, None, 5),
            work(120, Some(190), 5),
            work(130, Some(210), 5),
            work(150, None, 10),
            work(200, None, 90),
        ];
        let left = sums(&all, 0.0, 13.0);
        assert_eq!((left.bursts, left.due, left.unfinished), (4, 25e6, 2));
        assert_eq!(left.backlog, 17e6);
        assert_eq!(left.stretches, [14.0, 14.0, 5.0]);
    }

    #[test]
    fn a_long_burst_is_no_excuse_once_there_was_time_for_it() {
        let long = [work(100, None, 90)];
        assert!(sums(&long, 0.0, 30.0).is_starved());
        // Ninety of a hundred could have been done since.
        let late = [work(110, None, 100)];
        assert!(!sums(&late, 0.0, 90.0).is_starved());
        assert!(sums(&late, 0.0, 80.0).is_starved());
    }

    #[test]
    fn who_is_at_work_on_its_last_burst_is_not_starved() {
        let last = [work(110, Some(120), 10), work(195, None, 10)];
        assert!(!sums(&last, 0.0, 15.0).is_starved());
        let waiting = [
            work(110, None, 10),
            work(150, None, 10),
            work(195, None, 10),
        ];
        assert!(sums(&waiting, 0.0, 5.0).is_starved());
        // Nothing was demanded.
        assert!(!sums(&[], 0.0, 0.0).is_starved());
    }
}
