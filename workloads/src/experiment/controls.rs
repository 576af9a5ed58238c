//! Weight, reserve and cap as a guest or a change gives them.

use std::ops::Range;

use apportion_scheduler::{Cap, Controls, ControlsError, Reserve, Weight};
use toml::Spanned;

use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use crate::limits;

/// New controls for guests: at least one; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewControls {
    /// Weight of each VP.
    pub weight: Option<Weight>,
    /// Reserve of each VP.
    pub reserve: Option<Reserve>,
    /// Cap of each VP.
    pub cap: Option<Cap>,
}

impl NewControls {
    /// What becomes of `before`.
    ///
    /// # Errors
    /// Where the cap would lie below the reserve.
    pub fn over(self, before: Controls) -> Result<Controls, ControlsError> {
        Controls::new(
            self.weight.unwrap_or(before.weight),
            self.reserve.unwrap_or(before.reserve),
            self.cap.unwrap_or(before.cap),
        )
    }
}

/// The controls that one table of the file names.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) weight: Option<Weight>,
    pub(super) reserve: Option<Spanned<Reserve>>,
    pub(super) cap: Option<Spanned<Cap>>,
}

/// The controls of a guest at some time of the run, and where the file says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    pub(super) controls: Controls,
    reserve: Range<usize>,
    cap: Range<usize>,
}

impl Given {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Given {
        Given {
            weight: fields
                .integer(&limits::WEIGHT)
                .and_then(|weight| Weight::new(weight).ok()),
            reserve: fields.located("reserve", |fields| {
                let percent = fields.number(&limits::RESERVE)?;
                Reserve::from_percent(percent).ok()
            }),
            cap: fields.located("cap", |fields| {
                let percent = fields.number(&limits::CAP)?;
                Cap::from_percent(percent).ok()
            }),
        }
    }

    /// Without their places.
    pub(super) fn controls(&self) -> NewControls {
        NewControls {
            weight: self.weight,
            reserve: self.reserve.as_ref().map(|it| *it.get_ref()),
            cap: self.cap.as_ref().map(|it| *it.get_ref()),
        }
    }

    /// What becomes of `before`: what is not given stays. `None` is reported.
    ///
    /// The problem of a cap below its reserve points to both, first to what is given here.
    pub(super) fn over(&self, before: &Placed, problems: &mut Problems) -> Option<Placed> {
        let mut after = before.clone();
        if let Some(given) = &self.reserve {
            after.reserve = given.span();
        }
        if let Some(given) = &self.cap {
            after.cap = given.span();
        }
        match self.controls().over(before.controls) {
            Ok(controls) => Some(Placed { controls, ..after }),
            Err(error) => {
                problems.push(self.contradiction(error, &after));
                None
            }
        }
    }

    fn contradiction(&self, error: ControlsError, after: &Placed) -> Problem {
        let title = match error {
            ControlsError::CapBelowReserve { cap, reserve } => {
                format!("cap {cap} % lies below reserve {reserve} %")
            }
            other => other.to_string(),
        };
        let (cap, reserve) = (after.cap.clone(), after.reserve.clone());
        let problem = if self.cap.is_some() {
            Problem::at(cap, title, "raise the cap").context(reserve, "or lower the reserve")
        } else {
            Problem::at(reserve, title, "lower the reserve").context(cap, "or raise the cap")
        };
        problem.help("a guest cannot be promised more than it may use")
    }
}
