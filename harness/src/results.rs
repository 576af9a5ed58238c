//! What guests report of themselves, in the terms of their payloads: how soon they woke, how much they did, how long it took.

mod missed;

use crate::ledger::Closed;
use crate::plan::Planned;
use crate::statistics::quantile;
use apportion_abi::shared::{Fold, Value};
use apportion_hypervisor::counters::VpSnapshot;
use apportion_hypervisor::{Burst, Features, Payload, RunOutcome, VpReport};
use apportion_recording::{DemandRow, ResultEntry};
use apportion_scheduler::{GuestId, Nanos, VpId};
use missed::missed;
use std::collections::{BTreeMap, HashMap};

/// From how many times its work on a VP's charge is told.
const WORTH_TELLING: f64 = 1.05;

/// One entry per guest that has something to tell.
pub(crate) fn results(
    planned: &Planned,
    outcome: &RunOutcome,
    closed: &Closed,
    bursts: &[Burst],
    demand: &[DemandRow],
) -> Vec<ResultEntry> {
    let guests = planned.roster.guests();
    // Found once for all guests, of which there may be thousands.
    let owner = |vp: VpId| planned.roster.owners[vp.index()].0.index();
    let mut reports_of: Vec<Vec<&VpReport>> = vec![Vec::new(); planned.spec.guests.len()];
    for report in &outcome.reports {
        reports_of[owner(report.vp)].push(report);
    }
    let mut bursts_of: Vec<Vec<&Burst>> = vec![Vec::new(); planned.spec.guests.len()];
    for burst in bursts {
        bursts_of[owner(burst.vp)].push(burst);
    }
    let demand_of: HashMap<&str, &DemandRow> =
        demand.iter().map(|row| (row.guest.as_str(), row)).collect();
    let entry = |guest: GuestId| {
        let spec = &planned.spec.guests[guest.index()];
        let vps = planned.roster.vps_of(guest);
        let reports = &reports_of[guest.index()];
        let sums = Sums {
            reports,
            seconds: counted(outcome, closed, vps).as_secs_f64(),
        };
        let mut values = sums.of(spec.payload);
        let of_guest = &bursts_of[guest.index()];
        let done = of_guest.iter().copied();
        let done = done.filter(|it| closed.measured.contains(&it.due));
        times(spec.payload, &done.collect::<Vec<_>>(), &mut values);
        let missed = missed(planned, outcome, guest, closed, of_guest);
        values.extend(missed.map(|periods| ("missed".to_owned(), periods as f64)));
        let scales = vps
            .iter()
            .filter_map(|vp| closed.work_scale.get(vp.index()));
        let scale = scales.copied().fold(1.0, f64::max);
        if scale > WORTH_TELLING {
            values.insert("work_scale".to_owned(), scale);
        }
        if let Some(row) = demand_of.get(spec.name.as_str()) {
            tell_demand(row, &mut values);
        }
        if let Some(counters) = &outcome.counters {
            let sum = |of: fn(&VpSnapshot) -> u64| -> f64 {
                let of_vps = vps.iter().filter_map(|vp| counters.vps.get(vp.index()));
                of_vps.map(of).fold(0, u64::saturating_add) as f64
            };
            let mut tell = |name: &str, count: f64| values.insert(name.to_owned(), count);
            if sum(|vp| vp.posted) > 0.0 {
                tell("interrupts_posted", sum(|vp| vp.posted));
                // A guest can count as many as it likes.
                tell("interrupts_handled", sum(|vp| vp.handled.min(vp.posted)));
            }
            if sum(|vp| vp.ignored) > 0.0 {
                tell("calls_ignored", sum(|vp| vp.ignored));
            }
            if sum(|vp| vp.log_dropped) > 0.0 {
                tell("log_lines_dropped", sum(|vp| vp.log_dropped));
            }
        }
        if let Some(touched) = outcome.memory.get(guest.index()) {
            values.insert("memory_touched_bytes".to_owned(), *touched as f64);
        }
        // Who overwrites its own results says nothing by them.
        let unmasked = match spec.payload {
            Payload::Hostile { .. } => Vec::new(),
            _ => sums.unmasked(),
        };
        let tells = !values.is_empty() || !unmasked.is_empty();
        tells.then(|| ResultEntry {
            guest: spec.name.clone(),
            values,
            unmasked,
        })
    };
    guests.filter_map(entry).collect()
}

