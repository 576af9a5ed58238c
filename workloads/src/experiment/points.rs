//! The experiments that one file stands for: points of its sweep, and what their claims compare with.

use std::sync::Arc;

use super::defaults::{Idle, nobodys};
use super::diagnostics::{Problem, Problems, Report};
use super::parse::{self, Failed, Read};
use super::settings::Setting;
use super::sources::Sources;
use super::sweep::{MOST_POINTS, Overrides};
use super::{Claim, Experiment, ExperimentError, Guest};

impl Experiment {
    /// The experiments that its file stands for, in the order in which they are to run; one where
    /// nothing is swept. Each is named after the file, with what tells it from the others in brackets.
    ///
    /// # Errors
    /// [`ExperimentError`], where a value makes a mistake of the file.
    pub fn points(&self, overrides: &Overrides) -> Result<Vec<Experiment>, ExperimentError> {
        if self.sweep.is_empty() && overrides.is_empty() {
            check_defaults(std::slice::from_ref(self))?;
            return Ok(vec![self.clone()]);
        }
        let points = self.sweep.points(overrides).map_err(|points| {
            let title = format!("{points} experiments are too many");
            let help = format!(
                "a sweep makes {MOST_POINTS} at the most, before any are excluded: use fewer values"
            );
            let mut problems = Problems::default();
            problems.push(Problem::of_file(title).help(help));
            Failed::Invalid(problems.drawn(&Sources::file(&self.text, &self.source)))
        })?;
        if points.is_empty() {
            let mut problems = Problems::default();
            let problem = Problem::of_file("the sweep leaves no experiment");
            problems
                .push(problem.help("its `exclude` takes every combination: remove a row of it"));
            let failed = Failed::Invalid(problems.drawn(&Sources::file(&self.text, &self.source)));
            return Err(failed.into());
        }
        let fixed = overrides.set();
        let read = |point: Vec<Setting>| self.again(fixed.to_vec(), point);
        let points = all(points.into_iter().map(read))?;
        check_defaults(&points)?;
        Ok(points)
    }

    /// How many experiments its file stands for, what claims compare with included.
    pub fn runs(&self) -> usize {
        let points = self.points(&Overrides::default()).unwrap_or_default();
        let mut names: Vec<String> = Vec::new();
        for point in points {
            let others = point.references().unwrap_or_default();
            names.extend(others.into_iter().map(|other| other.name));
            names.push(point.name);
        }
        names.sort();
        names.dedup();
        names.len()
    }

    /// What the experiment is to be compared with by `claim`: the same with
    /// other settings, without claims and expected shares of its own. Nothing
    /// where that is the experiment itself, as for a point of a sweep that has these settings.
    ///
    /// # Errors
    /// [`ExperimentError`], where a setting makes a mistake of the file, or leaves out whom the claim is about, or
    /// where the file itself has these settings.
    pub fn reference(&self, claim: &Claim) -> Result<Option<Experiment>, ExperimentError> {
        let Some(reference) = self.other(claim).transpose()? else {
            return Ok(None);
        };
        if self.is_but_for_its_name(&reference) {
            return Ok(None);
        }
        let guests = reference.guests.into_iter().map(|guest| Guest {
            expected: None,
            ..guest
        });
        Ok(Some(Experiment {
            claims: Vec::new(),
            guests: guests.collect(),
            ..reference
        }))
    }

    /// What claims of the experiment compare it with, each once.
    ///
    /// # Errors
    /// As [`Experiment::reference`].
    pub fn references(&self) -> Result<Vec<Experiment>, ExperimentError> {
        let mut all: Vec<Experiment> = Vec::new();
        for reference in self.of_claims()?.into_iter().flatten() {
            if all.iter().all(|other| other.name != reference.name) {
                all.push(reference);
            }
        }
        Ok(all)
    }

    /// What each claim of the experiment compares it with, in the order of the claims.
    ///
    /// # Errors
    /// As [`Experiment::reference`].
    pub fn of_claims(&self) -> Result<Vec<Option<Experiment>>, ExperimentError> {
        let claims = self.claims.iter();
        claims.map(|claim| self.reference(claim)).collect()
    }

