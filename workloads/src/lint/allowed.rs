//! Lines `# check: allow ID: reason`, by which a file says that something is meant.

use std::ops::Range;

use super::rules::{self, RULES};
use super::{Rule, Severity};
use crate::experiment::diagnostics::Problem;
use crate::suggest::{listed, nearest};

const START: &str = "# check: allow ";

/// What such lines themselves can have wrong; raised apart from the others, when all of these have looked.
pub(super) const RULE: Rule = Rule {
    id: "allowance",
    severity: Severity::Warning,
    about: "a line `# check: allow` that names no rule, gives no reason, or has nothing to allow",
    look: rules::nothing,
};

struct Allowance {
    id: String,
    place: Range<usize>,
    has_reason: bool,
    used: bool,
}

/// All such lines of a file.
pub(super) struct Allowances(Vec<Allowance>);

impl Allowances {
    pub(super) fn of(text: &str) -> Allowances {
        let mut start = 0;
        let mut found = Vec::new();
        for line in text.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            if let Some(said) = line.trim().strip_prefix(START) {
                let (id, reason) = said.split_once(':').unwrap_or((said, ""));
                let from = start + indent + START.len();
                found.push(Allowance {
                    id: id.trim().to_owned(),
                    place: from..from + id.trim_end().len(),
                    has_reason: !reason.trim().is_empty(),
                    used: false,
                });
            }
            start += line.len();
        }
        Allowances(found)
    }

    /// Whether what the rule finds is allowed.
    pub(super) fn use_up(&mut self, rule: &str) -> bool {
        let mut allowed = false;
        for allowance in self.0.iter_mut().filter(|allowance| allowance.id == rule) {
            allowance.used = true;
            allowed = true;
        }
        allowed
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        self.0.iter().filter_map(Allowance::problem).collect()
    }
}

impl Allowance {
    fn problem(&self) -> Option<Problem> {
        let at = |title: String, label: &str| Some(Problem::at(self.place.clone(), title, label));
        let id = &self.id;
        let Some(rule) = RULES.iter().find(|rule| rule.id == id) else {
            let ids = || RULES.iter().map(|rule| rule.id);
            let title = format!("there is no rule `{}`", id.escape_debug());
            let label = match nearest(id, ids()).first() {
                Some(word) => format!("did you mean `{word}`?"),
                None => "use the id of a rule".to_owned(),
            };
            let help = format!("the rules are {}", listed(ids()));
            return at(title, &label).map(|problem| problem.help(help));
        };
        if rule.severity == Severity::Error {
            return at(
                format!("`{id}` is an error"),
                "remove this line: the run would be refused",
            );
        }
        if !self.has_reason {
            let help = format!("such as `{START}{id}: this is what it shows`");
            return at(
                "nothing says why this is allowed".to_owned(),
                "add a colon and the reason",
            )
            .map(|problem| problem.help(help));
        }
        if self.used {
            return None;
        }
        at(format!("nothing here breaks `{id}`"), "remove this line")
    }
}
