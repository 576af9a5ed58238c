//! The keys of one TOML table, taken out one by one with type and range checked.

use std::fmt::Display;
use std::ops::Range;

use apportion_scheduler::Nanos;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::keys::Keys;
use crate::duration;
use crate::limits::{Limit, OutOfRange};
use crate::suggest::{listed, nearest};

/// One table while it is read; what is wrong with it goes to `problems`.
pub(super) struct Fields<'p, 'i> {
    table: DeTable<'i>,
    owner: &'static str,
    /// Where to point when a key is missing; `None` is the whole file.
    header: Option<Range<usize>>,
    /// Some key does not belong here, so that what seems to be missing may be what it was meant for.
    pub(super) has_strange_keys: bool,
    pub(super) problems: &'p mut Problems,
}

impl<'p, 'i> Fields<'p, 'i> {
    /// Opens a table and reports every key that does not belong there.
    pub(super) fn open(
        table: DeTable<'i>,
        header: Option<Range<usize>>,
        keys: &Keys,
        problems: &'p mut Problems,
    ) -> Self {
        let strange: Vec<Problem> = table
            .keys()
            .filter_map(|key| keys.refuse(key.get_ref(), key.span()))
            .collect();
        let has_strange_keys = !strange.is_empty();
        problems.extend(strange);
        let owner = keys.owner;
        Fields {
            table,
            owner,
            header,
            has_strange_keys,
            problems,
        }
    }

