//! `metrics.prom`: the last snapshot of each run, in Prometheus' text exposition format 0.0.4.

use super::{LpCounters, RootCounters, Snapshot, VpCounters};
use std::fmt::{self, Write as _};

/// Names without the tool's, what they tell, and their values. Who ends in
/// `_total` is a counter, any other a gauge.
type Metrics<T> = [(&'static str, &'static str, fn(&T) -> Value)];

/// A sample's value. Times are written in seconds.
enum Value {
    Count(u64),
    Nanos(u64),
    Millis(i64),
}

use Value::{Count, Millis, Nanos};

const RUN: &Metrics<Snapshot> = &[
    (
        "run_snapshot_timestamp_seconds",
        "When the run was last looked at, since 1970-01-01 UTC.",
        |run| Millis(run.unix_ms),
    ),
    (
        "run_wall_seconds_total",
        "Wall time since the run's guests were started.",
        |run| Nanos(run.wall_ns),
    ),
];

const LP: &Metrics<LpCounters> = &[
    (
        "lp_guest_seconds_total",
        "CPU time of the LP's dispatcher thread across KVM_RUN.",
        |lp| Nanos(lp.guest_ns),
    ),
    (
        "lp_hypervisor_seconds_total",
        "The rest of the CPU time of the LP's dispatcher thread.",
        |lp| Nanos(lp.hypervisor_ns),
    ),
    (
        "lp_root_seconds_total",
        "CPU time of the root's threads on the LP's host CPU.",
        |lp| Nanos(lp.root_ns),
    ),
    (
        "lp_others_seconds_total",
        "CPU time of everybody else on the LP's host CPU.",
        |lp| Nanos(lp.others_ns),
    ),
    (
        "lp_steal_seconds_total",
        "What an outer host took of the LP's host CPU.",
        |lp| Nanos(lp.steal_ns),
    ),
    (
        "lp_idle_seconds_total",
        "Time that the LP's host CPU was idle.",
        |lp| Nanos(lp.idle_ns),
    ),
    (
        "lp_context_switches_total",
        "Times that the LP went from one VP to another.",
        |lp| Count(lp.context_switches),
    ),
];

const VP: &Metrics<VpCounters> = &[
    (
        "vp_guest_seconds_total",
        "CPU time of the VP across KVM_RUN.",
        |vp| Nanos(vp.guest_ns),
    ),
    (
        "vp_hypervisor_seconds_total",
        "CPU time for which the VP's intercepts were served.",
        |vp| Nanos(vp.hypervisor_ns),
    ),
    (
        "vp_ready_seconds_total",
        "Time that the VP was Ready and did not run.",
        |vp| Nanos(vp.ready_ns),
    ),
    (
        "vp_dispatches_total",
        "Times that the VP was given an LP.",
        |vp| Count(vp.dispatches),
    ),
    (
        "vp_migrations_total",
        "Dispatches of the VP on another LP than the one before.",
        |vp| Count(vp.migrations),
    ),
    (
        "vp_hypercalls_total",
        "Hypercalls that the VP made.",
        |vp| Count(vp.hypercalls),
    ),
    (
        "vp_long_spin_waits_total",
        "Hypercalls by which the VP said that it spins.",
        |vp| Count(vp.long_spin_waits),
    ),
    (
        "vp_interrupts_posted_total",
        "Interrupts raised for the VP.",
        |vp| Count(vp.interrupts_posted),
    ),
    (
        "vp_interrupts_delivered_total",
        "Interrupts that the VP was given.",
        |vp| Count(vp.interrupts_delivered),
    ),
    (
        "vp_interrupts_pending",
        "Interrupts raised for the VP and not yet given to it.",
        |vp| Count(vp.interrupts_pending),
    ),
];

const INTERCEPTS: &Metrics<u64> = &[(
    "vp_intercepts_total",
    "Times that KVM_RUN of the VP came back with something to be served, by what it was.",
    |count| Count(*count),
)];

