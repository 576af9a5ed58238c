//! The `[[guest]]` entries of an experiment file.

use std::collections::BTreeMap;
use std::ops::Range;

use apportion_abi::{Processor, layout};
use toml::Spanned;
use toml::de::DeValue;

use super::controls::{Given, Placed};
use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use super::memory::Room;
use super::payloads::Program;
use super::processor::read_processor;
use super::replay::{Draft, Named};
use super::{Guest, Replay, affinity, keys, payloads};
use crate::limits;
use crate::suggest::{listed, nearest};

/// What to do where something else stands in the place of guests.
const REMEDY: &str = "remove this and write each guest below a line [[guest]]";

/// The guests of an experiment, and what the changes need to know about them.
#[derive(Debug, Default)]
pub(super) struct Guests {
    pub(super) list: Vec<Guest>,
    /// The controls of each guest with their places in the file.
    pub(super) placed: Vec<Placed>,
    /// What the file says about the memory of each guest.
    pub(super) rooms: Vec<Room>,
    pub(super) replays: Vec<Replay>,
    /// Every entry of the file has become its guests, so that a name that is not there is a mistake.
    pub(super) complete: bool,
    /// Entries with a count of zero.
    absent: Vec<String>,
}

impl Guests {
    /// The required `guest` of a change or a claim as written, and the guests that it means.
    pub(super) fn named(
        &self,
        fields: &mut Fields<'_, '_>,
    ) -> Option<(Spanned<String>, Vec<usize>)> {
        let value = fields.required("guest", "guest = \"name\"")?;
        let name = fields.text_in("guest", &value, "write the name of a guest in quotes")?;
        let meant: Vec<usize> = (0..self.list.len())
            .filter(|&index| self.list[index].is_called(&name))
            .collect();
        if !meant.is_empty() {
            return Some((Spanned::new(value.span(), name), meant));
        }
        if self.complete && !self.absent.contains(&name) {
            let problem = self.no_such_guest(value.span(), &name);
            fields.problems.push(problem);
        }
        None
    }

    fn no_such_guest(&self, span: Range<usize>, name: &str) -> Problem {
        let mut entries: Vec<&str> = self.list.iter().map(|guest| guest.group.as_str()).collect();
        // The guests of one entry follow each other.
        entries.dedup();
        let known = self.list.iter().map(|guest| guest.name.as_str());
        let known = entries.iter().copied().chain(known);
        let title = format!("there is no guest `{}`", name.escape_debug());
        let label = match nearest(name, known).first() {
            Some(word) => format!("did you mean `{word}`?"),
            None => "use the name of a guest or of an entry with a count".to_owned(),
        };
        let help = format!("the entries are {}", listed(entries));
        Problem::at(span, title, label).help(help)
    }
}

/// The guests under the key `guest` of the experiment, entries with a count spread out.
pub(super) fn read_guests(fields: &mut Fields<'_, '_>, lps: Option<&Spanned<u32>>) -> Guests {
    if fields.span_of_key("guest").is_none() {
        let problem = Problem::of_file("there is no guest")
            .help("add a line [[guest]] and below it `name = \"guest\"`");
        fields.problems.push(problem);
    }
    let Some(entries) = fields.list("guest") else {
        return Guests::default();
    };
    let span = entries.span();
    let entries = entries.into_inner();
    let problems = &mut *fields.problems;
    if entries.is_empty() {
        problems.push(Problem::at(span.clone(), "there is no guest", REMEDY));
    }
    let in_file = entries.len();
    let entries: Vec<Entry> = entries
        .into_iter()
        .filter_map(|entry| Entry::read(entry, lps, problems))
        .collect();
    let mut guests = expand(&entries, problems);
    let named = entries.iter().filter(|entry| entry.name.is_some()).count();
    guests.complete = named == in_file && !guests.list.is_empty();
    let absent = entries.iter().filter(|entry| entry.count == 0);
    let absent = absent.filter_map(|entry| Some(entry.name.as_ref()?.get_ref().clone()));
    guests.absent = absent.collect();
    if in_file > 0 && guests.absent.len() == in_file {
        let label = "give one of the entries a count above 0";
        problems.push(Problem::at(span, "there is no guest", label));
    }
    guests
}

