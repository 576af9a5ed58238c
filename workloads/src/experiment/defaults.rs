//! `[defaults]`: keys of guests that every entry has unless it says otherwise.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::keys;
use super::payloads::suits;

/// Moves the defaults of a file into its guests. A key that only some payloads
/// have goes to the guests with one of these.
pub(super) fn spread(table: &mut DeTable<'_>, problems: &mut Problems) {
    let Some(value) = table.remove("defaults") else {
        return;
    };
    let span = value.span();
    let DeValue::Table(defaults) = value.into_inner() else {
        let remedy = "write [defaults], in single brackets, above its keys";
        problems.push(Problem::at(span, "`defaults` must be a table", remedy));
        return;
    };
    let default_payload = text(&defaults, "payload");
    for (key, value) in defaults {
        if let Some(problem) = refuse(&key) {
            problems.push(problem);
            continue;
        }
        let mut taken = false;
        let Some(DeValue::Array(entries)) = table.get_mut("guest").map(Spanned::get_mut) else {
            continue;
        };
        for entry in entries.iter_mut() {
            let DeValue::Table(guest) = entry.get_mut() else {
                continue;
            };
            let payload = text(guest, "payload").or_else(|| default_payload.clone());
            let payload = payload.as_deref().unwrap_or("burn");
            if !suits(key.get_ref(), payload) {
                continue;
            }
            taken = true;
            if !guest.contains_key(key.get_ref().as_ref()) {
                guest.insert(key.clone(), value.clone());
            }
        }
        if !taken {
            let title = format!("`{}` is a default that no guest can have", key.get_ref());
            let label = "remove it, or give a guest a payload that has this key";
            problems.push(Problem::at(key.span(), title, label));
        }
    }
}

fn refuse(key: &Spanned<DeString<'_>>) -> Option<Problem> {
    let name = key.get_ref().as_ref();
    if !keys::NO_DEFAULTS.contains(&name) {
        return keys::GUEST.refuse(name, key.span());
    }
    let title = format!("misplaced key `{name}`");
    let label = "each entry has its own: move it below a [[guest]] header";
    Some(Problem::at(key.span(), title, label))
}

fn text(table: &DeTable<'_>, key: &str) -> Option<String> {
    Some(table.get(key)?.get_ref().as_str()?.to_owned())
}
