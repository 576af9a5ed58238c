//! The keys of a guest with payload `replay`, and what the trace makes of its guests once it is read.

use std::ops::Range;

use apportion_scheduler::{Cap, Controls, ControlsError, Nanos, Reserve, Weight};
use toml::Spanned;
use toml::de::DeValue;

use super::Experiment;
use super::controls::Given;
use super::diagnostics::Problem;
use super::fields::Fields;
use crate::limits;
use crate::replay::Way;
use crate::traces::{Format, TracedControls};

/// The mean length of a burst, unless the file says otherwise.
const BURST_LENGTH: Nanos = Nanos::from_millis(5);

/// An entry with payload `replay`: whose demand its guests do again, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The entry's name.
    pub group: String,
    /// Its guests among [`Experiment::guests`]: the first one is the trace's first VM. Until the trace is read
    /// ([`crate::replay`]) those that say nothing of VPs have one, and controls are those of the file.
    pub guests: Range<usize>,
    /// `shipped:` and a name, or a path; a relative one begins where the experiment's file is.
    pub trace: Spanned<String>,
    /// How it is written; `None` where its beginning tells.
    pub format: Option<Format>,
    /// Which VMs; `None` are those that come first.
    pub vms: Option<Spanned<Vec<String>>>,
    /// The time of the trace at which the guests are started.
    pub from: Nanos,
    /// Trace time per time of the run.
    pub speed: f64,
    /// The mean demand of its guests together, as a multiple of the LPs.
    pub overcommit: Option<Spanned<f64>>,
    /// The mean length of a burst.
    pub burst_length: Nanos,
    /// Whether bursts' lengths are exponentially distributed.
    pub random: bool,
    /// VPs of each guest, where the file says how many.
    pub vps: Option<u32>,
    /// Where the file says that controls are the trace's; those that it names itself stay.
    controls: Option<Range<usize>>,
    named: Named,
    count: Range<usize>,
}

/// The controls that the file names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Named {
    weight: bool,
    reserve: bool,
    cap: bool,
}

impl Named {
    pub(super) fn of(given: &Given) -> Named {
        Named {
            weight: given.weight.is_some(),
            reserve: given.reserve.is_some(),
            cap: given.cap.is_some(),
        }
    }
}

/// What the keys of the payload alone say.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    trace: Spanned<String>,
    format: Option<Format>,
    vms: Option<Spanned<Vec<String>>>,
    from: Nanos,
    speed: f64,
    overcommit: Option<Spanned<f64>>,
    burst_length: Nanos,
    random: bool,
    controls: Option<Range<usize>>,
}

impl Draft {
    /// What is missing or wrong has been, or is, reported.
    pub(super) fn read(fields: &mut Fields<'_, '_>, random: Option<bool>) -> Option<Draft> {
        let formats = Format::ALL.map(|format| (format.name(), format));
        let format = fields.choice("format", &formats);
        let vms = read_vms(fields);
        let from = fields.duration(&limits::FROM).unwrap_or_default();
        let speed = fields.number(&limits::SPEED).unwrap_or(1.0);
        let overcommit = fields.located("overcommit", |it| it.number(&limits::OVERCOMMIT));
        let burst_length = fields
            .duration(&limits::BURST_LENGTH)
            .unwrap_or(BURST_LENGTH);
        let controls = fields
            .choice("controls", &[("trace", ())])
            .map(|it| it.span());
        let value = fields.take("trace")?;
        let trace = fields.text_in("trace", &value, "write a path in quotes")?;
        if trace.is_empty() {
            let label = "write the path of a file, or `shipped:` and a name";
            fields
                .problems
                .push(Problem::at(value.span(), "`trace` is empty", label));
            return None;
        }
        Some(Draft {
            trace: Spanned::new(value.span(), trace),
            format: format.map(Spanned::into_inner),
            vms,
            from,
            speed,
            overcommit,
            burst_length,
            random: random.unwrap_or(true),
            controls,
        })
    }

    /// How many VMs are named.
    pub(super) fn named_vms(&self) -> Option<u32> {
        Some(self.vms.as_ref()?.get_ref().len() as u32)
    }

