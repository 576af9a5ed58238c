//! What is legal in an experiment and will not do what one thinks, or cannot be run at all: answers
//! before a second is spent on it.
//!
//! Each rule is a function that looks at a [`Scene`]; [`RULES`] lists them all. A file keeps a warning
//! or a note from being raised by a line `# check: allow ID: reason`.

mod admission;
mod allowed;
mod inert;
mod placement;
mod places;
mod rules;
mod scene;
mod time;
mod weights;

use std::fmt;

use annotate_snippets::Level;

use crate::Experiment;
use crate::experiment::diagnostics::Problem;

use allowed::Allowances;
use scene::Scene;

pub use rules::RULES;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; it may well be meant.
    Note,
    /// It will hardly do what was meant.
    Warning,
    /// It will be refused.
    Error,
}

impl Severity {
    /// Each, the worst first.
    pub const ALL: [Severity; 3] = [Severity::Error, Severity::Warning, Severity::Note];

    fn level(self) -> Level<'static> {
        match self {
            Severity::Note => Level::NOTE,
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// One thing that is looked for.
pub struct Rule {
    /// Its name, which stays the same from version to version.
    pub id: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What it finds, in a sentence.
    pub about: &'static str,
    look: fn(&Scene<'_>) -> Vec<Problem>,
}

/// Something that a rule found in an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where in the file.
    place: usize,
    /// What, where and what to do about it, drawn beside the lines of the file.
    pub report: String,
}

/// What is found in the experiments that one file stands for: the errors of
/// all of them, and what is doubtful of each of them, for what has no effect
/// in one may be what another is swept for.
pub fn lint_sweep(points: &[Experiment], lps: u32) -> Vec<Finding> {
    let mut of_points = points.iter().map(|point| lint(point, lps));
    let mut all = of_points.next().unwrap_or_default();
    for found in of_points {
        let same = |a: &Finding, b: &Finding| (a.rule, a.place) == (b.rule, b.place);
        all.retain(|it| it.severity == Severity::Error || found.iter().any(|of| same(it, of)));
        let more = found
            .into_iter()
            .filter(|it| it.severity == Severity::Error);
        let more: Vec<Finding> = more
            .filter(|it| !all.iter().any(|of| same(it, of)))
            .collect();
        all.extend(more);
    }
    all
}

/// All that the rules find in `experiment`, in the order of its text.
///
/// `lps` is how many LPs it gets where the file does not say. The file itself
/// has been read, and so it has no mistakes that reading reports.
pub fn lint(experiment: &Experiment, lps: u32) -> Vec<Finding> {
    let scene = Scene::new(experiment, experiment.lps.unwrap_or(lps));
    let mut allowances = Allowances::of(&experiment.text);
    let mut found = Vec::new();
    for rule in RULES {
        let problems = (rule.look)(&scene);
        let may_be_meant = rule.severity < Severity::Error && !problems.is_empty();
        if may_be_meant && allowances.use_up(rule.id) {
            continue;
        }
        found.extend(problems.into_iter().map(|problem| (rule, problem)));
    }
    found.extend(
        allowances
            .problems()
            .into_iter()
            .map(|it| (&allowed::RULE, it)),
    );
    found.sort_by_key(|(_, problem)| problem.start());
    let sources = experiment.sources();
    let drawn = found.into_iter().map(|(rule, problem)| Finding {
        rule: rule.id,
        severity: rule.severity,
        place: problem.start(),
        report: problem
            .by_rule(rule.severity.level(), rule.id)
            .render(&sources),
    });
    drawn.collect()
}
