//! Settings: values put in place of what a file says, by its sweep, its claims or the command line.

use std::fmt;
use std::ops::Range;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::sources::Sources;
use crate::suggest::{listed, nearest};

/// One key of an experiment with the value that it is to have, such as `guest.test.weight = 100`.
///
/// A key of the experiment, `guest.NAME.KEY` of an entry, `defaults.KEY`,
/// `simulator.KEY`, or `change.N.KEY` and `claim.N.KEY` counted from 1.
#[derive(Clone, Debug)]
pub struct Setting {
    path: Vec<Spanned<String>>,
    /// The value as TOML, and where it begins.
    toml: String,
    start: usize,
    /// The value as people write it.
    value: String,
    /// The option that says it and its text, which the places point into; without one it is the file.
    option: Option<(&'static str, String)>,
}

/// Two settings are equal if they do the same.
impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        (self.key(), &self.value) == (other.key(), &other.value)
    }
}

/// Why a text is no setting.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no `=`, or nothing before it.
    #[error("`{0}` sets nothing: write KEY=VALUE, such as guest.test.weight=100 or slice=2ms")]
    NoKey(String),
    /// What stands before the `=` is no key.
    #[error("`{0}` is no key: write names with dots between them, such as guest.test.weight")]
    BadKey(String),
    /// A list or a range that makes no values.
    #[error(
        "`{text}` {cause}: write values as in 50,100,200, or a range of numbers as in 50..200:50"
    )]
    BadValues {
        /// What stands after the `=`.
        text: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The same key twice.
    #[error("{0} is set twice: once is enough")]
    Twice(String),
}

impl Setting {
    /// `KEY=VALUE` as an option of the command line gives it; text needs no quotes.
    ///
    /// # Errors
    /// [`SettingError`], where there is no key.
    pub fn parse(text: &str) -> Result<Setting, SettingError> {
        let (key, value) = halves(text)?;
        Setting::of_option("--set", key, value)
    }

    /// What `option` says.
    pub(super) fn of_option(
        option: &'static str,
        key: &str,
        value: &str,
    ) -> Result<Setting, SettingError> {
        let value = match DeValue::parse(value) {
            Ok(_) => value.to_owned(),
            // `2ms` and `burn` are no TOML without quotes.
            Err(_) => toml::Value::String(value.to_owned()).to_string(),
        };
        let text = format!("{key} = {value}");
        let table = DeTable::parse(&text).map(Spanned::into_inner);
        let leaves = table.map(Leaf::all).unwrap_or_default();
        match &leaves[..] {
            [leaf] => Ok(Setting {
                option: Some((option, text.clone())),
                ..leaf.setting(&leaf.value, &text)
            }),
            _ => Err(SettingError::BadKey(key.to_owned())),
        }
    }

    /// The key, its parts joined by dots.
    pub fn key(&self) -> String {
        dotted(&self.path)
    }

    /// The value as people write it: text without its quotes.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// With its places behind all that `sources` has, where the command line says it.
    pub(super) fn placed(mut self, sources: &mut Sources) -> Setting {
        if let Some((option, text)) = &self.option {
            let by = sources.add(text, option);
            for part in &mut self.path {
                let Range { start, end } = part.span();
                *part = Spanned::new(start + by..end + by, part.get_ref().clone());
            }
            self.start += by;
        }
        self
    }

    /// A text in which its value stands in its place.
    pub(super) fn in_place(&self) -> String {
        let key = format!("{IN_PLACE}=");
        // A value is never the first of a text: its key is.
        let blanks = " ".repeat(self.start.saturating_sub(key.len()));
        format!("{blanks}{key}{}", self.toml)
    }

    /// Where its key is written, or the last part of it.
    pub(super) fn place(&self) -> Range<usize> {
        self.path.last().map_or(0..0, Spanned::span)
    }

