//! Writes our own format, row by row.

use std::io::{self, Write};

use apportion_scheduler::Nanos;

use super::{COLUMNS, VERSION, escape, push_decimals};
use crate::traces::model::{Burst, Interval, TracedDemand, TracedVm};
use crate::traces::sink::{Facts, Sink};

/// Readings or bursts in a row, at the most.
const LONGEST_ROW: usize = 1024;

/// Readings kept until their rows are written, of 4 bytes each; a burst counts as six of them.
const MOST_OPEN: usize = 8 << 20;
const BURST: usize = 6;

/// Writes a trace as it comes, with bounded memory: what has gathered too much is written in shorter rows.
#[derive(Debug)]
pub(in crate::traces) struct Writer<W: Write> {
    out: W,
    vms: Vec<Vm>,
    /// Of so many VMs there is a row, so that VMs keep their order.
    begun: usize,
    /// What is not written yet, in readings.
    open: usize,
    /// Why nothing more is written.
    failed: Option<io::Error>,
}

#[derive(Debug)]
struct Vm {
    /// The columns before the demand, all but the VPs.
    id: String,
    controls: String,
    vps: u32,
    stretch: Stretch,
    bursts: Vec<Burst>,
}

/// Readings that follow each other, in millionths of an LP.
#[derive(Debug, Default)]
struct Stretch {
    from: Nanos,
    interval: Nanos,
    readings: Vec<u32>,
}

impl Stretch {
    fn end(&self) -> Nanos {
        self.from + Nanos(self.interval.0.saturating_mul(self.readings.len() as u64))
    }
}

impl<W: Write> Writer<W> {
    pub(in crate::traces) fn new(mut out: W) -> Writer<W> {
        let failed = writeln!(out, "# apportion-trace {VERSION}\n{}", COLUMNS.join(",")).err();
        Writer {
            out,
            vms: Vec::new(),
            begun: 0,
            open: 0,
            failed,
        }
    }

    /// How many VMs there are so far.
    pub(super) fn vms(&self) -> u64 {
        self.vms.len() as u64
    }

    /// Writes what is left, and gives back what it was written to.
    pub(in crate::traces) fn finish(mut self) -> io::Result<W> {
        self.write_all();
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.out),
        }
    }

    fn write_all(&mut self) {
        self.begin(self.vms.len());
        for vm in 0..self.vms.len() {
            self.write_stretch(vm);
            self.write_bursts(vm);
        }
    }

    /// Writes something of every VM before this one.
    fn begin(&mut self, before: usize) {
        while self.begun < before {
            let vm = self.begun;
            self.begun += 1;
            self.write_stretch(vm);
            self.write_bursts(vm);
        }
    }

    fn write_stretch(&mut self, vm: usize) {
        if self.vms[vm].stretch.readings.is_empty() {
            return;
        }
        self.begin(vm);
        let vm = &mut self.vms[vm];
        let mut row = format!("{},{},{},", vm.id, vm.vps, vm.controls).into_bytes();
        push_decimals(&mut row, vm.stretch.from.0, 9);
        row.push(b',');
        push_decimals(&mut row, vm.stretch.interval.0, 9);
        row.push(b',');
        for (at, reading) in vm.stretch.readings.iter().enumerate() {
            if at > 0 {
                row.push(b' ');
            }
            push_decimals(&mut row, u64::from(*reading), 6);
        }
        row.extend_from_slice(b",\n");
        self.open -= vm.stretch.readings.len();
        // Whoever is not heard of again holds no memory.
        vm.stretch.readings = Vec::new();
        self.write(&row);
    }

    fn write_bursts(&mut self, vm: usize) {
        if self.vms[vm].bursts.is_empty() {
            return;
        }
        self.begin(vm);
        let vm = &mut self.vms[vm];
        let mut row = format!("{},{},{},,,,", vm.id, vm.vps, vm.controls).into_bytes();
        for (at, burst) in vm.bursts.iter().enumerate() {
            if at > 0 {
                row.push(b' ');
            }
            push_decimals(&mut row, u64::from(burst.vp), 0);
            row.push(b'@');
            push_decimals(&mut row, burst.at.0, 9);
            row.push(b'+');
            push_decimals(&mut row, burst.run.0, 9);
        }
        row.push(b'\n');
        self.open -= BURST * vm.bursts.len();
        vm.bursts = Vec::new();
        self.write(&row);
    }

    fn write(&mut self, row: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(row).err();
        }
    }

    fn opened(&mut self, readings: usize) {
        self.open += readings;
        if self.open >= MOST_OPEN {
            self.write_all();
        }
    }
}

impl<W: Write> Sink for Writer<W> {
    fn vm(&mut self, _: usize, id: &[u8], facts: Facts) {
        let controls = facts.controls;
        let optional = |value: Option<String>| value.unwrap_or_default();
        let percent = |value: Option<f64>| optional(value.map(|it| it.to_string()));
        self.vms.push(Vm {
            id: escape(id),
            controls: format!(
                "{},{},{}",
                optional(controls.weight.map(|it| it.to_string())),
                percent(controls.reserve_pct),
                percent(controls.cap_pct),
            ),
            vps: facts.vps,
            stretch: Stretch::default(),
            bursts: Vec::new(),
        });
    }

    fn vps(&mut self, vm: usize, vps: u32) {
        self.vms[vm].vps = vps;
    }

    fn mean(&mut self, vm: usize, interval: Interval) {
        let stretch = &self.vms[vm].stretch;
        let follows = stretch.interval == interval.length && stretch.end() == interval.from;
        if !follows || stretch.readings.len() >= LONGEST_ROW {
            self.write_stretch(vm);
            let stretch = &mut self.vms[vm].stretch;
            (stretch.from, stretch.interval) = (interval.from, interval.length);
        }
        // No machine has the 4,294 LPs that this cannot hold.
        self.vms[vm]
            .stretch
            .readings
            .push((interval.lps * 1e6).round() as u32);
        self.opened(1);
    }

    fn burst(&mut self, vm: usize, burst: Burst) {
        if self.vms[vm].bursts.len() >= LONGEST_ROW {
            self.write_bursts(vm);
        }
        self.vms[vm].bursts.push(burst);
        self.opened(BURST);
    }

    fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

/// Writes VMs in our own format. Demand is rounded to millionths of an LP.
///
/// # Errors
/// Those of `out`.
pub fn write<W: Write>(vms: &[TracedVm], out: W) -> io::Result<W> {
    let mut writer = Writer::new(out);
    for (at, vm) in vms.iter().enumerate() {
        let (vps, controls) = (vm.vps, vm.controls);
        writer.vm(at, vm.id.as_bytes(), Facts { vps, controls });
        match &vm.demand {
            TracedDemand::Means(means) => means.iter().for_each(|it| writer.mean(at, *it)),
            TracedDemand::Bursts(bursts) => bursts.iter().for_each(|it| writer.burst(at, *it)),
        }
    }
    writer.finish()
}
