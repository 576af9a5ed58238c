//! The keys of one TOML table, taken out one by one with type and range checked.

mod numbers;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::keys::Keys;
use crate::suggest::{listed, nearest};

pub(super) use self::numbers::whole;

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
