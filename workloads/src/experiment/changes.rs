//! The `[[change]]` entries of an experiment file: what is altered while it runs.

mod form;
mod stays;

use std::ops::Range;

use apportion_scheduler::Nanos;
use toml::Spanned;
use toml::de::DeValue;

use self::form::form;
pub(crate) use self::form::{FORMS, Form};
use self::stays::Stays;
use super::affinity::no_such_lp;
use super::controls::{Given, NewControls, Placed};
use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use super::guests::Guests;
use super::keys;
use crate::limits::{self, Limit};

/// One alteration of a running experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which entry of its file it is, from 0; one that concerns nobody is left out.
    pub entry: usize,
    /// When it is due, counted from when measuring begins: above zero and below the duration.
    pub at: Nanos,
    /// What is altered.
    pub action: Action,
}

/// What a [`Change`] alters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Gives guests other controls.
    Controls {
        /// The guest or entry as the file names it.
        guest: String,
        /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
        guests: Vec<usize>,
        /// Which.
        controls: NewControls,
    },
    /// Gives guests more VPs.
    AddVps {
        /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
        guests: Vec<usize>,
        /// How many more each of them gets, 1 to 64.
        vps: u32,
    },
    /// Lets guests start that are not there before; some other guest is there from the beginning.
    StartGuests {
        /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
        guests: Vec<usize>,
    },
    /// Stops guests for good.
    StopGuests {
        /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
        guests: Vec<usize>,
    },
    /// Posts interrupts to every VP of guests.
    PostInterrupts {
        /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
        guests: Vec<usize>,
        /// How many each VP gets, 1 to 1000.
        interrupts: u32,
    },
    /// Takes an LP off line.
    LpOff {
        /// Its number, counted from 0.
        lp: u32,
        /// Even where the reserves no longer fit; they are scaled then.
        force: bool,
    },
    /// Brings an LP back.
    LpOn {
        /// Its number, counted from 0.
        lp: u32,
    },
}

/// The changes under the key `change` of the experiment; `duration` is `None` where it is wrong.
pub(super) fn read_changes(
    fields: &mut Fields<'_, '_>,
    guests: &Guests,
    lps: Option<&Spanned<u32>>,
    duration: Option<&Spanned<Nanos>>,
) -> Vec<Change> {
    let Some(entries) = fields.list("change") else {
        return Vec::new();
    };
    let vps: Vec<u32> = guests.list.iter().map(|guest| guest.vps).collect();
    let mut reader = Reader {
        guests,
        lps,
        duration,
        placed: guests.placed.clone(),
        all_vps: vps.iter().map(|vps| u64::from(*vps)).sum(),
        vps,
        latest: None,
        stays: Stays::new(guests),
    };
    let entries = entries.into_inner().into_iter().enumerate();
    let changes = entries
        .filter_map(|(entry, value)| reader.read(entry, value, fields.problems))
        .collect();
    if guests.complete {
        fields.problems.extend(reader.stays.nobody());
    }
    changes
}

/// Keeps what a change says of when a guest, called so, is there.
type Note = fn(&mut Stays, usize, &str, Range<usize>) -> Option<Problem>;

/// What the changes read so far have made of the experiment.
struct Reader<'a> {
    guests: &'a Guests,
    lps: Option<&'a Spanned<u32>>,
    duration: Option<&'a Spanned<Nanos>>,
    placed: Vec<Placed>,
    vps: Vec<u32>,
    all_vps: u64,
    /// The latest time so far.
    latest: Option<Spanned<Nanos>>,
    stays: Stays,
}

