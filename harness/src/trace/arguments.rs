//! The arguments of `apportion trace`.

use super::ahead::ahead;
use crate::exit::Failure;
use anyhow::{Context as _, anyhow};
use apportion_scheduler::Nanos;
use apportion_workloads::limits::{Limit, SEED};
use apportion_workloads::traces::{Count, Format, Selection, Source, Style};
use apportion_workloads::{choice, parse_duration};
use clap::{Args, Subcommand};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell what a trace has: VMs, VPs, time, and how demand is spread
    Summarise(SummariseArguments),
    /// Write a trace, or a part of it, in Apportion's own format
    Convert(ConvertArguments),
    /// Make up a trace whose statistics are known
    #[command(after_help = SYNTHESISE_HELP)]
    Synthesise(SynthesiseArguments),
}

const SYNTHESISE_HELP: &str = "\
VMs have 1, 2, 4, 8 or 16 VPs (30, 30, 25, 10 and 5 %) and use 20 % of them on average (Beta(1, 4)),
more in the afternoon, with noise and bursts; workloads/traces/README.md has it all. For Azure a
folder is written, with vmtable.csv.gz and vm_cpu_readings-file-1-of-1.csv.gz.";

#[derive(Debug, Args)]
pub(crate) struct SummariseArguments {
    #[command(flatten)]
    pub(crate) trace: TraceArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    #[command(flatten)]
    pub(crate) trace: TraceArguments,
    /// Where it goes, compressed if the name ends in .gz; nothing may be there
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SynthesiseArguments {
    /// How many VMs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) vms: u32,
    /// How long each interval is; in the styles of Azure 5min
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "5min")]
    pub(crate) interval: Nanos,
    /// How long the trace is
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "24h")]
    pub(crate) span: Nanos,
    /// Where everything random begins
    #[arg(long, value_name = "N", value_parser = seed, default_value = "1")]
    pub(crate) seed: u64,
    /// How it is written: own, azure-v1 or azure-v2
    #[arg(long, value_name = "STYLE", value_parser = style, default_value = "own")]
    pub(crate) format: Style,
    /// Where it goes; nothing may be there. A file, compressed if its name ends in .gz; a folder for Azure
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

/// Which trace, and which part of it.
#[derive(Debug, Args)]
pub(crate) struct TraceArguments {
    /// Files of the trace in their order, gzip or not; a folder stands for the files in it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// azure, google, alibaba, bitbrains, planetlab, rt-app, timehist or own [default: as it looks]
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// The vmtable (azure) or container_meta (alibaba) [default: beside the first file]
    #[arg(long, value_name = "FILE")]
    vmtable: Option<PathBuf>,
    /// LPs of the largest machine, by which google measures
    #[arg(long, value_name = "N", value_parser = machine_lps)]
    machine_lps: Option<f64>,
    /// Count bad lines and leave them out
    #[arg(long)]
    skip_bad: bool,
    /// Take this VM; may be given several times
    #[arg(long = "vm", value_name = "ID")]
    ids: Vec<String>,
    /// Take the VMs that a file names, one a line
    #[arg(long, value_name = "FILE")]
    vms_from: Option<PathBuf>,
    /// Take what is from this time of the trace on, which becomes time zero
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Nanos>,
    /// Take so much time
    #[arg(long, value_name = "TIME", value_parser = time)]
    span: Option<Nanos>,
    /// Take the first N VMs that have demand in that time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    first: Option<u32>,
    /// Take N random ones of them; reads the trace twice
    #[arg(long, value_name = "N", conflicts_with = "first", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Where the choice of --sample begins
    #[arg(long, value_name = "N", value_parser = seed, requires = "sample", default_value = "1")]
    seed: u64,
}

impl TraceArguments {
    pub(crate) fn source(&self) -> Source {
        Source {
            files: self.files.clone(),
            format: self.format,
            vmtable: self.vmtable.clone(),
            machine_lps: self.machine_lps,
            skip_bad: self.skip_bad,
            ahead: Some(ahead),
        }
    }

    pub(crate) fn selection(&self) -> Result<Selection, Failure> {
        let mut ids: BTreeSet<String> = self.ids.iter().cloned().collect();
        if let Some(path) = &self.vms_from {
            let read = fs::read_to_string(path);
            let text = read.with_context(|| format!("cannot read {}", path.display()));
            let text = text.map_err(Failure::refused)?;
            ids.extend(
                text.lines()
                    .map(str::trim)
                    .filter(|it| !it.is_empty())
                    .map(str::to_owned),
            );
            if ids.is_empty() {
                return Err(Failure::refused(anyhow!("{} names no VM", path.display())));
            }
        }
        let count = match (self.first, self.sample) {
            (Some(vms), _) => Count::First(vms),
            (_, Some(vms)) => Count::Sample {
                vms,
                seed: self.seed,
            },
            _ => Count::All,
        };
        Ok(Selection {
            ids: (!ids.is_empty()).then_some(ids),
            from: self.from.unwrap_or_default(),
            span: self.span,
            count,
        })
    }
}

fn time(text: &str) -> Result<Nanos, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn interval(text: &str) -> Result<Nanos, String> {
    const SECOND: u64 = 1_000_000_000;
    match time(text)? {
        Nanos(ns) if ns >= SECOND && ns.is_multiple_of(SECOND) => Ok(Nanos(ns)),
        _ => Err("use whole seconds, 1s or more".to_owned()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let Limit { allowed, .. } = SEED;
    let number = text.parse().map_err(|_| format!("use {allowed}"))?;
    SEED.check(number).map_err(|error| error.to_string())
}

fn machine_lps(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(lps) if (1.0..=4096.0).contains(&lps) => Ok(lps),
        _ => Err("use a number of LPs from 1 to 4096".to_owned()),
    }
}

fn format(text: &str) -> Result<Format, String> {
    choice("format", &Format::ALL.map(|it| (it.name(), it)), text)
}

fn style(text: &str) -> Result<Style, String> {
    choice("format", &Style::ALL.map(|it| (it.name(), it)), text)
}