    /// Puts it into the table of a file; `in_place` is its value.
    pub(super) fn apply<'i>(
        &self,
        in_place: &'i str,
        table: &mut DeTable<'i>,
        problems: &mut Problems,
    ) {
        let parsed = DeTable::parse(in_place).map(Spanned::into_inner);
        let Some(value) = parsed.ok().and_then(|mut it| it.remove(IN_PLACE)) else {
            problems.push(self.leads_nowhere());
            return;
        };
        let path: Vec<&str> = self
            .path
            .iter()
            .map(|part| part.get_ref().as_str())
            .collect();
        let (home, key) = match path[..] {
            [key] if !FIXED.contains(&key) => (Ok(table), key),
            [section @ ("simulator" | "defaults"), key] => (self.section(table, section), key),
            ["guest", name, key] if key != "name" => (self.guest(table, name), key),
            [list @ ("change" | "claim"), number, key] => (self.entry(table, list, number), key),
            _ => (Err(self.leads_nowhere().into()), ""),
        };
        match home {
            Ok(home) => {
                // A map keeps the key that it has, and so its place.
                home.remove(key);
                home.insert(Spanned::new(self.place(), key.to_owned().into()), value);
            }
            Err(problem) => problems.push(*problem),
        }
    }

    /// The table of its own below a header in single brackets.
    fn section<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        name: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        if !table.contains_key(name) {
            let empty = Spanned::new(self.place(), DeValue::Table(DeTable::new()));
            table.insert(Spanned::new(self.place(), name.to_owned().into()), empty);
        }
        let found = table.get_mut(name).map(Spanned::get_mut);
        match found {
            Some(DeValue::Table(found)) => Ok(found),
            _ => Err(self.not_there(name).into()),
        }
    }

    /// The entry of guests that has this name.
    fn guest<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        name: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        let name_of = |entry: &Spanned<DeValue<'_>>| {
            let name = entry.get_ref().get("name")?;
            Some(name.get_ref().as_str()?.to_owned())
        };
        let entries = entries(table, "guest");
        let names: Vec<String> = entries
            .iter()
            .flat_map(|it| it.iter())
            .filter_map(name_of)
            .collect();
        let found = entries.into_iter().flat_map(|it| it.iter_mut());
        let mut found = found.filter(|entry| name_of(entry).is_some_and(|it| it == name));
        match found.next().map(Spanned::get_mut) {
            Some(DeValue::Table(guest)) => Ok(guest),
            _ => {
                let place = self.path.get(1).map_or(self.place(), Spanned::span);
                let title = format!("there is no entry `{}` of guests", name.escape_debug());
                let known = names.iter().map(String::as_str);
                let label = match nearest(name, known.clone()).first() {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("use the name of an entry: {}", listed(known)),
                };
                Err(Problem::at(place, title, label).into())
            }
        }
    }

    /// The entry of a list that has this number, counted from 1.
    fn entry<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        list: &str,
        number: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        let index = number
            .parse::<usize>()
            .ok()
            .and_then(|it| it.checked_sub(1));
        let entries = entries(table, list);
        let found = entries
            .zip(index)
            .and_then(|(entries, index)| entries.get_mut(index));
        match found.map(Spanned::get_mut) {
            Some(DeValue::Table(entry)) => Ok(entry),
            _ => Err(self.not_there(&format!("{list}.{number}")).into()),
        }
    }

    fn not_there(&self, what: &str) -> Problem {
        let title = format!("there is no `{}` to set anything of", what.escape_debug());
        let place = self.path.get(1).map_or(self.place(), Spanned::span);
        Problem::at(
            place,
            title,
            "entries of changes and claims are counted from 1",
        )
    }

    fn leads_nowhere(&self) -> Problem {
        let title = format!("`{}` is nothing that can be set", self.key().escape_debug());
        let label = "use a key of the experiment such as `slice`, or `guest.NAME.KEY`";
        Problem::at(self.place(), title, label).help(
            "`defaults.KEY`, `simulator.KEY`, `change.N.KEY` and `claim.N.KEY` can be set, too",
        )
    }
}

/// The key of a value that stands alone.
const IN_PLACE: &str = "v";

/// Keys of the experiment that make the file what it is, and those that are whole tables.
const FIXED: [&str; 9] = [
    "schema",
    "name",
    "why",
    "guest",
    "change",
    "claim",
    "sweep",
    "simulator",
    "defaults",
];

/// The list below headers in double brackets.
fn entries<'t, 'i>(table: &'t mut DeTable<'i>, list: &str) -> Option<&'t mut DeArray<'i>> {
    match table.get_mut(list)?.get_mut() {
        DeValue::Array(entries) => Some(entries),
        _ => None,
    }
}

fn dotted(path: &[Spanned<String>]) -> String {
    let parts: Vec<&str> = path.iter().map(|part| part.get_ref().as_str()).collect();
    parts.join(".")
}

/// `key=value`, as the label of a run that it tells from others.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key(), self.value)
    }
}

/// What stands before and after the first `=`.
pub(super) fn halves(text: &str) -> Result<(&str, &str), SettingError> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim(), value.trim())),
        _ => Err(SettingError::NoKey(text.to_owned())),
    }
}

/// One value of a table with the path to it.
pub(super) struct Leaf<'i> {
    path: Vec<Spanned<String>>,
    pub(super) value: Spanned<DeValue<'i>>,
}

impl<'i> Leaf<'i> {
    /// All values of a table and of the tables in it, in the order of the text.
    pub(super) fn all(table: DeTable<'i>) -> Vec<Leaf<'i>> {
        let mut leaves = Vec::new();
        collect(&mut Vec::new(), table, &mut leaves);
        leaves.sort_by_key(|leaf| leaf.value.span().start);
        leaves
    }

    /// Those that are values, or lists of such; the others are reported.
    pub(super) fn values(table: DeTable<'i>, problems: &mut Problems) -> Vec<Leaf<'i>> {
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
    pub(super) fn key(&self) -> String {
        dotted(&self.path)
    }

    /// Where its key is written, or the last part of it.
    pub(super) fn place(&self) -> Range<usize> {
        self.path.last().map_or(0..0, Spanned::span)
    }

    /// The setting of its key to a value of `text`, which both stand in.
    pub(super) fn setting(&self, value: &Spanned<DeValue<'i>>, text: &str) -> Setting {
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
        DeValue::Integer(number) => number.to_string(),
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
