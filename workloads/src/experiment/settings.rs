//! Settings: values put in place of what a file says, by its sweep, its claims or the command line.

mod leaves;
mod target;

use std::fmt;
use std::ops::Range;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) use self::leaves::Leaf;
use super::sources::Sources;

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
}

/// The key of a value that stands alone.
const IN_PLACE: &str = "v";

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
