//! What is legal in an experiment and will not do what one thinks, or cannot be run at all: answers
//! before a second is spent on it.
//!
//! Each rule is a function that looks at a scene; [`RULES`] lists them all. A file keeps a warning
//! or a note from being raised by a line `# check: allow ID: reason`.

mod admission;
mod allowed;
mod inert;
mod placement;
mod places;
mod promises;
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
    /// What, where and what to do about it, drawn beside the lines of the file.
    pub report: String,
}

/// All that the rules find in the experiments that one file stands for, in the order of its text.
///
/// `lps` is how many LPs they get where the file does not say. The file has
/// been read, and so it has no mistakes that reading reports. What is so in
/// several points of a sweep is told of the first of these.
pub fn lint(points: &[Experiment], lps: u32) -> Vec<Finding> {
    let Some(first) = points.first() else {
        return Vec::new();
    };
    let scene = |point| Scene::new(point, point.lps.unwrap_or(lps));
    let scenes: Vec<Scene<'_>> = points.iter().map(scene).collect();
    let mut allowances = Allowances::of(&first.text);
    let mut found = Vec::new();
    for rule in RULES {
        let of_points = scenes.iter().map(|scene| (scene, (rule.look)(scene)));
        let mut of_points = of_points.filter(|(_, problems)| !problems.is_empty());
        let Some((scene, problems)) = of_points.next() else {
            continue;
        };
        if rule.severity < Severity::Error && allowances.use_up(rule.id) {
            continue;
        }
        let name = &scene.experiment.name;
        let others = match of_points.count() {
            0 if points.len() == 1 => None,
            0 => Some(format!("in {name} only")),
            1 => Some(format!("in {name} and another of {}", points.len())),
            others => Some(format!("in {name} and {others} others of {}", points.len())),
        };
        found.extend(problems.into_iter().map(|problem| match &others {
            None => (rule, &scene.sources, problem),
            Some(others) => (rule, &scene.sources, problem.note(others)),
        }));
    }
    let unused = allowances.problems().into_iter();
    found.extend(unused.map(|problem| (&allowed::RULE, &scenes[0].sources, problem)));
    found.sort_by_key(|(.., problem)| problem.start());
    let drawn = found.into_iter().map(|(rule, sources, problem)| Finding {
        rule: rule.id,
        severity: rule.severity,
        report: problem
            .by_rule(rule.severity.level(), rule.id)
            .render(sources),
    });
    drawn.collect()
}