/// How a guest fared that replays a trace.
fn tell_demand(row: &DemandRow, values: &mut BTreeMap<String, f64>) {
    let times = [
        ("due_ns", row.due_ns),
        ("received_ns", row.received_ns),
        ("backlog_ns", row.backlog_ns),
    ];
    values.extend(times.map(|(name, ns)| (name.to_owned(), ns as f64)));
    let stretches = [
        ("stretch_p50", row.stretch_p50),
        ("stretch_p95", row.stretch_p95),
    ];
    let there = stretches
        .into_iter()
        .filter_map(|(name, it)| Some((name.to_owned(), it?)));
    values.extend(there);
}

/// The time over which what a guest's VPs report grew: from when it was read as
/// measuring began, at the first of the two snapshots where there are some,
/// until all guests were stopped, as far as this one was there. Windows may end earlier.
fn counted(outcome: &RunOutcome, closed: &Closed, vps: &[VpId]) -> Nanos {
    let read = outcome.measured.as_ref().map(|[before, _]| before.at);
    let read = read.unwrap_or(outcome.measured_from);
    let first = vps.first();
    let begun = first.and_then(|vp| closed.begun(*vp)).unwrap_or(read);
    let gone = first.and_then(|vp| closed.gone(*vp));
    let gone = gone.unwrap_or(outcome.stopped).min(outcome.stopped);
    gone.since(begun.max(read))
}

/// The reports of a guest's VPs. What none of them has is left out.
struct Sums<'a> {
    reports: &'a [&'a VpReport],
    /// Between the two readings.
    seconds: f64,
}

