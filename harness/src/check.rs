//! `apportion check`: what is wrong or doubtful in experiments, without running them.

use crate::cli::{AsIf, CheckArguments};
use crate::exit::{Code, Failure};
use crate::table;
use anyhow::anyhow;
use apportion_recording::counted;
use apportion_workloads::lint::{RULES, Severity, lint};
use apportion_workloads::replay::Traces;
use apportion_workloads::{Experiment, Overrides, catalogue, load, names};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// What was found so far.
#[derive(Debug, Default)]
struct Tally {
    checked: usize,
    /// Experiments that would not run.
    broken: usize,
    warnings: usize,
    notes: usize,
    /// Some experiment leaves the number of its LPs to the host.
    of_host: bool,
}

/// The whole command. Every experiment is looked at, whatever the others are like.
pub(crate) fn check(arguments: &CheckArguments) -> Result<Code, Failure> {
    if arguments.rules {
        table::print(&table::rules(RULES))?;
        return Ok(Code::Pass);
    }
    let host_lps = apportion_hypervisor::host::cpus().len() as u32;
    let overrides = arguments.as_if.settings.overrides()?;
    let mut traces = Traces::default();
    let mut tally = Tally::default();
    for argument in expand(&arguments.experiments)? {
        tally.checked += 1;
        let reports = match load(&argument) {
            Ok(experiment) => tally.look(&experiment, arguments, &overrides, host_lps, &mut traces),
            Err(error) => tally.unreadable(&Failure::refused(error)),
        };
        for report in reports {
            table::print(&format!("{report}\n"))?;
        }
    }
    table::print(&tally.told(host_lps))?;
    let refused = tally.broken > 0 || (arguments.deny_warnings && tally.warnings > 0);
    Ok(if refused { Code::Refused } else { Code::Pass })
}

/// The experiments that arguments mean: a folder stands for the files in it, nothing for all that ship.
fn expand(arguments: &[String]) -> Result<Vec<String>, Failure> {
    if arguments.is_empty() {
        return Ok(catalogue()
            .iter()
            .map(|shipped| shipped.name.clone())
            .collect());
    }
    let mut all = Vec::new();
    for argument in arguments {
        if !Path::new(argument).is_dir() || names().any(|name| name == argument) {
            all.push(argument.clone());
            continue;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(argument)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                files.push(path.display().to_string());
            }
        }
        if files.is_empty() {
            let why = format!(
                "there is no .toml file in {argument}: name a folder of experiments, or a file"
            );
            return Err(Failure::refused(anyhow!(why)));
        }
        files.sort();
        all.extend(files);
    }
    Ok(all)
}

impl Tally {
    /// The report on something that is no experiment.
    fn unreadable(&mut self, failure: &Failure) -> Vec<String> {
        self.broken += 1;
        vec![failure.message()]
    }

    /// The reports on one file, all points of its sweep together.
    fn look(
        &mut self,
        experiment: &Experiment,
        arguments: &CheckArguments,
        overrides: &Overrides,
        host_lps: u32,
        traces: &mut Traces,
    ) -> Vec<String> {
        let points = arguments
            .as_if
            .points(experiment, overrides, host_lps, traces);
        let points = match points {
            Ok(points) => points,
            Err(failure) => return self.unreadable(&failure),
        };
        self.of_host |= points.iter().any(|point| point.lps.is_none());
        let mut found = lint(&points, host_lps);
        match references(&points, &arguments.as_if, host_lps, traces) {
            // They differ on purpose from what was looked at, but have to run.
            Ok(others) => found.extend(others.iter().flat_map(|other| {
                let found = lint(std::slice::from_ref(other), host_lps).into_iter();
                found.filter(|finding| finding.severity == Severity::Error)
            })),
            Err(failure) => return self.unreadable(&failure),
        }
        let count = |severity| {
            let of = found.iter().filter(|finding| finding.severity == severity);
            of.count()
        };
        self.broken += usize::from(count(Severity::Error) > 0);
        self.warnings += count(Severity::Warning);
        self.notes += count(Severity::Note);
        found.into_iter().map(|finding| finding.report).collect()
    }

