//! `apportion trace synthesise`: a trace that is made up.

use super::arguments::SynthesiseArguments;
use super::output::{Output, Written};
use super::progress::Bar;
use super::told::{self, Pace};
use crate::exit::{Code, Failure};
use crate::table::tell;
use anyhow::anyhow;
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{Style, Synthesis, Synthesised};
use std::io;

/// The interval of Azure's readings, which no column tells.
const AZURE: Nanos = Nanos(300_000_000_000);

/// What the files of Azure's dataset are called.
const VMTABLE: &str = "vmtable.csv.gz";
const READINGS: &str = "vm_cpu_readings-file-1-of-1.csv.gz";

pub(super) fn synthesise(arguments: &SynthesiseArguments) -> Result<Code, Failure> {
    let synthesis = Synthesis {
        vms: arguments.vms,
        interval: arguments.interval,
        span: arguments.span,
        seed: arguments.seed,
    };
    let style = arguments.format;
    if style != Style::Own && synthesis.interval != AZURE {
        let refused =
            anyhow!("readings in the style of Azure are 5min apart: leave --interval out");
        return Err(Failure::refused(refused));
    }
    if synthesis.intervals() == 0 {
        return Err(Failure::refused(anyhow!(
            "--span is shorter than one --interval"
        )));
    }
    let output = Output::new(&arguments.out)?;
    let pace = Pace::begin();
    let bar = Bar::writing("making up", false, &output)?;
    let written = match style {
        Style::Own => own(&synthesis, output.file()?, &bar),
        _ => azure(&synthesis, style, &output, &bar)?,
    };
    drop(bar);
    match written.map_err(|error| output.failed(error))? {
        Synthesised::Interrupted => Err(Failure::new(Code::Interrupted, anyhow!("interrupted"))),
        Synthesised::Whole => {
            output.keep()?;
            let readings = told::count(synthesis.readings(), "reading");
            let vms = told::count(u64::from(synthesis.vms), "VM");
            tell(&format!(
                "wrote {readings} of {vms} to {}",
                arguments.out.display()
            ));
            pace.tell("made up", synthesis.readings(), "reading");
            Ok(Code::Pass)
        }
    }
}

fn own(synthesis: &Synthesis, out: Written, bar: &Bar) -> io::Result<Synthesised> {
    let (out, written) = synthesis.own(out, &mut |it| bar.see(it))?;
    out.finish()?;
    Ok(written)
}

fn azure(
    synthesis: &Synthesis,
    style: Style,
    output: &Output,
    bar: &Bar,
) -> Result<io::Result<Synthesised>, Failure> {
    let folder = output.folder()?;
    let write = || {
        let vmtable = Written::create(&folder.join(VMTABLE), true)?;
        synthesis.vmtable(style, vmtable)?.finish()?;
        let readings = Written::create(&folder.join(READINGS), true)?;
        let (readings, written) =
            synthesis.vm_cpu_readings(style, readings, &mut |it| bar.see(it))?;
        readings.finish()?;
        Ok(written)
    };
    Ok(write())
}