impl Sums<'_> {
    /// At the end, over all VPs.
    fn after(&self, value: Value) -> Option<u64> {
        let of_vps = self.reports.iter();
        let of_vps = of_vps.filter_map(|report| get(&report.after, value));
        of_vps.reduce(match value.fold() {
            Fold::Sum => u64::saturating_add,
            Fold::Max => u64::max,
            Fold::Or => |all, bits| all | bits,
        })
    }

    /// Per second while measuring; nothing where that never began.
    fn rate(&self, value: Value) -> Option<f64> {
        let of = |report: &VpReport| {
            let before = get(&report.before, value);
            let after = get(&report.after, value).unwrap_or(0);
            (before, after.saturating_sub(before.unwrap_or(0)) as f64)
        };
        let (before, grown): (Vec<_>, Vec<f64>) = self.reports.iter().map(|it| of(it)).unzip();
        // A VP that was added on the way has none, but others have.
        let began = before.iter().any(Option::is_some);
        (began && self.seconds > 0.0).then(|| grown.iter().sum::<f64>() / self.seconds)
    }

    fn of(&self, payload: Payload) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        let mut put = |name: &str, value: Option<f64>| {
            values.extend(value.map(|value| (name.to_owned(), value)));
        };
        let after = |value| self.after(value).map(|number| number as f64);
        match payload {
            Payload::Spin { .. } => {
                put("acquisitions_per_s", self.rate(Value::Acquisitions));
                put("notifications_per_s", self.rate(Value::Notifications));
                put("longest_wait_ns", after(Value::LongestWait));
            }
            Payload::FixedWork { .. } => match self.not_done() {
                0 => put("elapsed_ns", self.elapsed().map(|ns| ns as f64)),
                vps => put("vps_not_done", Some(vps as f64)),
            },
            Payload::Memory { .. } => {
                put("accesses_per_s", self.rate(Value::Accesses));
            }
            Payload::YieldLoop { .. } => {
                put("yields_per_s", self.rate(Value::Yields));
            }
            Payload::Clock { .. } => {
                put("readings_per_s", self.rate(Value::Records));
                put("backwards", after(Value::Backwards));
            }
            Payload::Vector => {
                let missing = self.after(Value::FeaturesMissing).filter(|it| *it > 0);
                let missing = missing.map(|features| features.count_ones().into());
                put("features_missing", missing);
            }
            _ => {}
        }
        let sum = |of: fn(&VpReport) -> u64| {
            let each = self.reports.iter().map(|report| of(report));
            let sum = each.fold(0, u64::saturating_add);
            (sum > 0).then_some(sum as f64)
        };
        put("records_lost", sum(|report| report.records_lost));
        put("pieces_late", sum(|report| report.pieces_late));
        values
    }

    /// How many VPs have not done their fixed work.
    fn not_done(&self) -> usize {
        let done = |report: &&&VpReport| get(&report.after, Value::DoneAt).unwrap_or(0) > 0;
        self.reports.iter().filter(|it| !done(it)).count()
    }

    /// From when the first VP began until the last was done, where all are.
    fn elapsed(&self) -> Option<u64> {
        let began = self.reports.iter();
        let began = began.filter_map(|report| get(&report.after, Value::BeganAt));
        Some(self.after(Value::DoneAt)?.saturating_sub(began.min()?))
    }

    /// What CPUID showed it beyond what it may use.
    fn unmasked(&self) -> Vec<String> {
        let allowed = self.reports.first().map(|report| report.features);
        let seen = Features(self.after(Value::FeaturesSeen).unwrap_or(0));
        let beyond = seen.without(allowed.unwrap_or(Features::ALL));
        let named = Features::NAMES.into_iter();
        named
            .filter(|(feature, _)| beyond.has(*feature))
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

fn get(values: &[(Value, u64)], value: Value) -> Option<u64> {
    let found = values.iter().find(|(it, _)| *it == value);
    found.map(|(_, number)| *number)
}

/// How late work began and how long it took.
fn times(payload: Payload, done: &[&Burst], values: &mut BTreeMap<String, f64>) {
    if done.is_empty() || matches!(payload, Payload::Clock { .. }) {
        return;
    }
    values.insert("bursts".to_owned(), done.len() as f64);
    let sorted = |of: fn(&Burst) -> Nanos| {
        let mut times: Vec<f64> = done.iter().map(|burst| of(burst).0 as f64).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let kinds = [
        ("lateness", sorted(|it| it.start.since(it.due))),
        ("response", sorted(|it| it.done.since(it.due))),
    ];
    for (kind, times) in kinds {
        for (name, q) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            values.insert(format!("{kind}_{name}_ns"), quantile(&times, q));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{burners, planned_as};
    use apportion_hypervisor::Ns;
    use apportion_hypervisor::counters::Snapshot;

    fn report(vp: u32, before: &[(Value, u64)], after: &[(Value, u64)]) -> VpReport {
        VpReport {
            vp: VpId(vp),
            features: Features::V2,
            before: before.to_vec(),
            after: after.to_vec(),
            records_lost: 0,
            pieces_late: 0,
        }
    }

    #[test]
    fn rates_are_of_the_measured_time_and_the_longest_of_all_vps() {
        let reports = [
            report(
                0,
                &[(Value::Acquisitions, 100)],
                &[(Value::Acquisitions, 300), (Value::LongestWait, 9)],
            ),
            report(
                1,
                &[(Value::Acquisitions, 0)],
                &[(Value::Acquisitions, 50), (Value::LongestWait, 7)],
            ),
        ];
        let sums = Sums {
            reports: &reports.iter().collect::<Vec<_>>(),
            seconds: 2.0,
        };
        assert_eq!(sums.rate(Value::Acquisitions), Some(125.0));
        assert_eq!(sums.after(Value::LongestWait), Some(9));
    }

    #[test]
    fn what_nobody_reports_is_left_out_and_so_are_rates_where_nothing_was_measured() {
        let spin = Payload::Spin {
            critical: Ns(1),
            think: Ns(1),
            threshold: 0,
        };
        let told = |seconds, before: &[(Value, u64)]| {
            let report = report(0, before, &[(Value::Acquisitions, 90)]);
            let reports = [&report];
            let sums = Sums {
                reports: &reports,
                seconds,
            };
            sums.of(spin)
        };
        let rate = BTreeMap::from([("acquisitions_per_s".to_owned(), 40.0)]);
        assert_eq!(told(2.0, &[(Value::Acquisitions, 10)]), rate);
        assert_eq!(told(0.0, &[(Value::Acquisitions, 90)]), BTreeMap::new());
        // Interrupted in the warm-up.
        assert_eq!(told(0.001, &[]), BTreeMap::new());
    }

    #[test]
    fn a_guest_can_count_what_it_likes() {
        let most = [(Value::Acquisitions, u64::MAX)];
        let reports = [report(0, &[], &most), report(1, &[], &most)];
        let sums = Sums {
            reports: &reports.iter().collect::<Vec<_>>(),
            seconds: 1.0,
        };
        assert_eq!(sums.after(Value::Acquisitions), Some(u64::MAX));

        let planned = planned_as(burners(&[("ticking", 100)]));
        let vp = VpSnapshot {
            posted: 9,
            handled: u64::MAX,
            ..VpSnapshot::default()
        };
        let outcome = RunOutcome {
            counters: Some(Snapshot {
                vps: vec![vp],
                ..Snapshot::default()
            }),
            ..outcome()
        };
        let told = results(&planned, &outcome, &Closed::default(), &[], &[]);
        assert_eq!(told[0].values["interrupts_posted"], 9.0);
        assert_eq!(told[0].values["interrupts_handled"], 9.0);
    }

    fn outcome() -> RunOutcome {
        RunOutcome {
            start: Nanos::ZERO,
            measured_from: Nanos::from_millis(1_000),
            measured_until: Nanos::from_millis(1_400),
            stopped: Nanos::from_millis(1_450),
            interrupted: true,
            lp_cpus: Vec::new(),
            crashes: Vec::new(),
            steal: None,
            involuntary_switches: 0,
            memory: Vec::new(),
            reports: Vec::new(),
            measured: None,
            clock_error: None,
            counters: None,
        }
    }

    #[test]
    fn rates_are_of_the_time_between_the_readings_and_not_of_whole_windows() {
        let counted = |outcome: &RunOutcome| counted(outcome, &Closed::default(), &[VpId(0)]);
        assert_eq!(counted(&outcome()), Nanos::from_millis(450));
        let late = |at| Snapshot {
            at: Nanos::from_millis(at),
            ..Snapshot::default()
        };
        let outcome = RunOutcome {
            measured: Some([late(1_010), late(1_440)]),
            ..outcome()
        };
        assert_eq!(counted(&outcome), Nanos::from_millis(440));
    }

    #[test]
    fn work_has_taken_as_long_as_its_last_vp_and_no_time_before_that_is_done() {
        let done =
            |vp, began, done| report(vp, &[], &[(Value::BeganAt, began), (Value::DoneAt, done)]);
        let (first, last) = (done(0, 5, 20), done(1, 6, 31));
        let work = Payload::FixedWork {
            units: 1,
            burst: 0,
            pause: Ns(0),
        };
        let told = |reports: &[&VpReport]| {
            let sums = Sums {
                reports,
                seconds: 1.0,
            };
            sums.of(work).into_iter().collect::<Vec<_>>()
        };
        let told_of = |name: &str, value| vec![(name.to_owned(), value)];
        assert_eq!(told(&[&first, &last]), told_of("elapsed_ns", 26.0));
        let undone = done(1, 6, 0);
        assert_eq!(told(&[&first, &undone]), told_of("vps_not_done", 1.0));
    }

    #[test]
    fn records_that_nobody_read_are_told_of() {
        let lossy = |vp, records_lost| VpReport {
            records_lost,
            ..report(vp, &[], &[])
        };
        let probe = Payload::Probe {
            period: Ns(10),
            run: Ns(1),
        };
        let told = |lost: [u64; 2]| {
            let reports = [lossy(0, lost[0]), lossy(1, lost[1])];
            let sums = Sums {
                reports: &reports.iter().collect::<Vec<_>>(),
                seconds: 1.0,
            };
            sums.of(probe).get("records_lost").copied()
        };
        assert_eq!(told([0, 0]), None);
        assert_eq!(told([3, 4]), Some(7.0));
    }

    #[test]
    fn what_a_guest_saw_beyond_its_processor_is_named() {
        let seen = Features(Features::V2.0 | Features::AVX2.0);
        let reports = [report(0, &[], &[(Value::FeaturesSeen, seen.0)])];
        let sums = Sums {
            reports: &reports.iter().collect::<Vec<_>>(),
            seconds: 1.0,
        };
        assert_eq!(sums.unmasked(), ["avx2"]);
    }
}