    /// The complaint about more guests than there are VMs for.
    pub(super) fn too_many(&self, count: &Spanned<u32>) -> Option<Problem> {
        let (vms, count) = (self.vms.as_ref()?, count);
        let named = vms.get_ref().len();
        (*count.get_ref() as usize > named).then(|| {
            let title = format!(
                "{} guests are more than the {named} VMs that are named",
                count.get_ref()
            );
            Problem::at(
                count.span(),
                title,
                format!("use at most {named}, or remove this key"),
            )
            .context(vms.span(), "the VMs")
        })
    }

    /// The whole entry; `count` is where it says how many guests it has, or its header.
    pub(super) fn entry(
        self,
        group: String,
        guests: Range<usize>,
        vps: Option<u32>,
        named: Named,
        count: Range<usize>,
    ) -> Replay {
        Replay {
            group,
            guests,
            trace: self.trace,
            format: self.format,
            vms: self.vms,
            from: self.from,
            speed: self.speed,
            overcommit: self.overcommit,
            burst_length: self.burst_length,
            random: self.random,
            vps,
            controls: self.controls,
            named,
            count,
        }
    }
}

fn read_vms(fields: &mut Fields<'_, '_>) -> Option<Spanned<Vec<String>>> {
    let value = fields.take("vms")?;
    let DeValue::Array(entries) = value.get_ref() else {
        let remedy = "write the names of VMs in brackets, such as [\"vm-1\", \"vm-2\"]";
        fields.wrong_type("vms", "a list of names", &value, remedy);
        return None;
    };
    if entries.is_empty() {
        let label = "name at least one VM, or remove this key for those that come first";
        fields
            .problems
            .push(Problem::at(value.span(), "`vms` names no VM", label));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for entry in entries.iter() {
        let name = fields.text_in("a name in `vms`", entry, "write it in quotes")?;
        if names.contains(&name) {
            let title = format!("VM `{}` is named twice", name.escape_debug());
            fields
                .problems
                .push(Problem::at(entry.span(), title, "remove it"));
            return None;
        }
        names.push(name);
    }
    Some(Spanned::new(value.span(), names))
}

impl Replay {
    /// How many of the trace's VMs it takes.
    pub fn count(&self) -> usize {
        self.guests.len()
    }

    /// How the trace is turned into work when the experiment is run with so many LPs.
    pub fn way(&self, experiment: &Experiment, lps: u32) -> Way {
        Way {
            speed: self.speed,
            burst_length: self.burst_length,
            random: self.random,
            seed: experiment.seed,
            stream: self.stream(),
            warm_up: experiment.warm_up,
            duration: experiment.duration,
            lps,
            vps: self.vps,
            overcommit: self.overcommit.as_ref().map(|it| *it.get_ref()),
        }
    }

    /// Guests have streams of their own, and others than what is random in the run itself.
    fn stream(&self) -> u64 {
        (1 << 40) + self.guests.start as u64 * u64::from(limits::VPS.highest)
    }

    /// The controls of a guest that has `file`'s, for a VM of the trace with `traced`.
    ///
    /// # Errors
    /// Where a cap lies below a reserve, or one of the trace's is out of range.
    pub(crate) fn controls(
        &self,
        file: Controls,
        traced: TracedControls,
    ) -> Result<Controls, ControlsError> {
        if self.controls.is_none() {
            return Ok(file);
        }
        let weight = traced
            .weight
            .filter(|_| !self.named.weight)
            .map(Weight::new);
        let reserve = traced.reserve_pct.filter(|_| !self.named.reserve);
        let cap = traced.cap_pct.filter(|_| !self.named.cap);
        Controls::new(
            weight.unwrap_or(Ok(file.weight))?,
            reserve.map_or(Ok(file.reserve), Reserve::from_percent)?,
            cap.map_or(Ok(file.cap), Cap::from_percent)?,
        )
    }

    /// A message that points to what of the entry it is about.
    pub(crate) fn complain(
        &self,
        experiment: &Experiment,
        about: About,
        title: &str,
        label: &str,
    ) -> String {
        let place = match about {
            About::Trace => self.trace.span(),
            About::Vms => self
                .vms
                .as_ref()
                .map_or(self.trace.span(), |vms| vms.span()),
            About::Count => self.count.clone(),
            About::Overcommit => self
                .overcommit
                .as_ref()
                .map_or(self.trace.span(), Spanned::span),
            About::Controls => self.controls.clone().unwrap_or(self.trace.span()),
        };
        Problem::at(place, title, label).render(&experiment.sources())
    }
}

/// Which key of a [`Replay`] a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Trace,
    Vms,
    Count,
    Overcommit,
    Controls,
}
