//! The values of a table with the paths to them: what a sweep or a claim writes as settings.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Setting, dotted};
use crate::experiment::diagnostics::{Problem, Problems};
use crate::experiment::fields::whole;

/// One value of a table with the path to it.
pub(in crate::experiment) struct Leaf<'i> {
    path: Vec<Spanned<String>>,
    pub(in crate::experiment) value: Spanned<DeValue<'i>>,
}

impl<'i> Leaf<'i> {
    /// All values of a table and of the tables in it, in the order of the text.
    pub(in crate::experiment) fn all(table: DeTable<'i>) -> Vec<Leaf<'i>> {
        let mut leaves = Vec::new();
        collect(&mut Vec::new(), table, &mut leaves);
        leaves.sort_by_key(|leaf| leaf.value.span().start);
        leaves
    }

    /// Those that are values, or lists of such; the others are reported.
    pub(in crate::experiment) fn values(
        table: DeTable<'i>,
        problems: &mut Problems,
    ) -> Vec<Leaf<'i>> {
        let mut leaves = Leaf::all(table);
        leaves.retain(|leaf| {
            let plain = is_plain(leaf.value.get_ref());
            if !plain {
                let title = format!(
                    "`{}` is a list of tables, which nothing can be set to",
                    leaf.key()
                );
                let label = "write a path with a value, such as `guest.test.weight = 100`";
                problems.push(Problem::at(leaf.value.span(), title, label));
            }
            plain
        });
        leaves
    }

    /// Its path, with dots.
    pub(in crate::experiment) fn key(&self) -> String {
        dotted(&self.path)
    }

    /// Where its key is written, or the last part of it.
    pub(in crate::experiment) fn place(&self) -> Range<usize> {
        self.path.last().map_or(0..0, Spanned::span)
    }

    /// The setting of its key to a value of `text`, which both stand in.
    pub(in crate::experiment) fn setting(
        &self,
        value: &Spanned<DeValue<'i>>,
        text: &str,
    ) -> Setting {
        let span = value.span();
        Setting {
            path: self.path.clone(),
            toml: text.get(span.clone()).unwrap_or_default().to_owned(),
            start: span.start,
            value: told(value.get_ref()),
            option: None,
        }
    }
}

/// Tables in tables are paths, and a key in quotes may be one: `"guest.test.weight"`.
fn collect<'i>(path: &mut Vec<Spanned<String>>, table: DeTable<'i>, leaves: &mut Vec<Leaf<'i>>) {
    for (key, value) in table {
        let before = path.len();
        let part = |part: &str| Spanned::new(key.span(), part.to_owned());
        path.extend(key.get_ref().split('.').map(part));
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => collect(path, table, leaves),
            value => leaves.push(Leaf {
                path: path.clone(),
                value: Spanned::new(span, value),
            }),
        }
        path.truncate(before);
    }
}

/// Whether there is no table in it.
fn is_plain(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => false,
        DeValue::Array(entries) => entries.iter().all(|entry| is_plain(entry.get_ref())),
        _ => true,
    }
}

/// A value as people write it.
fn told(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(digits) => match whole(digits) {
            Some(number) => number.to_string(),
            None => digits.to_string(),
        },
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(|it| told(it.get_ref())).collect();
            format!("[{}]", entries.join(", "))
        }
        DeValue::Table(_) => "a table".to_owned(),
    }
}
