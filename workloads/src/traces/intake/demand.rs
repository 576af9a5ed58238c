//! What an intake does with demand: no time is read twice, and of all of it the selected time is handed on.

use apportion_scheduler::Nanos;

use super::{Form, Intake, Known};
use crate::traces::covered::Covered;
use crate::traces::fields::{Bad, shown};
use crate::traces::model::{Burst, Interval};

impl Intake<'_> {
    /// How many VPs a VM has, as far as is known.
    pub(in crate::traces) fn vps(&self, vm: usize) -> u32 {
        self.known[vm].vps
    }

    /// A VM has at least so many VPs.
    pub(in crate::traces) fn at_least(&mut self, vm: usize, vps: u32) {
        let known = &mut self.known[vm];
        if vps > known.vps {
            known.vps = vps;
            self.sink.vps(vm, vps);
        }
    }

    /// Mean demand of a VM, of which a row has no more.
    pub(in crate::traces) fn mean(
        &mut self,
        vm: usize,
        from: Nanos,
        length: Nanos,
        lps: f64,
    ) -> Result<(), Bad> {
        self.claim(vm, from, from + length)?;
        self.used += 1;
        self.reading(vm, from, length, lps);
        Ok(())
    }

    /// Takes some time for readings of a VM: none is read twice.
    pub(in crate::traces) fn claim(
        &mut self,
        vm: usize,
        from: Nanos,
        to: Nanos,
    ) -> Result<(), Bad> {
        self.form(vm, Form::Means)?;
        let known = &mut self.known[vm];
        let twice = |known: &Known, what: &str| {
            let id = shown(&known.id);
            Err(Bad::new("time", format!("VM `{id}` has {what}")))
        };
        if self.rules.ordered {
            if from < known.until {
                let what = format!("another reading for {from}, or a later one before it");
                return twice(known, &what);
            }
            known.until = to;
        } else if !self.unchecked && vm < self.rules.most_vms {
            let before = known.covered.stretches();
            if !known.covered.take(from, to) {
                let what = format!("another reading for some of the time from {from} to {to}");
                return twice(known, &what);
            }
            self.stretches = self.stretches + known.covered.stretches() - before;
            if self.stretches > self.rules.most_stretches {
                self.unchecked = true;
                let known = self.known.iter_mut();
                known.for_each(|it| it.covered = Covered::default());
            }
        }
        Ok(())
    }

    /// Mean demand of a VM, in time that was taken for it.
    pub(in crate::traces) fn reading(&mut self, vm: usize, from: Nanos, length: Nanos, lps: f64) {
        if let Some((from, to)) = self.selection.cut(from, from + length) {
            let length = to - from;
            self.sink.mean(vm, Interval { from, length, lps });
        }
    }

    /// A piece of work of a VM; of the selected time is what an LP of its own would do of it then.
    pub(in crate::traces) fn burst(&mut self, vm: usize, burst: Burst) -> Result<(), Bad> {
        self.form(vm, Form::Bursts)?;
        if let Some((at, end)) = self.selection.cut(burst.at, burst.end()) {
            let run = end - at;
            self.sink.burst(vm, Burst { at, run, ..burst });
        }
        Ok(())
    }

    /// The trace says something until then, if only that nobody wants anything.
    pub(in crate::traces) fn lasts(&mut self, until: Nanos) {
        self.until = self.until.max(until);
    }

    fn form(&mut self, vm: usize, form: Form) -> Result<(), Bad> {
        match *self.known[vm].form.get_or_insert(form) == form {
            true => Ok(()),
            false => Err(Bad::new(
                "line",
                "the VM has demand both as means and as bursts",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::intake::Rules;
    use crate::traces::load::Collector;
    use crate::traces::model::TracedControls;
    use crate::traces::selection::Selection;
    use crate::traces::sink::Facts;
    use std::ops::ControlFlow;

    #[test]
    fn readings_that_are_too_scattered_to_be_remembered_are_taken_unchecked() {
        let selection = Selection::default();
        let mut vms = Collector::default();
        let mut go_on = |_| ControlFlow::Continue(());
        let rules = Rules {
            ordered: false,
            skip_bad: false,
            most_vms: usize::MAX,
            most_stretches: 2,
        };
        let mut intake = Intake::new(&selection, rules, &mut go_on, &mut vms);
        let mut take = |from, to| {
            let (from, to) = (Nanos(from), Nanos(to));
            let controls = TracedControls::default();
            let vm = intake.vm(b"a", from, to, || Ok(Facts { vps: 1, controls }));
            let taken = intake.mean(vm.unwrap().unwrap(), from, to - from, 1.0);
            (taken.is_ok(), intake.unchecked)
        };
        assert_eq!(take(10, 20), (true, false));
        assert_eq!(take(30, 40), (true, false));
        assert_eq!(take(35, 45), (false, false));
        // They become one, which leaves room for another.
        assert_eq!(take(20, 30), (true, false));
        assert_eq!(take(50, 60), (true, false));
        assert_eq!(take(70, 80), (true, true));
        assert_eq!(take(10, 20), (true, true));
    }
}