    fn told(&self, host_lps: u32) -> String {
        let counted = |number: usize, noun| counted(number as u64, noun);
        let mut text = format!(
            "checked {}: {} with errors; {}, {}",
            counted(self.checked, "experiment"),
            self.broken,
            counted(self.warnings, "warning"),
            counted(self.notes, "note")
        );
        if self.of_host {
            text += &format!(
                "\nthose that do not say how many LPs they get were checked for this host's {host_lps} (--lps N for others)"
            );
        }
        text
    }
}

/// What claims of experiments compare them with, but for those that are looked at anyway.
fn references(
    points: &[Experiment],
    as_if: &AsIf,
    host_lps: u32,
    traces: &mut Traces,
) -> Result<Vec<Experiment>, Failure> {
    let mut known: HashSet<String> = points.iter().map(|it| it.name.clone()).collect();
    let mut all: Vec<Experiment> = Vec::new();
    for point in points {
        for other in point.references().map_err(Failure::refused)? {
            if known.insert(other.name.clone()) {
                all.push(as_if.placed(other, host_lps, traces)?);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::plan::plan;
    use apportion_scheduler::Random;
    use clap::Parser as _;
    use std::fmt::Write as _;

    /// An experiment in which hardly anything is certain to fit.
    fn experiment(random: &mut Random) -> String {
        let mut pick = |of: &[u64]| of[random.below(of.len() as u64) as usize];
        let lps = pick(&[1, 2, 2, 3]);
        let mut text = format!("schema = 1\nname = \"x\"\nwhy = \"y\"\nlps = {lps}\n");
        for guest in 0..pick(&[1, 2, 3]) {
            let (vps, reserve) = (pick(&[1, 1, 2, 3]), pick(&[0, 0, 20, 40, 49, 60, 99]));
            let _ = write!(
                text,
                "[[guest]]\nname = \"g{guest}\"\nvps = {vps}\nreserve = {reserve}\n"
            );
            match pick(&[0, 0, 1, 2]) {
                1 => text += &format!("affinity = [{}]\n", pick(&[0, 0, 1, 2]) % lps),
                2 if lps > 1 => text += "affinity = [0, 1]\n",
                _ => {}
            }
        }
        for at in 0..pick(&[0, 1, 2, 3]) {
            let _ = write!(text, "[[change]]\nat = \"{}s\"\n", at + 1);
            let lp = pick(&[0, 1, 2]) % lps;
            text += &match pick(&[0, 1, 2, 3, 4, 4, 5, 6]) {
                0 => format!("lp_off = {lp}\n"),
                1 => format!("lp_off = {lp}\nforce = true\n"),
                2 => format!("lp_on = {lp}\n"),
                3 => "guest = \"g0\"\nadd_vps = 1\n".to_owned(),
                5 => "guest = \"g1\"\nstart = true\n".to_owned(),
                6 => "guest = \"g2\"\nstop = true\n".to_owned(),
                _ => format!("guest = \"g0\"\nreserve = {}\n", pick(&[0, 30, 60, 90])),
            };
        }
        text
    }

    #[test]
    fn what_is_an_error_here_is_what_a_run_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let mut random = Random::new(5);
        let mut refused = 0;
        for _ in 0..2_000 {
            let text = experiment(&mut random);
            let Ok(experiment) = Experiment::parse(&text, "x.toml") else {
                // A guest that is not there, or is started twice.
                continue;
            };
            fs::write(&path, &text).unwrap();
            let command = Cli::parse_from(["apportion", "run", path.to_str().unwrap()]).command;
            let Command::Run(arguments) = command else {
                unreachable!()
            };
            let planned = plan(&arguments, 1);
            let found = lint(&[experiment], 1);
            let errors = found
                .iter()
                .filter(|finding| finding.severity == Severity::Error);
            let errors: Vec<&str> = errors.map(|finding| finding.report.as_str()).collect();
            let why = planned.as_ref().err().map(Failure::message);
            assert_eq!(
                why.is_some(),
                !errors.is_empty(),
                "{text}{why:?}\n{}",
                errors.join("\n")
            );
            refused += usize::from(why.is_some());
        }
        assert!((300..1_500).contains(&refused), "{refused} refused");
    }
}
