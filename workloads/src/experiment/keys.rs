//! Every key of the language, by the table it belongs to, and what to say about the others.

use std::ops::Range;

use super::diagnostics::Problem;
use crate::suggest::{listed, nearest};

/// Which keys a table may have.
pub(super) struct Keys {
    /// What the table describes, with its article.
    pub(super) owner: &'static str,
    allowed: &'static [&'static str],
    /// Keys that would be right in another place, and how to get them there.
    elsewhere: &'static [(&'static [&'static str], &'static str)],
}

const OF_EXPERIMENT: [&str; 20] = [
    "schema",
    "name",
    "why",
    "lps",
    "nodes",
    "duration",
    "warm_up",
    "slice",
    "policy",
    "weight_scope",
    "reserve_model",
    "repetitions",
    "tolerance_pp",
    "seed",
    "guest",
    "change",
    "claim",
    "sweep",
    "defaults",
    "simulator",
];

const OF_GUEST: [&str; 29] = [
    "name",
    "count",
    "vps",
    "weight",
    "reserve",
    "cap",
    "expected",
    "affinity",
    "memory",
    "processor",
    "ticks",
    "payload",
    "after_work",
    "period",
    "run",
    "on",
    "off",
    "critical",
    "think",
    "hint",
    "threshold",
    "units",
    "burst",
    "pause",
    "working_set",
    "stride",
    "every",
    "random",
    "attack",
];

const OF_CHANGE: [&str; 10] = [
    "at",
    "guest",
    "weight",
    "reserve",
    "cap",
    "add_vps",
    "interrupts",
    "lp_off",
    "force",
    "lp_on",
];

const OF_CLAIM: [&str; 6] = ["guest", "measure", "at_least", "at_most", "of", "why"];

const OF_SIMULATOR: [&str; 2] = ["overhead", "kick_latency"];

const TO_CLAIM: &str = "this is a key of a claim: move it below a [[claim]] header";
const TO_CHANGE: &str = "this is a key of a change: move it below a [[change]] header";
const TO_EXPERIMENT: &str =
    "this is a key of the experiment: move it above the first [[guest]] header";
const TO_GUEST: &str = "this is a key of a guest: move it below a [[guest]] header";
const TO_SIMULATOR: &str = "this is a key of the simulator: move it below a [simulator] header";

pub(super) const EXPERIMENT: Keys = Keys {
    owner: "an experiment",
    allowed: &OF_EXPERIMENT,
    elsewhere: &[
        (&OF_GUEST, TO_GUEST),
        (&OF_CHANGE, TO_CHANGE),
        (&OF_CLAIM, TO_CLAIM),
        (&OF_SIMULATOR, TO_SIMULATOR),
    ],
};

pub(super) const GUEST: Keys = Keys {
    owner: "a guest",
    allowed: &OF_GUEST,
    elsewhere: &[
        (&OF_EXPERIMENT, TO_EXPERIMENT),
        (&OF_CHANGE, TO_CHANGE),
        (&OF_CLAIM, TO_CLAIM),
        (&OF_SIMULATOR, TO_SIMULATOR),
    ],
};

pub(super) const CHANGE: Keys = Keys {
    owner: "a change",
    allowed: &OF_CHANGE,
    elsewhere: &[
        (
            &["vps"],
            "write `add_vps`: how many more VPs there shall be",
        ),
        (&OF_EXPERIMENT, TO_EXPERIMENT),
        (&OF_GUEST, TO_GUEST),
        (&OF_CLAIM, TO_CLAIM),
        (&OF_SIMULATOR, TO_SIMULATOR),
    ],
};

pub(super) const CLAIM: Keys = Keys {
    owner: "a claim",
    allowed: &OF_CLAIM,
    elsewhere: &[
        (&OF_EXPERIMENT, TO_EXPERIMENT),
        (&OF_GUEST, TO_GUEST),
        (&OF_CHANGE, TO_CHANGE),
        (&OF_SIMULATOR, TO_SIMULATOR),
    ],
};

pub(super) const DEFAULTS: Keys = Keys {
    owner: "a default of guests",
    allowed: OF_GUEST.split_at(2).1,
    elsewhere: &[
        (
            &["name", "count"],
            "each guest has its own: move it below a [[guest]] header",
        ),
        (
            &OF_EXPERIMENT,
            "this is a key of the experiment: move it above the first header in brackets",
        ),
        (&OF_CHANGE, TO_CHANGE),
        (&OF_CLAIM, TO_CLAIM),
        (&OF_SIMULATOR, TO_SIMULATOR),
    ],
};

pub(super) const SIMULATOR: Keys = Keys {
    owner: "the simulator",
    allowed: &OF_SIMULATOR,
    elsewhere: &[
        (
            &OF_EXPERIMENT,
            "this is a key of the experiment: move it above the first header in brackets",
        ),
        (&OF_GUEST, TO_GUEST),
        (&OF_CHANGE, TO_CHANGE),
        (&OF_CLAIM, TO_CLAIM),
    ],
};

impl Keys {
    /// The complaint about `key`, unless it may stand here.
    pub(super) fn refuse(&self, key: &str, span: Range<usize>) -> Option<Problem> {
        if self.allowed.contains(&key) {
            return None;
        }
        let home = |(keys, _): &&(&[&str], _)| keys.contains(&key);
        if let Some((_, move_it)) = self.elsewhere.iter().find(home) {
            return Some(Problem::at(
                span,
                format!("misplaced key `{key}`"),
                *move_it,
            ));
        }
        let title = format!("unknown key `{}`", key.escape_debug());
        let problem = match nearest(key, self.allowed.iter().copied()).first() {
            Some(word) => Problem::at(span, title, format!("did you mean `{word}`?")),
            None => Problem::at(span, title, format!("{} has no such key", self.owner)),
        };
        let allowed = listed(self.allowed.iter().copied());
        Some(problem.help(format!("the keys of {} are {allowed}", self.owner)))
    }
}