const ROOT: &Metrics<RootCounters> = &[(
    "root_run_seconds_total",
    "CPU time of the root that was seen on an LP, or elsewhere.",
    |root| Nanos(root.run_ns),
)];

/// The last snapshot of every run so far.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Of the runs before: written out, since they no longer change.
    before: Vec<Family>,
    current: Option<Run>,
}

#[derive(Debug)]
struct Run {
    /// Which one, as labels.
    labels: String,
    snapshot: Snapshot,
}

/// All samples of one metric.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    samples: String,
}

impl Exposition {
    /// Takes the latest snapshot of a run. With it the run before has ended.
    pub(crate) fn set(&mut self, experiment: &str, repetition: u32, snapshot: &Snapshot) {
        let experiment = escaped(experiment);
        let labels = format!(r#"experiment="{experiment}",repetition="{repetition}""#);
        if self.current.as_ref().is_some_and(|it| it.labels != labels) {
            self.before = self.families();
        }
        self.current = Some(Run {
            labels,
            snapshot: snapshot.clone(),
        });
    }

    /// Every metric with its samples of all runs.
    fn families(&self) -> Vec<Family> {
        let mut families = self.current.as_ref().map_or(Vec::new(), Run::families);
        for (family, before) in families.iter_mut().zip(&self.before) {
            family.samples.insert_str(0, &before.samples);
        }
        families
    }
}

impl Run {
    /// Every metric, in the same order for every run.
    fn families(&self) -> Vec<Family> {
        let Snapshot {
            lps, vps, roots, ..
        } = &self.snapshot;
        let labelled = |own: String| format!("{},{own}", self.labels);
        let lp = |it: &LpCounters| labelled(format!(r#"lp="{}""#, it.lp));
        let vp =
            |it: &VpCounters| labelled(format!(r#"guest="{}",vp="{}""#, escaped(&it.guest), it.vp));
        let root = |it: &RootCounters| labelled(format!(r#"root="{}""#, it.place()));
        let by_kind = vps
            .iter()
            .flat_map(|it| it.intercepts.by_kind().map(|kind| (vp(it), kind)));
        let by_kind: Vec<_> = by_kind.collect();
        let intercepts = by_kind
            .iter()
            .map(|(vp, (kind, count))| (format!(r#"{vp},kind="{kind}""#), count));

        let mut families = Vec::new();
        let run = [(self.labels.clone(), &self.snapshot)];
        collect(&mut families, RUN, run);
        collect(&mut families, LP, lps.iter().map(|it| (lp(it), it)));
        collect(&mut families, VP, vps.iter().map(|it| (vp(it), it)));
        collect(&mut families, INTERCEPTS, intercepts);
        collect(&mut families, ROOT, roots.iter().map(|it| (root(it), it)));
        families
    }
}

/// The metrics of one kind of instance, each with a sample per instance and its labels.
fn collect<'a, T: 'a>(
    families: &mut Vec<Family>,
    metrics: &Metrics<T>,
    instances: impl IntoIterator<Item = (String, &'a T)>,
) {
    let instances: Vec<(String, &T)> = instances.into_iter().collect();
    families.extend(metrics.iter().map(|&(name, help, value)| {
        let mut samples = String::new();
        for (labels, of) in &instances {
            // Writing to a String cannot fail.
            let _ = writeln!(samples, "apportion_{name}{{{labels}}} {}", value(of));
        }
        Family {
            name,
            help,
            samples,
        }
    }));
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Family {
            name,
            help,
            samples,
        } in self.families()
        {
            let kind = match name.ends_with("_total") {
                true => "counter",
                false => "gauge",
            };
            write!(
                f,
                "# HELP apportion_{name} {help}\n# TYPE apportion_{name} {kind}\n{samples}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Count(count) => write!(f, "{count}"),
            Nanos(ns) => write!(f, "{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000),
            Millis(ms) => write!(f, "{:.3}", ms as f64 / 1e3),
        }
    }
}

/// As a label's value may stand between quotes.
fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}
