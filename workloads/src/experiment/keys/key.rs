//! What is to be known of one key: what it may be, what holds without it, and what it means.

use super::Keys;
use crate::limits::Limit;
use crate::schema::{Bounded, Limited};

/// A key of a table of the language. The parser's messages and the JSON Schema follow from it.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) absent: Absent,
    /// What it is for, in a few words.
    pub(crate) meaning: &'static str,
}

/// What a value may be.
pub(crate) enum Form {
    /// This number and no other.
    Exactly(u32),
    /// A number, a time or a size within its limit.
    Within(&'static dyn Limited),
    /// A list of different numbers, each within its limit, at least one.
    List(&'static dyn Limited),
    /// Lowercase letters, digits and `-`.
    Name,
    /// A line that is not blank.
    Sentence,
    Truth,
    /// A number within its limit, or a time in quotes.
    NumberOrTime(&'static dyn Limited, &'static dyn Limited),
    /// Keys of the experiment, or paths to others, each with a value.
    Settings,
    /// Such keys, each with a list of values, and rows of settings below `[[key.exclude]]` and `[[key.include]]`.
    Axes,
    /// The keys of a table but for these, none of which must be there.
    Some(&'static Keys, &'static [&'static str]),
    /// A list of different texts, at least one.
    Words,
    /// One of a few words.
    Word(fn() -> Vec<&'static str>),
    /// A table below `[key]`.
    Table(&'static Keys),
    /// Tables below `[[key]]`, at least one.
    Tables(&'static Keys),
}

/// What holds without the key.
pub(crate) enum Absent {
    /// It must be there.
    Refused,
    /// The same as with this value, as the file would write it.
    Means(&'static str),
    /// Something that no value says.
    Otherwise(&'static str),
}

impl Key {
    /// Whether a table without it is refused.
    pub(crate) fn is_needed(&self) -> bool {
        matches!(self.absent, Absent::Refused)
    }
}

/// A number, a time or a size.
pub(crate) const fn within<T: Bounded>(
    limit: &'static Limit<T>,
    absent: Absent,
    meaning: &'static str,
) -> Key {
    Key {
        name: limit.key,
        form: Form::Within(limit),
        absent,
        meaning,
    }
}

/// Anything else.
pub(crate) const fn key(
    name: &'static str,
    form: Form,
    absent: Absent,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        form,
        absent,
        meaning,
    }
}
