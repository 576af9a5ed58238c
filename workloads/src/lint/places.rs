//! Where in its text an experiment says what.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Experiment, Guest};

/// By key, the place of its value.
type Values = BTreeMap<String, Range<usize>>;

/// The places of all values of a file.
#[derive(Debug, Default)]
pub(super) struct Places {
    top: Values,
    /// By `[[guest]]` entry.
    entries: Vec<Values>,
    /// What entries have that do not say otherwise.
    defaults: Values,
    /// By `[[change]]` entry, in order.
    changes: Vec<Values>,
    /// By guest: its entry.
    entry_of: Vec<Option<usize>>,
}

impl Places {
    /// Of an experiment that was read, and so whose text can be.
    pub(super) fn of(experiment: &Experiment) -> Places {
        let Ok(table) = DeTable::parse(&experiment.text) else {
            return Places::default();
        };
        let table = table.get_ref();
        let names = names(table);
        // Where a count is 0 an entry has no guests.
        let entry = |guest: &Guest| names.iter().position(|name| *name == guest.group);
        Places {
            top: values(table),
            entries: list(table, "guest"),
            defaults: match table.get("defaults").map(Spanned::get_ref) {
                Some(DeValue::Table(defaults)) => values(defaults),
                _ => Values::new(),
            },
            changes: list(table, "change"),
            entry_of: experiment.guests.iter().map(entry).collect(),
        }
    }

    /// The value of a key of the experiment itself.
    pub(super) fn top(&self, key: &str) -> Option<Range<usize>> {
        self.top.get(key).cloned()
    }

    /// The value of a key of a guest's entry.
    pub(super) fn guest(&self, guest: usize, key: &str) -> Option<Range<usize>> {
        let entry = self.entries.get((*self.entry_of.get(guest)?)?)?;
        entry.get(key).or_else(|| self.defaults.get(key)).cloned()
    }

    /// The value of a key of a change.
    pub(super) fn change(&self, change: usize, key: &str) -> Option<Range<usize>> {
        self.changes.get(change)?.get(key).cloned()
    }
}

/// What the entries of guests are called.
fn names<'t>(table: &'t DeTable<'_>) -> Vec<&'t str> {
    let entries = table.get("guest").and_then(|it| it.get_ref().as_array());
    let entries = entries.into_iter().flat_map(|it| it.iter());
    let name = |entry: &'t Spanned<DeValue<'_>>| entry.get_ref().get("name")?.get_ref().as_str();
    entries.map(|it| name(it).unwrap_or_default()).collect()
}

fn list(table: &DeTable<'_>, key: &str) -> Vec<Values> {
    let Some(DeValue::Array(entries)) = table.get(key).map(Spanned::get_ref) else {
        return Vec::new();
    };
    let of = |entry: &Spanned<DeValue<'_>>| match entry.get_ref() {
        DeValue::Table(table) => values(table),
        _ => Values::new(),
    };
    entries.iter().map(of).collect()
}

fn values(table: &DeTable<'_>) -> Values {
    let place = |(key, value): (&Spanned<_>, &Spanned<_>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), value.span())
    };
    table.iter().map(place).collect()
}
