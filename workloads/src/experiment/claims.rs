//! The `[[claim]]` entries of an experiment file: what has to hold besides the shares.

use std::ops::Range;

use apportion_scheduler::Nanos;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use super::guests::Guests;
use super::keys;
use super::measure::{Measure, Unit};
use super::settings::{Leaf, Setting};
use crate::limits::{self, Limit};

/// Something that has to hold of a run: a threshold, or a factor of what the same run gives with other settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Which of its file it is, from 1.
    pub number: u32,
    /// The guest or entry as the file names it.
    pub guest: String,
    /// Indices into [`Experiment::guests`](crate::Experiment::guests), ascending, at least one.
    pub guests: Vec<usize>,
    /// What is looked at.
    pub measure: Measure,
    /// In the measure's unit, or with `of` as a factor.
    pub at_least: Option<f64>,
    /// The same.
    pub at_most: Option<f64>,
    /// The settings of the run to compare with; `None` for a threshold.
    pub of: Option<Vec<Setting>>,
    /// For people.
    pub why: Option<String>,
}

/// The claims under the key `claim` of the experiment, whose text is `text`.
pub(super) fn read_claims(fields: &mut Fields<'_, '_>, guests: &Guests, text: &str) -> Vec<Claim> {
    let Some(entries) = fields.list("claim") else {
        return Vec::new();
    };
    let problems = &mut *fields.problems;
    entries
        .into_inner()
        .into_iter()
        .zip(1..)
        .filter_map(|(entry, number)| read_claim(entry, number, guests, text, problems))
        .collect()
}

fn read_claim(
    value: Spanned<DeValue<'_>>,
    number: u32,
    guests: &Guests,
    text: &str,
    problems: &mut Problems,
) -> Option<Claim> {
    let header = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        let remedy = "remove this and write each claim below a line [[claim]]";
        problems.push(Problem::at(header, "a claim must be a table", remedy));
        return None;
    };
    let mut fields = Fields::open(table, Some(header.clone()), &keys::CLAIM, problems);
    let of = read_of(&mut fields, text);
    fields.require("measure", "measure = \"share\"");
    let measures: Vec<_> = Measure::all()
        .map(|measure| (measure.name(), measure))
        .collect();
    let measure = fields.choice("measure", &measures);
    let why = match fields.span_of_key("why") {
        Some(_) => fields.sentence("why", "why = \"a reserve keeps it from waiting\""),
        None => None,
    };
    let named = guests.named(&mut fields);
    let Some(measure) = measure else {
        fields.take("at_least");
        fields.take("at_most");
        return None;
    };
    let bounds = read_bounds(&mut fields, *measure.get_ref(), of.is_some(), header);
    let (guest, indices) = named?;
    let strange = indices.iter().find_map(|&index| {
        let guest = &guests.list[index];
        (!measure.get_ref().suits(guest.payload)).then_some(guest)
    });
    if let Some(guest) = strange {
        let (name, payload) = (&guest.name, guest.payload);
        let title = format!(
            "guest `{name}` with payload `{payload}` has no `{}`",
            measure.get_ref().name()
        );
        let label = format!("that is told of {}", measure.get_ref().owners());
        fields
            .problems
            .push(Problem::at(measure.span(), title, label));
    }
    let (at_least, at_most) = bounds?;
    Some(Claim {
        number,
        guest: guest.into_inner(),
        guests: indices,
        measure: measure.into_inner(),
        at_least,
        at_most,
        of,
        why,
    })
}

/// The settings of the run to compare with.
fn read_of(fields: &mut Fields<'_, '_>, text: &str) -> Option<Vec<Setting>> {
    let value = fields.take("of")?;
    let span = value.span();
    if let DeValue::Table(table) = value.get_ref() {
        let leaves = Leaf::values(table.clone(), fields.problems);
        if !leaves.is_empty() {
            let setting = |leaf: &Leaf<'_>| leaf.setting(&leaf.value, text);
            return Some(leaves.iter().map(setting).collect());
        }
    }
    let title = "`of` names nothing that the other run has";
    let label = "write settings in braces, such as { guest.probe.reserve = 0 }";
    fields.problems.push(Problem::at(span, title, label));
    None
}

type Bounds = (Option<f64>, Option<f64>);

/// `at_least` and `at_most`, of which one must be there.
fn read_bounds(
    fields: &mut Fields<'_, '_>,
    measure: Measure,
    factors: bool,
    header: Range<usize>,
) -> Option<Bounds> {
    let given = |fields: &Fields<'_, '_>, key| fields.span_of_key(key).is_some();
    if !given(fields, "at_least") && !given(fields, "at_most") {
        let example = match (factors, measure.unit()) {
            (true, _) => "at_most = 0.7",
            (false, Unit::Time) => "at_most = \"5ms\"",
            (false, _) => "at_least = 50",
        };
        let problem = Problem::at(header, "a claim without a bound", "nothing is claimed")
            .help(format!("add a line such as `{example}`"));
        fields.problems.push(problem);
        return None;
    }
    let mut read = |number: &Limit<f64>, time: &Limit<Nanos>| {
        fields.located(number.key, |fields| match (factors, measure.unit()) {
            (false, Unit::Time) => fields.duration(time).map(|time| time.0 as f64),
            _ => fields.number(number),
        })
    };
    let at_least = read(&limits::AT_LEAST, &limits::AT_LEAST_TIME);
    let at_most = read(&limits::AT_MOST, &limits::AT_MOST_TIME);
    if let (Some(least), Some(most)) = (&at_least, &at_most)
        && least.get_ref() > most.get_ref()
    {
        let title = "no value is that large and that small";
        let problem = Problem::at(least.span(), title, "use a smaller one")
            .context(most.span(), "or raise this");
        fields.problems.push(problem);
    }
    Some((
        at_least.map(Spanned::into_inner),
        at_most.map(Spanned::into_inner),
    ))
}