/// One `[[guest]]` of the file.
struct Entry {
    header: Range<usize>,
    name: Option<Spanned<String>>,
    count: u32,
    /// Where that is said, or the header.
    counted: Range<usize>,
    vps: Option<u32>,
    placed: Placed,
    named: Named,
    affinity: Option<Vec<u32>>,
    expected: Option<f64>,
    room: Room,
    processor: Processor,
    ticks: u32,
    program: Program,
}

impl Entry {
    fn read(
        value: Spanned<DeValue<'_>>,
        lps: Option<&Spanned<u32>>,
        problems: &mut Problems,
    ) -> Option<Entry> {
        let header = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let title = "a guest must be a table";
            problems.push(Problem::at(header, title, REMEDY));
            return None;
        };
        let mut fields = Fields::open(table, Some(header.clone()), &keys::GUEST, problems);
        let name = fields.name("name = \"guest\"");
        let count = fields.located("count", |fields| fields.integer(&limits::COUNT));
        let vps = fields.integer(&limits::VPS);
        let given = Given::read(&mut fields);
        let placed = given.over(&Placed::default(), fields.problems);
        let program = payloads::read_payload(&mut fields);
        let named_vms = program.replay.as_ref().and_then(Draft::named_vms);
        if let (Some(replay), Some(count)) = (&program.replay, &count) {
            fields.problems.extend(replay.too_many(count));
        }
        Some(Entry {
            name,
            counted: count.as_ref().map_or(header.clone(), Spanned::span),
            count: count.map(Spanned::into_inner).or(named_vms).unwrap_or(1),
            vps,
            placed: placed.unwrap_or_default(),
            named: Named::of(&given),
            affinity: affinity::read_affinity(&mut fields, lps),
            expected: fields.number(&limits::EXPECTED),
            room: Room::read(&mut fields, program.working_set.clone()),
            processor: read_processor(&mut fields, &program),
            ticks: fields.integer(&limits::TICKS).unwrap_or(0),
            program,
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

/// The guests of all entries; empty where there are more VPs than can be.
fn expand(entries: &[Entry], problems: &mut Problems) -> Guests {
    let mut guests = Guests::default();
    if let Some(problem) = too_many_vps(entries) {
        problems.push(problem);
        return guests;
    }
    let mut claimed = BTreeMap::new();
    for entry in entries {
        let Some(group) = &entry.name else { continue };
        let names = entry.guest_names();
        if let Some(problem) = claim_names(group, &names, &mut claimed) {
            problems.push(problem);
        }
        if let Some(replay) = entry.program.replay.as_ref().filter(|_| !names.is_empty()) {
            let first = guests.list.len();
            guests.replays.push(replay.clone().entry(
                group.get_ref().clone(),
                first..first + names.len(),
                entry.vps,
                entry.named,
                entry.counted.clone(),
            ));
        }
        for name in names {
            guests.placed.push(entry.placed.clone());
            guests.rooms.push(entry.room.clone());
            guests.list.push(Guest {
                name,
                group: group.get_ref().clone(),
                vps: entry.vps.unwrap_or(1),
                controls: entry.placed.controls,
                affinity: entry.affinity.clone(),
                expected: entry.expected,
                // Until it is known how many VPs the changes add.
                memory: layout::LEAST_MEMORY,
                processor: entry.processor,
                ticks: entry.ticks,
                payload: entry.program.payload,
                traced_demand: None,
            });
        }
    }
    guests
}

/// The complaint about the entry that takes the sum of all VPs beyond its limit.
fn too_many_vps(entries: &[Entry]) -> Option<Problem> {
    let mut vps = 0;
    entries.iter().find_map(|entry| {
        vps += u64::from(entry.count) * u64::from(entry.vps.unwrap_or(1));
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
