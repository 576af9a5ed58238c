//! The keys that a table of the language may have, and what to say about the others.

mod key;
mod tables;

use std::ops::Range;

use super::diagnostics::Problem;
use crate::suggest::{listed, nearest};

pub(crate) use super::payloads::OwnKey;
pub(crate) use key::{Absent, Form, Key, key, within};
pub(crate) use tables::{CHANGE, CLAIM, EXPERIMENT, GUEST, NO_DEFAULTS, SIMULATOR};

/// Which keys a table may have.
pub(crate) struct Keys {
    /// What the table describes, with its article.
    pub(crate) owner: &'static str,
    /// Those that it always has.
    pub(crate) keys: &'static [Key],
    /// Those that it has with some payloads.
    pub(crate) of_payloads: &'static [OwnKey],
    /// Keys that it has not, and what to write instead.
    instead: &'static [(&'static str, &'static str)],
    /// Tables whose keys would be right in another place, and how to get them there.
    elsewhere: &'static [(&'static Keys, &'static str)],
}

impl Keys {
    /// Every key, each once.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let own = self.keys.iter().map(|key| key.name);
        let mut names: Vec<&str> = own.collect();
        for own in self.of_payloads {
            if !names.contains(&own.key.name) {
                names.push(own.key.name);
            }
        }
        names
    }

    /// The complaint about `key`, unless it may stand here.
    pub(super) fn refuse(&self, key: &str, span: Range<usize>) -> Option<Problem> {
        let allowed = self.names();
        if allowed.contains(&key) {
            return None;
        }
        let instead = self.instead.iter().find(|(other, _)| *other == key);
        let elsewhere = || {
            let mut tables = self.elsewhere.iter();
            tables.find(|(keys, _)| keys.names().contains(&key))
        };
        let remedy = instead.map(|(_, remedy)| *remedy);
        if let Some(move_it) = remedy.or_else(|| elsewhere().map(|(_, move_it)| *move_it)) {
            let title = format!("misplaced key `{key}`");
            return Some(Problem::at(span, title, move_it));
        }
        let title = format!("unknown key `{}`", key.escape_debug());
        let problem = match nearest(key, allowed.iter().copied()).first() {
            Some(word) => Problem::at(span, title, format!("did you mean `{word}`?")),
            None => Problem::at(span, title, format!("{} has no such key", self.owner)),
        };
        let allowed = listed(allowed);
        Some(problem.help(format!("the keys of {} are {allowed}", self.owner)))
    }
}
