//! Traces that ship with Apportion: `shipped:` and a name stands wherever a path may.

use std::path::Path;

/// What their names begin with.
pub(crate) const PREFIX: &str = "shipped:";

/// File name and text of each.
const SHIPPED: [(&str, &str); 1] = [("fifty", include_str!("../../traces/own/fifty.csv"))];

/// The text of a shipped trace; `None` where the path is none of those.
pub(crate) fn text(path: &Path) -> Option<&'static str> {
    let name = path.to_str()?.strip_prefix(PREFIX)?;
    let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
    Some(text)
}

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}