    fn other(&self, claim: &Claim) -> Option<Result<Experiment, Failed>> {
        let of = claim.of.as_ref()?;
        let mut point = self.point.clone();
        for setting in of {
            // In its place, so that it has the name of that point where there is one.
            match point.iter_mut().find(|it| it.key() == setting.key()) {
                Some(same) => *same = setting.clone(),
                None => point.push(setting.clone()),
            }
        }
        Some(
            self.again(self.settings.clone(), point)
                .and_then(|reference| {
                    let mut guests = reference.guests.iter();
                    // Of a point, or of what the command line made of the file, nothing is claimed then.
                    let as_written = self.settings.is_empty() && self.point.is_empty();
                    if !guests.any(|guest| guest.is_called(&claim.guest)) {
                        Err(self.left_out(claim))
                    } else if as_written && self.is_but_for_its_name(&reference) {
                        Err(self.compared_with_itself(claim))
                    } else {
                        Ok(reference)
                    }
                }),
        )
    }

    /// Whether another of its family has the same settings, whatever it is called.
    fn is_but_for_its_name(&self, other: &Experiment) -> bool {
        *self
            == Experiment {
                name: self.name.clone(),
                point: self.point.clone(),
                ..other.clone()
            }
    }

    /// The complaint about a claim that compares somebody with a run in which it is not there.
    fn left_out(&self, claim: &Claim) -> Failed {
        let title = format!(
            "claim {} is about `{}`, which the other run has not",
            claim.number, claim.guest
        );
        self.wrong_of(claim, title, "use another guest, or other settings")
    }

    /// The complaint about a claim whose other run is the same.
    fn compared_with_itself(&self, claim: &Claim) -> Failed {
        let title = format!("claim {} compares the run with itself", claim.number);
        self.wrong_of(claim, title, "use another value than the run's own")
    }

    /// A complaint about what a claim compares with.
    fn wrong_of(&self, claim: &Claim, title: String, label: &str) -> Failed {
        let of = claim.of.iter().flatten().next();
        let mut problems = Problems::default();
        problems.push(Problem::at(of.map_or(0..0, Setting::place), title, label));
        Failed::Invalid(problems.drawn(&self.sources()))
    }

    /// The texts that its places point into.
    pub(crate) fn sources(&self) -> Sources {
        let mut sources = Sources::file(&self.text, &self.source);
        for setting in self.settings.iter().chain(&self.point) {
            setting.clone().placed(&mut sources);
        }
        sources
    }

    /// The same file, read with settings.
    fn again(&self, settings: Vec<Setting>, point: Vec<Setting>) -> Result<Experiment, Failed> {
        parse::read(Read {
            text: Arc::clone(&self.text),
            source: Arc::clone(&self.source),
            sweep: Some(Arc::clone(&self.sweep)),
            settings,
            point,
        })
    }

    /// Whether all that the file stands for can be read.
    ///
    /// # Errors
    /// [`ExperimentError`], with all mistakes of all of them.
    pub(super) fn check_points(&self) -> Result<(), ExperimentError> {
        let points = self.points(&Overrides::default())?;
        let others = |point: &Experiment| -> Vec<_> {
            let claims = point.claims.iter();
            claims.filter_map(|claim| point.other(claim)).collect()
        };
        all(points.iter().flat_map(others))?;
        Ok(())
    }
}

/// Whether each default is one that some guest can have, of a point or of what claims compare one with.
fn check_defaults(points: &[Experiment]) -> Result<(), Failed> {
    let Some(first) = points.first() else {
        return Ok(());
    };
    let unused_in = |others: &[Experiment], name: &str| {
        let idle = |it: &Experiment| it.idle.iter().any(|idle| idle.get_ref() == name);
        others.iter().all(idle)
    };
    let mut idle: Vec<&Idle> = first.idle.iter().collect();
    idle.retain(|it| unused_in(points, it.get_ref()));
    if idle.is_empty() {
        return Ok(());
    }
    let others = points
        .iter()
        .flat_map(|point| point.claims.iter().filter_map(|claim| point.other(claim)));
    let others = all(others)?;
    idle.retain(|it| unused_in(&others, it.get_ref()));
    let mut problems = Problems::default();
    problems.extend(idle.into_iter().map(nobodys));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failed::Invalid(problems.drawn(&first.sources()))),
    }
}

/// All of them, or their mistakes.
fn all(read: impl Iterator<Item = Result<Experiment, Failed>>) -> Result<Vec<Experiment>, Failed> {
    let mut good = Vec::new();
    let mut mistakes = Report::default();
    for result in read {
        match result {
            Ok(experiment) => good.push(experiment),
            Err(Failed::Invalid(report) | Failed::Syntax(report)) => mistakes.extend(report),
        }
    }
    match mistakes.is_empty() {
        true => Ok(good),
        false => Err(Failed::Invalid(mistakes)),
    }
}
