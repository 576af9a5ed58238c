//! `[defaults]`: keys of guests that every entry has unless it says otherwise.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::keys;
use super::payloads::suits;

/// A default that no guest can have, and where it stands.
pub(super) type Idle = Spanned<String>;

/// Moves the defaults of a file into its guests. A key that only some payloads
/// have goes to the guests with one of these; those that find none are handed back.
pub(super) fn spread(table: &mut DeTable<'_>, problems: &mut Problems) -> Vec<Idle> {
    let mut idle = Vec::new();
    let Some(value) = table.remove("defaults") else {
        return idle;
    };
    let span = value.span();
    let DeValue::Table(defaults) = value.into_inner() else {
        let remedy = "write [defaults], in single brackets, above its keys";
        problems.push(Problem::at(span, "`defaults` must be a table", remedy));
        return idle;
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
            idle.push(Spanned::new(key.span(), key.get_ref().to_string()));
        }
    }
    idle
}

/// Whether the file stands for one experiment, by which its defaults can be judged: nothing is swept or compared with.
pub(super) fn stand_alone(table: &DeTable<'_>) -> bool {
    let claims = table.get("claim").map(Spanned::get_ref);
    let mut claims = claims.and_then(DeValue::as_array).into_iter().flatten();
    !table.contains_key("sweep") && !claims.any(|claim| claim.get_ref().get("of").is_some())
}

/// The complaint about a default that no guest of any point can have.
pub(super) fn nobodys(idle: &Idle) -> Problem {
    let title = format!("`{}` is a default that no guest can have", idle.get_ref());
    let label = "remove it, or give a guest a payload that has this key";
    Problem::at(idle.span(), title, label)
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