impl Reader<'_> {
    fn read(
        &mut self,
        entry: usize,
        value: Spanned<DeValue<'_>>,
        problems: &mut Problems,
    ) -> Option<Change> {
        let header = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            let remedy = "remove this and write each change below a line [[change]]";
            problems.push(Problem::at(header, "a change must be a table", remedy));
            return None;
        };
        let mut fields = Fields::open(table, Some(header.clone()), &keys::CHANGE, problems);
        fields.require("at", "at = \"5s\"");
        let at = fields.located("at", |fields| fields.duration(&limits::AT));
        if let Some(at) = &at {
            self.check_time(at, fields.problems);
        }
        let action = match form(&mut fields, header)? {
            Form::Controls => self.read_controls(&mut fields),
            Form::AddVps => self.read_add_vps(&mut fields),
            Form::Interrupts => self.read_interrupts(&mut fields),
            Form::Start => {
                let guests = self.read_stay(&mut fields, "start", Stays::start);
                guests.map(|guests| Action::StartGuests { guests })
            }
            Form::Stop => {
                let guests = self.read_stay(&mut fields, "stop", Stays::stop);
                guests.map(|guests| Action::StopGuests { guests })
            }
            Form::LpOff => {
                let force = fields.boolean("force").unwrap_or(false);
                let lp = self.read_lp(&mut fields, &limits::LP_OFF);
                lp.map(|lp| Action::LpOff { lp, force })
            }
            Form::LpOn => {
                let lp = self.read_lp(&mut fields, &limits::LP_ON);
                lp.map(|lp| Action::LpOn { lp })
            }
        };
        Some(Change {
            entry,
            at: at?.into_inner(),
            action: action?,
        })
    }

    /// Reports a time that lies after the end or before an earlier entry's.
    fn check_time(&mut self, at: &Spanned<Nanos>, problems: &mut Problems) {
        if let Some(duration) = self.duration
            && at.get_ref() >= duration.get_ref()
        {
            let title = format!("the change at {} would come too late", at.get_ref());
            let label = format!("use a time below the duration of {}", duration.get_ref());
            let problem = Problem::at(at.span(), title, label);
            problems.push(match duration.span() {
                said if said.is_empty() => problem.help("without a line `duration` it is 10s"),
                said => problem.context(said, "the duration"),
            });
        }
        match &self.latest {
            Some(latest) if latest.get_ref() > at.get_ref() => {
                let (time, before) = (at.get_ref(), latest.get_ref());
                let title = format!("the change at {time} stands after the one at {before}");
                let label = "list the changes in order of time";
                let problem = Problem::at(at.span(), title, label);
                problems.push(problem.context(latest.span(), "this is later"));
            }
            _ => self.latest = Some(at.clone()),
        }
    }

    fn read_controls(&mut self, fields: &mut Fields<'_, '_>) -> Option<Action> {
        let (guest, guests) = self.read_present_guests(fields)?;
        let given = Given::read(fields);
        for &index in &guests {
            // Reported once, however many guests are meant.
            self.placed[index] = given.over(&self.placed[index], fields.problems)?;
        }
        Some(Action::Controls {
            guest,
            guests,
            controls: given.controls(),
        })
    }

    fn read_add_vps(&mut self, fields: &mut Fields<'_, '_>) -> Option<Action> {
        let (_, guests) = self.read_present_guests(fields)?;
        let vps = fields.located("add_vps", |fields| fields.integer(&limits::ADD_VPS))?;
        let added = *vps.get_ref();
        for &index in &guests {
            self.vps[index] += added;
            self.all_vps += u64::from(added);
        }
        let crowded = guests
            .iter()
            .find_map(|&index| Some((index, limits::VPS.check(self.vps[index]).err()?)));
        if let Some((index, error)) = crowded {
            let name = &self.guests.list[index].name;
            let title = format!("guest `{name}` would have {} VPs", error.given);
            let label = format!("a guest has at most {} VPs", limits::VPS.highest);
            fields.problems.push(Problem::at(vps.span(), title, label));
        } else if let Err(error) = limits::ALL_VPS.check(self.all_vps) {
            let title = format!("the guests would have {} VPs together", error.given);
            let label = format!("use {}", error.allowed);
            fields.problems.push(Problem::at(vps.span(), title, label));
        }
        Some(Action::AddVps { guests, vps: added })
    }

    fn read_interrupts(&mut self, fields: &mut Fields<'_, '_>) -> Option<Action> {
        let guests = self.read_present_guests(fields).map(|(_, guests)| guests);
        let interrupts = fields.integer(&limits::INTERRUPTS)?;
        let guests = guests?;
        Some(Action::PostInterrupts { guests, interrupts })
    }

    fn read_lp(&self, fields: &mut Fields<'_, '_>, limit: &Limit<u32>) -> Option<u32> {
        let lp = fields.located(limit.key, |fields| fields.integer(limit))?;
        let problem = no_such_lp(lp.span(), *lp.get_ref(), self.lps);
        fields.problems.extend(problem);
        Some(lp.into_inner())
    }

    /// The guests that start or stop, as `key` says; `note` keeps that, or says what does not agree with it.
    fn read_stay(
        &mut self,
        fields: &mut Fields<'_, '_>,
        key: &str,
        note: Note,
    ) -> Option<Vec<usize>> {
        let meant = self.guests.named(fields);
        let said = fields.located(key, |fields| fields.boolean(key))?;
        if !said.get_ref() {
            let title = format!("`{key} = false` changes nothing");
            let label = "write true, or remove this change";
            fields.problems.push(Problem::at(said.span(), title, label));
            return None;
        }
        let (name, guests) = meant?;
        self.note(&name, &guests, fields, note);
        Some(guests)
    }

    /// The required `guest` as written, and the guests that it means: they are there by then.
    fn read_present_guests(&mut self, fields: &mut Fields<'_, '_>) -> Option<(String, Vec<usize>)> {
        let (name, guests) = self.guests.named(fields)?;
        self.note(&name, &guests, fields, Stays::change);
        Some((name.into_inner(), guests))
    }

    /// Of several guests that something does not agree with the first speaks for all.
    fn note(
        &mut self,
        name: &Spanned<String>,
        guests: &[usize],
        fields: &mut Fields<'_, '_>,
        note: Note,
    ) {
        let noted = guests.iter().filter_map(|&guest| {
            let own = &self.guests.list[guest].name;
            note(&mut self.stays, guest, own, name.span())
        });
        let problems: Vec<Problem> = noted.collect();
        fields.problems.extend(problems.into_iter().next());
    }
}
