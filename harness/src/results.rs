//! What guests report of themselves, in the terms of their payloads: how soon they woke, how much they did, how long it took.

use crate::plan::Planned;
use crate::statistics::quantile;
use apportion_abi::shared::{Fold, Value};
use apportion_hypervisor::counters::VpSnapshot;
use apportion_hypervisor::{Burst, Features, Payload, RunOutcome, VpReport};
use apportion_recording::ResultEntry;
use apportion_scheduler::{GuestId, Nanos};
use std::collections::BTreeMap;
use std::ops::Range;

/// One entry per guest that has something to tell.
pub(crate) fn results(
    planned: &Planned,
    outcome: &RunOutcome,
    measured: &Range<Nanos>,
    bursts: &[Burst],
) -> Vec<ResultEntry> {
    let guests = planned.roster.guests();
    let entry = |guest: GuestId| {
        let spec = &planned.spec.guests[guest.index()];
        let vps = planned.roster.vps_of(guest);
        let reports = outcome.reports.iter();
        let reports: Vec<&VpReport> = reports.filter(|it| vps.contains(&it.vp)).collect();
        let sums = Sums {
            reports: &reports,
            seconds: measured.end.since(measured.start).as_secs_f64(),
        };
        let mut values = sums.of(spec.payload);
        let of_guest = bursts.iter().filter(|it| vps.contains(&it.vp));
        let done = of_guest.filter(|it| measured.contains(&it.due));
        times(spec.payload, &done.collect::<Vec<_>>(), &mut values);
        if let Some(counters) = &outcome.counters {
            let sum = |of: fn(&VpSnapshot) -> u64| -> f64 {
                let of_vps = vps.iter().filter_map(|vp| counters.vps.get(vp.index()));
                of_vps.map(of).sum::<u64>() as f64
            };
            let mut tell = |name: &str, count: f64| values.insert(name.to_owned(), count);
            if sum(|vp| vp.posted) > 0.0 {
                tell("interrupts_posted", sum(|vp| vp.posted));
                tell("interrupts_handled", sum(|vp| vp.handled));
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
        let unmasked = sums.unmasked();
        let tells = !values.is_empty() || !unmasked.is_empty();
        tells.then(|| ResultEntry {
            guest: spec.name.clone(),
            values,
            unmasked,
        })
    };
    guests.filter_map(entry).collect()
}

/// The reports of a guest's VPs.
struct Sums<'a> {
    reports: &'a [&'a VpReport],
    /// Measured.
    seconds: f64,
}

impl Sums<'_> {
    /// As measuring ended, over all VPs.
    fn after(&self, value: Value) -> u64 {
        let of_vps = self.reports.iter().map(|report| get(&report.after, value));
        match value.fold() {
            Fold::Sum => of_vps.fold(0, u64::wrapping_add),
            Fold::Max => of_vps.max().unwrap_or(0),
            Fold::Or => of_vps.fold(0, |all, bits| all | bits),
        }
    }

    /// Per second while measuring.
    fn rate(&self, value: Value) -> f64 {
        let grown = self.reports.iter().map(|report| {
            let (before, after) = (get(&report.before, value), get(&report.after, value));
            after.saturating_sub(before) as f64
        });
        grown.sum::<f64>() / self.seconds.max(1e-9)
    }

    fn of(&self, payload: Payload) -> BTreeMap<String, f64> {
        let mut values = BTreeMap::new();
        let mut put = |name: &str, value: f64| values.insert(name.to_owned(), value);
        match payload {
            Payload::Spin { .. } => {
                put("acquisitions_per_s", self.rate(Value::Acquisitions));
                put("notifications_per_s", self.rate(Value::Notifications));
                put("longest_wait_ns", self.after(Value::LongestWait) as f64);
            }
            Payload::FixedWork { .. } => {
                if let Some(elapsed) = self.elapsed() {
                    put("elapsed_ns", elapsed as f64);
                }
            }
            Payload::Memory { .. } => {
                put("accesses_per_s", self.rate(Value::Accesses));
            }
            Payload::YieldLoop { .. } => {
                put("yields_per_s", self.rate(Value::Yields));
            }
            Payload::Clock { .. } => {
                put("readings_per_s", self.rate(Value::Records));
                put("backwards", self.after(Value::Backwards) as f64);
            }
            _ => {}
        }
        let lost = self.reports.iter().map(|report| report.records_lost);
        let lost = lost.fold(0, u64::saturating_add);
        if lost > 0 {
            put("records_lost", lost as f64);
        }
        let missing = self.after(Value::FeaturesMissing);
        if missing > 0 {
            put("features_missing", missing.count_ones().into());
        }
        values
    }

    /// From when the first VP began until the last was done; `None` where one is not.
    fn elapsed(&self) -> Option<u64> {
        let done = |report: &&&VpReport| get(&report.after, Value::DoneAt) > 0;
        let all = self.reports.iter().all(|report| done(&report));
        let began = |report: &&VpReport| get(&report.after, Value::BeganAt);
        let first = self.reports.iter().map(began).min()?;
        all.then(|| self.after(Value::DoneAt).saturating_sub(first))
    }

    /// What CPUID showed it beyond what it may use.
    fn unmasked(&self) -> Vec<String> {
        let allowed = self.reports.first().map(|report| report.features);
        let seen = Features(self.after(Value::FeaturesSeen));
        let beyond = seen.without(allowed.unwrap_or(Features::ALL));
        let named = Features::NAMES.into_iter();
        named
            .filter(|(feature, _)| beyond.has(*feature))
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

fn get(values: &[(Value, u64)], value: Value) -> u64 {
    let found = values.iter().find(|(it, _)| *it == value);
    found.map_or(0, |(_, number)| *number)
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
    use apportion_hypervisor::Ns;
    use apportion_scheduler::VpId;

    fn report(vp: u32, before: &[(Value, u64)], after: &[(Value, u64)]) -> VpReport {
        VpReport {
            vp: VpId(vp),
            features: Features::V2,
            before: before.to_vec(),
            after: after.to_vec(),
            records_lost: 0,
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
        assert_eq!(sums.rate(Value::Acquisitions), 125.0);
        assert_eq!(sums.after(Value::LongestWait), 9);
    }

    #[test]
    fn work_has_taken_as_long_as_its_last_vp_and_no_time_before_that_is_done() {
        let done =
            |vp, began, done| report(vp, &[], &[(Value::BeganAt, began), (Value::DoneAt, done)]);
        let (first, last) = (done(0, 5, 20), done(1, 6, 31));
        let elapsed = |reports: &[&VpReport]| {
            Sums {
                reports,
                seconds: 1.0,
            }
            .elapsed()
        };
        assert_eq!(elapsed(&[&first, &last]), Some(26));
        assert_eq!(elapsed(&[&first, &done(1, 6, 0)]), None);
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
