//! The `[[guest]]` entries of an experiment file.

use std::collections::BTreeMap;
use std::ops::Range;

use apportion_scheduler::{Controls, Weight};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostics::{Problem, Problems};
use super::fields::{Fields, Keys};
use super::{Guest, Payload, parse};
use crate::limits;

/// The keys of a `[[guest]]` entry.
pub(super) const KEYS: [&str; 6] = ["name", "count", "vps", "weight", "payload", "after_work"];

const GUEST: Keys = Keys {
    owner: "a guest",
    allowed: &KEYS,
    misplaced: &parse::KEYS,
    move_them: "this is a key of the experiment: move it above the first [[guest]] header",
};

/// What to do where something else stands in the place of guests.
const REMEDY: &str = "remove this and write each guest below a line [[guest]]";

/// The guests under the key `guest` of the experiment, entries with a count spread out.
pub(super) fn read_guests(fields: &mut Fields<'_, '_>) -> Vec<Guest> {
    let Some(value) = fields.take("guest") else {
        let problem = Problem::of_file("there is no guest")
            .help("add a line [[guest]] and below it `name = \"guest\"`");
        fields.problems.push(problem);
        return Vec::new();
    };
    let span = value.span();
    let entries = match value.into_inner() {
        DeValue::Array(entries) if !entries.is_empty() => entries,
        DeValue::Array(_) => {
            let problem = Problem::at(span, "there is no guest", REMEDY);
            fields.problems.push(problem);
            return Vec::new();
        }
        other => {
            let value = Spanned::new(span, other);
            let remedy = "write [[guest]], in double brackets, above each guest";
            fields.wrong_type("guest", "a list of guests", &value, remedy);
            return Vec::new();
        }
    };
    let problems = &mut *fields.problems;
    let entries: Vec<Entry> = entries
        .into_iter()
        .filter_map(|entry| Entry::read(entry, problems))
        .collect();
    expand(&entries, problems)
}

/// One `[[guest]]` of the file.
struct Entry {
    header: Range<usize>,
    name: Option<Spanned<String>>,
    count: u32,
    vps: u32,
    controls: Controls,
    payload: Payload,
}

impl Entry {
    fn read(value: Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Entry> {
        let header = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let title = "a guest must be a table";
            problems.push(Problem::at(header, title, REMEDY));
            return None;
        };
        let mut fields = Fields::open(table, Some(header.clone()), &GUEST, problems);
        let weight = fields.integer(&limits::WEIGHT);
        let weight = weight.and_then(|weight| Weight::new(weight).ok());
        Some(Entry {
            name: fields.name("name = \"guest\""),
            count: fields.integer(&limits::COUNT).unwrap_or(1),
            vps: fields.integer(&limits::VPS).unwrap_or(1),
            controls: Controls::with_weight(weight.unwrap_or_default()),
            payload: read_payload(&mut fields),
            header,
        })
    }

    /// What the guests of this entry are called.
    fn guest_names(&self) -> Vec<String> {
        match (&self.name, self.count) {
            (None, _) => Vec::new(),
            (Some(name), 1) => vec![name.get_ref().clone()],
            (Some(name), count) => (1..=count)
                .map(|number| format!("{}-{number}", name.get_ref()))
                .collect(),
        }
    }
}

/// `payload` and `after_work`, which only a crash has.
fn read_payload(fields: &mut Fields<'_, '_>) -> Payload {
    let kinds = [Payload::Burn, Payload::Crash { after_work: 0 }];
    let kinds = kinds.map(|payload| (payload.name(), payload));
    let given = fields.span_of_key("payload").is_some();
    let kind = fields.choice("payload", &kinds);
    let after_work_key = fields.span_of_key("after_work");
    let after_work = fields.integer(&limits::AFTER_WORK);

    let (kind, place) = match kind {
        Some(kind) => (*kind.get_ref(), kind.span()),
        // Unknown and reported: no telling whether it has an `after_work`.
        None if given => return Payload::Burn,
        None => (Payload::Burn, Range::default()),
    };
    let problem = match (kind, after_work_key) {
        (Payload::Burn, None) => return Payload::Burn,
        (Payload::Crash { .. }, Some(_)) => {
            // A number out of range has been reported already.
            let after_work = after_work.unwrap_or_default();
            return Payload::Crash { after_work };
        }
        (Payload::Burn, Some(key)) => {
            let title = "`after_work` is for payload `crash` only";
            let remedy = "remove this key, or write `payload = \"crash\"`";
            Problem::at(key, title, remedy)
        }
        (Payload::Crash { .. }, None) => {
            let title = "payload `crash` needs `after_work`";
            let remedy = "add a line such as `after_work = 1000000`";
            Problem::at(place, title, remedy)
                .help("it is the number of work units until the guest faults")
        }
    };
    fields.problems.push(problem);
    Payload::Burn
}

/// The guests of all entries; empty where there are more VPs than can be.
fn expand(entries: &[Entry], problems: &mut Problems) -> Vec<Guest> {
    if let Some(problem) = too_many_vps(entries) {
        problems.push(problem);
        return Vec::new();
    }
    let mut claimed = BTreeMap::new();
    let mut guests = Vec::new();
    for entry in entries {
        let Some(group) = &entry.name else { continue };
        let names = entry.guest_names();
        if let Some(problem) = claim_names(group, &names, &mut claimed) {
            problems.push(problem);
        }
        guests.extend(names.into_iter().map(|name| Guest {
            name,
            group: group.get_ref().clone(),
            vps: entry.vps,
            controls: entry.controls,
            payload: entry.payload,
        }));
    }
    guests
}

/// The complaint about the entry that takes the sum of all VPs beyond its limit.
fn too_many_vps(entries: &[Entry]) -> Option<Problem> {
    let mut vps = 0;
    entries.iter().find_map(|entry| {
        vps += u64::from(entry.count) * u64::from(entry.vps);
        let error = limits::ALL_VPS.check(vps).err()?;
        let title = format!("the guests up to here have {vps} VPs together");
        let label = format!("use {}", error.allowed);
        Some(Problem::at(entry.header.clone(), title, label))
    })
}

/// Enters the name of an entry and of its guests, unless one of them is taken.
fn claim_names<'e>(
    group: &'e Spanned<String>,
    names: &[String],
    claimed: &mut BTreeMap<String, &'e Spanned<String>>,
) -> Option<Problem> {
    let wanted = || names.iter().chain([group.get_ref()]);
    if let Some((name, first)) = wanted().find_map(|name| claimed.get_key_value(name)) {
        let title = format!("the guest name `{name}` is used twice");
        let problem = Problem::at(group.span(), title, "give this entry another name")
            .context(first.span(), "taken here");
        let as_written = name == group.get_ref() && name == first.get_ref();
        return Some(if as_written {
            problem
        } else {
            problem.help("an entry with a count takes its own name and name-1, name-2 and so on")
        });
    }
    claimed.extend(wanted().map(|name| (name.clone(), group)));
    None
}
