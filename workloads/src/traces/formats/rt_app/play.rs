//! Plays a task as it would run with a CPU of its own.

use std::collections::HashMap;

use apportion_scheduler::Nanos;

use super::{Phase, Step, Task};
use crate::traces::error::TraceError;
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::{Burst, TracedControls};
use crate::traces::sink::Facts;

/// Steps that are played of one file, so that loops end that are long for no purpose.
const MOST_STEPS: u64 = 100_000_000;

/// How often somebody is told, in steps.
const TOLD: u64 = 1 << 20;

/// A thread as it would run with a CPU of its own.
pub(super) struct Thread<'a> {
    id: String,
    /// When it began, and its timers with it.
    first: Nanos,
    now: Nanos,
    end: Nanos,
    /// When each timer went off last.
    timers: HashMap<String, Nanos>,
    /// Work that has not been interrupted by a sleep yet: since when, and how much.
    due: Option<(Nanos, Nanos)>,
    /// Steps played of this file.
    steps: &'a mut u64,
}

impl Thread<'_> {
    /// A thread that begins and ends at these times, where it does not end before.
    pub(super) fn new(id: String, first: Nanos, end: Nanos, steps: &mut u64) -> Thread<'_> {
        Thread {
            id,
            first,
            now: first,
            end,
            timers: HashMap::new(),
            due: None,
            steps,
        }
    }

    pub(super) fn play(
        &mut self,
        task: &Task,
        input: &Input,
        intake: &mut Intake,
    ) -> Result<(), TraceError> {
        let mut times = 0..task.times.unwrap_or(u64::MAX);
        while self.now < self.end && times.next().is_some() {
            let before = self.now;
            for phase in &task.phases {
                self.phase(phase, input, intake)?;
            }
            // What took no time takes none the next time.
            if self.now == before {
                break;
            }
        }
        self.done(input, intake)?;
        // Where it sleeps at last it is known to want nothing.
        intake.lasts(self.now.min(self.end));
        Ok(())
    }

    fn phase(
        &mut self,
        phase: &Phase,
        input: &Input,
        intake: &mut Intake,
    ) -> Result<(), TraceError> {
        let mut times = 0..phase.times.unwrap_or(u64::MAX);
        while self.now < self.end && times.next().is_some() {
            let before = self.now;
            for step in &phase.steps {
                self.step(step, input, intake)?;
            }
            if self.now == before {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, input: &Input, intake: &mut Intake) -> Result<(), TraceError> {
        *self.steps += 1;
        if *self.steps >= MOST_STEPS {
            return Err(TraceError::TooLong {
                file: input.path().to_owned(),
                steps: MOST_STEPS,
            });
        }
        if self.steps.is_multiple_of(TOLD) {
            intake.tell(input.consumed())?;
        }
        match step {
            Step::Run(run) => {
                let (_, sum) = self.due.get_or_insert((self.now, Nanos::ZERO));
                *sum += *run;
                self.now += *run;
            }
            Step::Sleep(length) => {
                self.done(input, intake)?;
                self.now += *length;
            }
            Step::Timer {
                name,
                period,
                absolute,
            } => {
                self.done(input, intake)?;
                let last = self.timers.get(name).copied().unwrap_or(self.first);
                let mut next = last + *period;
                if next > self.now {
                    self.now = next;
                } else if !absolute {
                    next = self.now;
                }
                match self.timers.get_mut(name) {
                    Some(timer) => *timer = next,
                    None => drop(self.timers.insert(name.clone(), next)),
                }
            }
        }
        Ok(())
    }

    /// A piece of work is complete.
    fn done(&mut self, input: &Input, intake: &mut Intake) -> Result<(), TraceError> {
        let Some((at, run)) = self.due.take() else {
            return Ok(());
        };
        let run = run.min(self.end - at);
        if run == Nanos::ZERO {
            return Ok(());
        }
        let controls = TracedControls::default();
        let facts = || Ok(Facts { vps: 1, controls });
        let piece = Burst { vp: 0, at, run };
        let vm = intake.vm(self.id.as_bytes(), at, piece.end(), facts);
        let taken = vm.and_then(|vm| vm.map(|vm| intake.burst(vm, piece)).transpose());
        match taken {
            Ok(taken) => {
                intake.rows += 1;
                intake.used += u64::from(taken.is_some());
                Ok(())
            }
            Err(bad) => intake.bad_item(input, &self.id, &bad.problem),
        }
    }
}
