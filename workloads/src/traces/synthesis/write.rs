//! Writes made-up traces, interval by interval or VM by VM.

use std::io::{self, Write};
use std::ops::ControlFlow;

use apportion_scheduler::{Nanos, Random};

use super::model::{Days, Vm};
use super::{Style, Synthesis};
use crate::traces::intake::{Progress, Watch};
use crate::traces::model::{Interval, TracedControls};
use crate::traces::own::{Writer, push_decimals};
use crate::traces::sink::{Facts, Sink};

/// Somebody is told after so many readings.
const TOLD: u64 = 1 << 16;

/// Bytes that are handed on at once.
const BLOCK: usize = 1 << 16;

/// How the writing of a trace ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synthesised {
    /// It is whole.
    Whole,
    /// Who was told of the progress wanted no more.
    Interrupted,
}

impl Synthesis {
    /// Writes the trace in our own format.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn own<W: Write>(&self, out: W, watch: Watch) -> io::Result<(W, Synthesised)> {
        let days = Days::new(self);
        let mut writer = Writer::new(out);
        for index in 0..self.vms {
            let mut vm = Vm::new(self, Style::Own, index);
            let (vps, controls) = (vm.vps, TracedControls::default());
            let (id, number) = (format!("vm-{index:06}"), index as usize);
            writer.vm(number, id.as_bytes(), Facts { vps, controls });
            for at in 0..self.intervals() {
                let length = self.interval;
                let from = Nanos(at * length.0);
                let lps = vm.next(days.at(at)) * f64::from(vps);
                writer.mean(number, Interval { from, length, lps });
                let done = u64::from(index) * self.intervals() + at;
                if self.is_over(done, watch) || writer.has_failed() {
                    return Ok((writer.finish()?, Synthesised::Interrupted));
                }
            }
        }
        Ok((writer.finish()?, Synthesised::Whole))
    }

    /// Writes the `vmtable` of the trace in a style of Azure's.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn vmtable<W: Write>(&self, style: Style, mut out: W) -> io::Result<W> {
        let end = self.intervals() * self.interval.0 / 1_000_000_000;
        for (index, id) in self.ids().iter().enumerate() {
            let vm = Vm::new(self, style, index as u32);
            let id = String::from_utf8_lossy(id);
            let cores = vm.vps;
            // V2 has buckets of up to 2, 4, 8, 32 and 64 GB, and one above.
            let memory = match (style, cores) {
                (Style::AzureV2, 8) => "32".to_owned(),
                (Style::AzureV2, 24) => ">64".to_owned(),
                _ => (2 * cores).to_string(),
            };
            // Of use over its life the table tells what it is by design.
            let mean = 100.0 * vm.mean;
            writeln!(
                out,
                "{id},made-up,made-up,0,{end},100,{mean:.6},100,Unknown,{cores},{memory}"
            )?;
        }
        Ok(out)
    }

    /// Writes `vm_cpu_readings` of the trace in a style of Azure's: all VMs of an interval, then all of the next.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn vm_cpu_readings<W: Write>(
        &self,
        style: Style,
        mut out: W,
        watch: Watch,
    ) -> io::Result<(W, Synthesised)> {
        let (days, ids) = (Days::new(self), self.ids());
        let mut vms: Vec<Vm> = (0..self.vms).map(|it| Vm::new(self, style, it)).collect();
        let mut block = Vec::with_capacity(BLOCK + 256);
        let mut done = 0;
        for at in 0..self.intervals() {
            let day = days.at(at);
            let seconds = at * self.interval.0 / 1_000_000_000;
            for (vm, id) in vms.iter_mut().zip(&ids) {
                let mean = vm.next(day);
                // Nobody says how far the use strays within an interval: down to half of it, up to half of the rest.
                let (least, most) = (mean / 2.0, mean + (1.0 - mean) / 2.0);
                push_decimals(&mut block, seconds, 0);
                block.push(b',');
                block.extend_from_slice(id);
                for part in [least, most, mean] {
                    block.push(b',');
                    // Millionths of a percent.
                    push_decimals(&mut block, (part * 1e8).round() as u64, 6);
                }
                block.push(b'\n');
                if block.len() >= BLOCK {
                    out.write_all(&block)?;
                    block.clear();
                }
                done += 1;
                if self.is_over(done, watch) {
                    return Ok((out, Synthesised::Interrupted));
                }
            }
        }
        out.write_all(&block)?;
        Ok((out, Synthesised::Whole))
    }

    /// Whether somebody who is told now and then wants no more.
    fn is_over(&self, done: u64, watch: Watch) -> bool {
        let progress = Progress {
            bytes: done,
            of: self.readings(),
            rows: done,
        };
        done.is_multiple_of(TOLD) && watch(progress) == ControlFlow::Break(())
    }

    /// Names as Azure's: 64 characters that no compression makes shorter.
    fn ids(&self) -> Vec<[u8; 64]> {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let id = |index: u32| {
            let mut random = Random::stream(!self.seed, u64::from(index));
            [(); 64].map(|()| LETTERS[random.below(64) as usize])
        };
        (0..self.vms).map(id).collect()
    }
}
