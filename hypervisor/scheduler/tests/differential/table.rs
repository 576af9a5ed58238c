//! Runs mixes of a kind, counts what was found, and prints it.

use super::checks::{Check, Finding, judge};
use super::mix::{Kind, Mix};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Mixes of all kinds together that `cargo test` runs.
const MIXES: u64 = 220;

/// Failing mixes that are printed.
const SHOWN: usize = 5;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    checks: u64,
    violations: u64,
    /// In bounds.
    worst: f64,
    /// In slices.
    worst_slices: f64,
}

/// Of one kind.
#[derive(Debug)]
pub(crate) struct Tally {
    label: String,
    mixes: u64,
    counts: [Count; Check::ALL.len()],
    lag: (f64, f64),
    failed: Vec<(f64, String)>,
    failures: u64,
    /// Prints how each error went over the run.
    shows_courses: bool,
}

impl Tally {
    pub(crate) fn new(label: String) -> Tally {
        Tally {
            label,
            mixes: 0,
            counts: [Count::default(); Check::ALL.len()],
            lag: (0.0, 0.0),
            failed: Vec::new(),
            failures: 0,
            shows_courses: false,
        }
    }

    /// Runs a mix. How bad it was, in bounds.
    pub(crate) fn add(&mut self, mix: &Mix) -> f64 {
        self.mixes += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| judge(mix)));
        let report = match outcome {
            Ok(Ok(report)) => report,
            Ok(Err(problem)) => return self.fail(f64::INFINITY, mix, &problem),
            Err(_) => return self.fail(f64::INFINITY, mix, "the scheduler panicked"),
        };
        self.lag.0 = self.lag.0.min(report.lag.0);
        self.lag.1 = self.lag.1.max(report.lag.1);
        let slice = mix.slice as f64;
        let mut worst: Option<&Finding> = None;
        if self.shows_courses {
            show_courses(&report.findings, slice);
        }
        for finding in &report.findings {
            let count = &mut self.counts[finding.check as usize];
            count.checks += 1;
            count.worst = count.worst.max(finding.severity(slice));
            count.worst_slices = count.worst_slices.max(finding.error / slice);
            if finding.is_beyond() {
                count.violations += 1;
            }
            if !finding.is_claimed {
                continue;
            }
            if worst.is_none_or(|worst| worst.severity(slice) < finding.severity(slice)) {
                worst = Some(finding);
            }
        }
        let Some(worst) = worst else { return 0.0 };
        let broken: Vec<String> = report
            .findings
            .iter()
            .filter(|finding| finding.is_violated())
            .map(|finding| describe(finding, slice))
            .collect();
        if !broken.is_empty() {
            self.fail(worst.severity(slice), mix, &broken.join("; "));
        }
        worst.severity(slice)
    }

    fn fail(&mut self, severity: f64, mix: &Mix, problem: &str) -> f64 {
        self.failures += 1;
        self.failed.push((severity, format!("{problem}\n{mix}")));
        self.failed.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.failed.truncate(SHOWN);
        severity
    }

    pub(crate) fn assert_clean(&self) {
        println!("{self}");
        assert_eq!(self.failures, 0, "failing mixes of {}", self.label);
    }
}

/// What was judged, in slices, at every border.
fn show_courses(findings: &[Finding], slice: f64) {
    for finding in findings {
        let course = finding.course.iter();
        let course: Vec<String> = course.map(|ns| format!("{:.1}", ns / slice)).collect();
        println!("{}: {}", describe(finding, slice), course.join(" "));
    }
}

fn describe(finding: &Finding, slice: f64) -> String {
    format!(
        "{:?} of g{}: {:.3} slices, bound {:.3}",
        finding.check,
        finding.guest,
        finding.error / slice,
        finding.bound / slice
    )
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} mixes, {} failed, lag {:.2} to {:.2} slices",
            self.label, self.mixes, self.failures, self.lag.0, self.lag.1
        )?;
        writeln!(
            f,
            "  check      checks  violations  worst (bounds)  worst (slices)"
        )?;
        for (check, count) in Check::ALL.iter().zip(&self.counts) {
            writeln!(
                f,
                "  {:9} {:7} {:11} {:15.3} {:15.3}",
                format!("{check:?}"),
                count.checks,
                count.violations,
                count.worst,
                count.worst_slices
            )?;
        }
        for (_, text) in &self.failed {
            write!(f, "{text}")?;
        }
        Ok(())
    }
}

/// Runs the mixes of a kind: those of `APPORTION_MIX`, or as many as
/// `APPORTION_MIXES` says for all kinds together.
pub(crate) fn check_kind(kind: Kind) {
    let mut tally = Tally::new(format!("{kind:?}"));
    if let Ok(name) = std::env::var("APPORTION_MIX") {
        let mix = super::generate::named(&name);
        if mix.kind == kind {
            println!("{mix}");
            tally.shows_courses = true;
            tally.add(&mix);
            tally.assert_clean();
        }
        return;
    }
    let mixes = std::env::var("APPORTION_MIXES")
        .ok()
        .and_then(|mixes| mixes.parse().ok())
        .unwrap_or(MIXES);
    for number in (0..mixes).filter(|&number| Kind::of(number) == kind) {
        tally.add(&super::generate::mix(number));
    }
    tally.assert_clean();
}
