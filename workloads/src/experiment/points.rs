//! The experiments that one file stands for: points of its sweep, and what their claims compare with.

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
        Ok(all(points.into_iter().map(read))?)
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
    /// [`ExperimentError`], where a setting makes a mistake of the file, or leaves out whom the claim is about.
    pub fn reference(&self, claim: &Claim) -> Result<Option<Experiment>, ExperimentError> {
        let Some(reference) = self.other(claim).transpose()? else {
            return Ok(None);
        };
        if reference.name == self.name {
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
        for claim in &self.claims {
            let reference = self.reference(claim)?;
            all.extend(reference.filter(|it| all.iter().all(|other| other.name != it.name)));
        }
        Ok(all)
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
                .and_then(|reference| match reference.names(&claim.guest) {
                    true => Ok(reference),
                    false => Err(self.left_out(claim)),
                }),
        )
    }

    /// Whether a guest or an entry with guests is called so.
    fn names(&self, name: &str) -> bool {
        let mut guests = self.guests.iter();
        guests.any(|guest| guest.name == name || guest.group == name)
    }

    /// The complaint about a claim that compares somebody with a run in which it is not there.
    fn left_out(&self, claim: &Claim) -> Failed {
        let of = claim.of.iter().flatten().next();
        let place = of.map_or(0..0, Setting::place);
        let title = format!(
            "claim {} is about `{}`, which the other run has not",
            claim.number, claim.guest
        );
        let mut problems = Problems::default();
        problems.push(Problem::at(
            place,
            title,
            "use another guest, or other settings",
        ));
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
            text: &self.text,
            source: &self.source,
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
