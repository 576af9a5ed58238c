//! Where in its text an experiment says what.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::experiment::parse::look;
use crate::experiment::sources::Sources;
use crate::{Experiment, Guest};

/// By key, the place of its value.
type Values = BTreeMap<String, Range<usize>>;

/// The places of all values of a file.
#[derive(Debug, Default)]
pub(super) struct Places {
    top: Values,
    /// By `[[guest]]` entry.
    entries: Vec<Values>,
    /// By change: those of entries that concern nobody are left out.
    changes: Vec<Values>,
    /// By claim, likewise.
    claims: Vec<Values>,
    /// By guest: its entry.
    entry_of: Vec<Option<usize>>,
}

impl Places {
    /// Of an experiment that was read, and so can be again; with the texts that the places point into.
    pub(super) fn of(experiment: &Experiment) -> (Places, Sources) {
        let found = look(experiment, |table| Places {
            top: values(table),
            entries: list(table, "guest"),
            changes: picked(
                list(table, "change"),
                experiment.changes.iter().map(|change| change.entry),
            ),
            claims: picked(
                list(table, "claim"),
                experiment
                    .claims
                    .iter()
                    .map(|claim| claim.number as usize - 1),
            ),
            entry_of: entries(table, experiment),
        });
        let nowhere = || {
            let sources = Sources::file(&experiment.text, &experiment.source);
            (Places::default(), sources)
        };
        found.unwrap_or_else(nowhere)
    }

    /// The value of a key of the experiment itself.
    pub(super) fn top(&self, key: &str) -> Option<Range<usize>> {
        self.top.get(key).cloned()
    }

    /// The value of a key of a guest's entry.
    pub(super) fn guest(&self, guest: usize, key: &str) -> Option<Range<usize>> {
        let entry = self.entry_of.get(guest)?.as_ref()?;
        self.entries.get(*entry)?.get(key).cloned()
    }

    /// The value of a key of a change.
    pub(super) fn change(&self, change: usize, key: &str) -> Option<Range<usize>> {
        self.changes.get(change)?.get(key).cloned()
    }

    /// The value of a key of a claim.
    pub(super) fn claim(&self, claim: usize, key: &str) -> Option<Range<usize>> {
        self.claims.get(claim)?.get(key).cloned()
    }
}

/// By guest of an experiment: its entry. One with a count of 0 has none.
fn entries(table: &DeTable<'_>, experiment: &Experiment) -> Vec<Option<usize>> {
    let list = table.get("guest").and_then(|it| it.get_ref().as_array());
    let list = list.into_iter().flat_map(|it| it.iter());
    let name = |entry: &Spanned<DeValue<'_>>| {
        let name = entry.get_ref().get("name")?.get_ref();
        Some(name.as_str()?.to_owned())
    };
    let names: Vec<Option<String>> = list.map(name).collect();
    let entry = |guest: &Guest| {
        names
            .iter()
            .position(|it| it.as_ref() == Some(&guest.group))
    };
    experiment.guests.iter().map(entry).collect()
}

/// Those of a list that are at these places of it.
fn picked(list: Vec<Values>, places: impl Iterator<Item = usize>) -> Vec<Values> {
    let at = |place: usize| list.get(place).cloned().unwrap_or_default();
    places.map(at).collect()
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
