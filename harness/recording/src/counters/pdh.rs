//! `counters.csv` as Windows' Performance Monitor writes and reads it (PDH-CSV 4.0), under Hyper-V's names.

use super::{Instances, LpRates, RootRates, Snapshot, VpCounters, VpRates, place};
use crate::manifest::Manifest;
use jiff::Timestamp;
use std::collections::HashMap;
use std::hash::Hash;

/// Heads the column of times: the format, the zone and its distance from UTC in minutes.
const TIME: &str = "(PDH-CSV 4.0) (UTC)(0)";
/// A value that is missing.
const MISSING: &str = " ";

/// A row tells of no shorter time: rates over less are noise.
const LEAST_NS: u64 = 100_000_000;

/// The counters of an object: their names, and what they are of its instances.
type Counters<T> = [(&'static str, fn(&T) -> f64)];

const LP: &str = "Hyper-V Hypervisor Logical Processor";
const LP_COUNTERS: &Counters<LpRates> = &[
    ("% Guest Run Time", |lp| lp.guest_pct),
    ("% Hypervisor Run Time", |lp| lp.hypervisor_pct),
    ("% Total Run Time", LpRates::total_pct),
    ("% Idle Time", |lp| lp.idle_pct),
    ("Context Switches/sec", |lp| lp.context_switches_per_second),
    ("% Root Run Time", |lp| lp.root_pct),
    ("% Others Run Time", |lp| lp.others_pct),
    ("% Steal Time", |lp| lp.steal_pct),
];

const VP: &str = "Hyper-V Hypervisor Virtual Processor";
const VP_COUNTERS: &Counters<Vp> = &[
    ("% Guest Run Time", |vp| vp.rates.guest_pct),
    ("% Hypervisor Run Time", |vp| vp.rates.hypervisor_pct),
    ("% Total Run Time", |vp| vp.rates.total_pct()),
    ("CPU Wait Time Per Dispatch", |vp| {
        vp.rates.wait_ns_per_dispatch
    }),
    ("Total Ready Time", |vp| vp.ready_ns as f64),
    ("Logical Processor Dispatches/sec", |vp| {
        vp.rates.dispatches_per_second
    }),
    ("Logical Processor Migrations/sec", |vp| {
        vp.rates.migrations_per_second
    }),
    ("Total Intercepts/sec", |vp| vp.rates.intercepts_per_second),
    ("Hypercalls/sec", |vp| vp.rates.hypercalls_per_second),
    ("Long Spin Wait Hypercalls/sec", |vp| {
        vp.rates.long_spin_waits_per_second
    }),
    ("Pending Interrupts/sec", |vp| {
        vp.rates.interrupts_posted_per_second
    }),
];

const ROOT: &str = "Hyper-V Hypervisor Root Virtual Processor";
const ROOT_COUNTERS: &Counters<RootRates> = &[
    ("% Guest Run Time", |root| root.run_pct),
    // The root's time in the host's kernel is not told apart.
    ("% Hypervisor Run Time", |_| 0.0),
    ("% Total Run Time", |root| root.run_pct),
];

/// A VP in a row: its rates, and what it has waited since the run's start.
struct Vp {
    rates: VpRates,
    ready_ns: u64,
}

/// Makes rows of snapshots.
#[derive(Debug)]
pub(crate) struct Pdh {
    host: String,
    instances: Instances,
    /// What the next row is counted from.
    base: Option<Base>,
}

#[derive(Debug)]
struct Base {
    experiment: String,
    repetition: u32,
    snapshot: Snapshot,
}

impl Pdh {
    pub(crate) fn new(manifest: &Manifest) -> Pdh {
        Pdh {
            host: cleaned(&manifest.host.hostname),
            instances: Instances::of(manifest),
            base: None,
        }
    }

    /// The names of all columns.
    pub(crate) fn header(&self) -> Vec<String> {
        let mut names = vec![TIME.to_owned()];
        for lp in 0..self.instances.lps {
            self.name(&mut names, LP, &format!("Hv LP {lp}"), LP_COUNTERS);
        }
        for (guest, vp) in self.instances.every_vp() {
            let instance = format!("{}:Hv VP {vp}", cleaned(guest));
            self.name(&mut names, VP, &instance, VP_COUNTERS);
        }
        for lp in self.instances.every_root() {
            let instance = format!("Root VP {}", place(lp));
            self.name(&mut names, ROOT, &instance, ROOT_COUNTERS);
        }
        names
    }

    fn name<T>(&self, names: &mut Vec<String>, object: &str, instance: &str, of: &Counters<T>) {
        let host = &self.host;
        let counters = of.iter().map(|(counter, _)| counter);
        names.extend(counters.map(|counter| format!(r"\\{host}\{object}({instance})\{counter}")));
    }

    /// What was counted since the run's snapshot before; none for its first
    /// one, and where less than 100 ms passed since.
    pub(crate) fn row(
        &mut self,
        experiment: &str,
        repetition: u32,
        snapshot: &Snapshot,
    ) -> Option<Vec<String>> {
        let is_of = |it: &&Base| it.experiment == experiment && it.repetition == repetition;
        let row = match self.base.as_ref().filter(is_of) {
            // The base stays: what was counted meanwhile belongs to the next row.
            Some(base) if snapshot.wall_ns < base.snapshot.wall_ns + LEAST_NS => return None,
            base => base.map(|base| self.fields(snapshot, &snapshot.since(&base.snapshot))),
        };
        self.base = Some(Base {
            experiment: experiment.to_owned(),
            repetition,
            snapshot: snapshot.clone(),
        });
        row
    }

    fn fields(&self, total: &Snapshot, counted: &Snapshot) -> Vec<String> {
        let wall_ns = counted.wall_ns;
        let lps = counted.lps.iter().map(|lp| (lp.lp, lp.rates(wall_ns)));
        // They are in the same order.
        let vps = counted.vps.iter().zip(&total.vps).map(|(vp, total)| {
            let of_vp = Vp {
                rates: vp.rates(wall_ns),
                ready_ns: total.ready_ns,
            };
            (VpCounters::key(vp), of_vp)
        });
        let roots = counted.roots.iter();
        let roots = roots.map(|root| (root.lp, root.rates(wall_ns)));

        let instances = &self.instances;
        let mut fields = vec![time(total.unix_ms)];
        values(&mut fields, LP_COUNTERS, 0..instances.lps, lps);
        values(&mut fields, VP_COUNTERS, instances.every_vp(), vps);
        values(&mut fields, ROOT_COUNTERS, instances.every_root(), roots);
        fields
    }
}

/// The values of one object: of each instance that has columns, where it is there.
fn values<K: Eq + Hash, T>(
    fields: &mut Vec<String>,
    counters: &Counters<T>,
    instances: impl Iterator<Item = K>,
    there: impl Iterator<Item = (K, T)>,
) {
    let there: HashMap<K, T> = there.collect();
    for instance in instances {
        let of = there.get(&instance);
        let text = |value: fn(&T) -> f64| of.map_or(MISSING.to_owned(), |of| number(value(of)));
        fields.extend(counters.iter().map(|(_, value)| text(*value)));
    }
}

/// `MM/DD/YYYY HH:MM:SS.mmm`.
fn time(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    time.strftime("%m/%d/%Y %H:%M:%S%.3f").to_string()
}

/// To a millionth, without needless zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Without what has a meaning in a counter's path, or ends a field or a line.
fn cleaned(name: &str) -> String {
    let stays = |c: char| !r#"()#\*/""#.contains(c) && !c.is_control();
    name.chars()
        .map(|c| if stays(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_nothing_that_a_path_or_a_field_could_trip_over() {
        assert_eq!(cleaned("a(b)#\\*/\"\n\u{e9} c"), "a_b_______\u{e9} c");
        assert_eq!(cleaned("prod-1"), "prod-1");
    }

    #[test]
    fn times_are_those_of_utc_with_ms() {
        assert_eq!(time(0), "01/01/1970 00:00:00.000");
        assert_eq!(time(1_709_210_096_007), "02/29/2024 12:34:56.007");
        assert_eq!(time(-1), "12/31/1969 23:59:59.999");
        // No time that there is: rather a wrong one than none, a reader would reject the row.
        assert_eq!(time(i64::MAX), "01/01/1970 00:00:00.000");
    }

    #[test]
    fn numbers_have_what_decimals_they_need() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(100.0), "100");
        assert_eq!(number(1e-9), "0");
        assert_eq!(number(2.0 / 3.0), "0.666667");
        assert_eq!(number(12_345_678_901_234.0), "12345678901234");
    }
}