    /// The value of `key` as it stands.
    pub(super) fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'i>>> {
        self.table.remove(key)
    }

    /// Where `key` is written, for a mistake that concerns the key itself.
    pub(super) fn span_of_key(&self, key: &str) -> Option<Range<usize>> {
        let (key, _) = self.table.get_key_value(key)?;
        Some(key.span())
    }

    /// What `read` makes of `key`, together with the place of its value.
    pub(super) fn located<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let span = self.table.get(key)?.span();
        Some(Spanned::new(span, read(self)?))
    }

    /// Reports it if `key` is not there; `example` is a line that would do.
    pub(super) fn require(&mut self, key: &str, example: &str) {
        if self.table.contains_key(key) {
            return;
        }
        let title = format!("key `{key}` is missing");
        let problem = match &self.header {
            Some(header) => Problem::at(header.clone(), title, format!("{} needs it", self.owner)),
            None => Problem::of_file(title),
        };
        self.problems
            .push(problem.help(format!("add a line `{example}`")));
    }

    /// The value of a key that must be there; `example` is a line that would do.
    pub(super) fn required(&mut self, key: &str, example: &str) -> Option<Spanned<DeValue<'i>>> {
        self.require(key, example);
        self.take(key)
    }

    /// The entries below headers such as `[[guest]]`; `None` where there is no such list.
    pub(super) fn list(&mut self, key: &str) -> Option<Spanned<DeArray<'i>>> {
        let value = self.take(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(entries) => Some(Spanned::new(span, entries)),
            other => {
                let remedy = format!("write [[{key}]], in double brackets, above each {key}");
                let value = Spanned::new(span, other);
                self.wrong_type(key, &format!("a list of {key}s"), &value, &remedy);
                None
            }
        }
    }

    /// A required line of text that is not blank.
    pub(super) fn sentence(&mut self, key: &str, example: &str) -> Option<String> {
        let value = self.required(key, example)?;
        let text = self.text_in(key, &value, "write a string in quotes")?;
        if text.trim().is_empty() {
            let title = format!("`{key}` is empty");
            let label = format!("write a sentence, such as `{example}`");
            self.problems.push(Problem::at(value.span(), title, label));
            return None;
        }
        Some(text)
    }

    /// The required `name`: lowercase letters, digits and `-`, a letter or digit first.
    pub(super) fn name(&mut self, example: &str) -> Option<Spanned<String>> {
        let value = self.required("name", example)?;
        let name = self.text_in("name", &value, "write a string in quotes")?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.starts_with('-') || !name.chars().all(allowed) {
            let title = format!("`{}` is no valid name", name.escape_debug());
            let label = "use lowercase letters, digits and `-`, beginning with a letter or digit";
            self.problems.push(Problem::at(value.span(), title, label));
            return None;
        }
        Some(Spanned::new(value.span(), name))
    }

    /// A whole number within `limit`.
    pub(super) fn integer<T>(&mut self, limit: &Limit<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let value = self.take(limit.key)?;
        self.integer_in(&value, limit)
    }

    /// A whole number within `limit` that stands alone or in a list.
    pub(super) fn integer_in<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        limit: &Limit<T>,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let DeValue::Integer(digits) = value.get_ref() else {
            let remedy = format!("use {}", limit.allowed);
            self.wrong_type(limit.key, "a whole number", value, &remedy);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix());
        let checked = match number.ok().and_then(|number| T::try_from(number).ok()) {
            Some(number) => limit.check(number),
            None => Err(limit.refuse(digits)),
        };
        self.in_range(checked, value.span())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.take(key)?;
        if let DeValue::Boolean(truth) = value.get_ref() {
            return Some(*truth);
        }
        self.wrong_type(
            key,
            "a boolean",
            &value,
            "use true or false, without quotes",
        );
        None
    }

    /// A number, decimals allowed, within `limit`.
    pub(super) fn number(&mut self, limit: &Limit<f64>) -> Option<f64> {
        let value = self.take(limit.key)?;
        let digits = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) => integer.as_str(),
            _ => {
                let remedy = format!("use {}", limit.allowed);
                self.wrong_type(limit.key, "a number", &value, &remedy);
                return None;
            }
        };
        let checked = match digits.parse() {
            Ok(number) => limit.check(number),
            Err(_) => Err(limit.refuse(digits)),
        };
        self.in_range(checked, value.span())
    }

    /// A duration in quotes within `limit`.
    pub(super) fn duration(&mut self, limit: &Limit<Nanos>) -> Option<Nanos> {
        let value = self.take(limit.key)?;
        let remedy = "write a number and a unit in quotes, such as \"10s\" or \"500ms\"";
        let text = self.text_in(limit.key, &value, remedy)?;
        match duration::parse_duration(&text) {
            // Refused as it was written: 25h says more than 90000s.
            Ok(time) => {
                let checked = limit.check(time).map_err(|_| limit.refuse(&text));
                self.in_range(checked, value.span())
            }
            Err(error) => {
                let title = format!("{} {}", limit.key, error.cause());
                self.problems
                    .push(Problem::at(value.span(), title, duration::FORM));
                None
            }
        }
    }

    /// One of a few words; `noun` is what they are.
    pub(super) fn choice<T>(
        &mut self,
        noun: &str,
        options: &[(&'static str, T)],
    ) -> Option<Spanned<T>>
    where
        T: Copy,
    {
        let value = self.take(noun)?;
        let words = || options.iter().map(|(word, _)| *word);
        let text = self.text_in(noun, &value, &format!("use one of {}", listed(words())))?;
        if let Some((_, option)) = options.iter().find(|(word, _)| *word == text) {
            return Some(Spanned::new(value.span(), *option));
        }
        let title = format!("unknown {noun} `{}`", text.escape_debug());
        let problem = match nearest(&text, words()).first() {
            Some(word) => Problem::at(value.span(), title, format!("did you mean `{word}`?"))
                .help(format!("{noun} is one of {}", listed(words()))),
            None => Problem::at(
                value.span(),
                title,
                format!("use one of {}", listed(words())),
            ),
        };
        self.problems.push(problem);
        None
    }

    /// The text of `value`, reported with the remedy where it is none.
    pub(super) fn text_in(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        remedy: &str,
    ) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, "a string", value, remedy);
        }
        text.map(str::to_owned)
    }

    fn in_range<T>(&mut self, checked: Result<T, OutOfRange>, span: Range<usize>) -> Option<T> {
        checked
            .map_err(|error| {
                let title = format!("{} {} is out of range", error.key, error.given);
                let label = format!("use {}", error.allowed);
                self.problems.push(Problem::at(span, title, label));
            })
            .ok()
    }

    /// Reports that `value` is not `wanted`, with the remedy.
    pub(super) fn wrong_type(
        &mut self,
        key: &str,
        wanted: &str,
        value: &Spanned<DeValue<'_>>,
        remedy: &str,
    ) {
        let title = format!("`{key}` must be {wanted}, not {}", kind_of(value.get_ref()));
        self.problems.push(Problem::at(value.span(), title, remedy));
    }
}

/// The type of a value as people call it.
fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
