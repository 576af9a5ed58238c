//! The text of `perf sched timehist`: a line for each time that a task ran, printed when it stopped.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};

use apportion_scheduler::Nanos;

use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{self, Bad, time, whole};
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::{Burst, TracedControls};
use crate::traces::sink::Facts;
use crate::traces::source::Ahead;

/// A line as it is meant to be, for messages.
const PLAIN: &str = "print it without -w, -M, -V and -n";

/// What perf calls the time in which a CPU has nothing to do.
const IDLE: &[u8] = b"<idle>";

pub(super) struct Timehist {
    /// The earliest time at which anything of the trace fell due.
    base: Nanos,
    /// The last piece of work of each task, which may go on.
    open: HashMap<Box<[u8]>, Open>,
}

/// A piece of work that may go on after the task has been preempted.
#[derive(Clone, Copy)]
struct Open {
    at: Nanos,
    run: Nanos,
    /// Whether the task still wanted to run when it stopped, where the line says so.
    preempted: Option<bool>,
    /// Lines that tell of it.
    lines: u64,
}

/// A line's content.
struct Line<'a> {
    task: &'a [u8],
    /// When it stopped.
    end: Nanos,
    wait: Nanos,
    delay: Nanos,
    run: Nanos,
    preempted: Option<bool>,
}

impl Line<'_> {
    /// When it was woken to do what it did.
    fn due(&self) -> Nanos {
        self.end - self.run - self.delay
    }
}

impl Timehist {
    /// Looks through all files for when the trace begins: since lines are printed when tasks stop, any of them may tell
    /// of something that fell due before all others. Nothing that has to be remembered could take the place of that.
    pub(super) fn new(
        files: &[PathBuf],
        ahead: Option<Ahead>,
        intake: &mut Intake,
    ) -> Result<Timehist, TraceError> {
        // Before anything is taken out of a pipe.
        files.iter().try_for_each(|it| is_there_twice(it))?;
        // Each file is read twice.
        intake.of += intake.of;
        let mut base: Option<Nanos> = None;
        for path in files {
            let mut input = Input::open(path, ahead)?;
            input.head()?;
            lines(&mut input, intake, |_, line| {
                // What is wrong with a line is said when it is read again.
                if let Ok(line) = line
                    && line.task != IDLE
                {
                    base = Some(base.map_or(line.due(), |base| base.min(line.due())));
                }
                Ok(Continue(()))
            })?;
            intake.bytes += input.consumed();
        }
        Ok(Timehist {
            base: base.unwrap_or_default(),
            open: HashMap::new(),
        })
    }

    fn row(&mut self, intake: &mut Intake, line: &Line) -> Flow {
        if let Some(open) = self.open.get_mut(line.task) {
            // Nobody wakes who was preempted: there is a wait, and no delay from being woken.
            let waited = line.delay == Nanos::ZERO && line.wait > Nanos::ZERO;
            if open.preempted.unwrap_or(waited) {
                open.run += line.run;
                open.preempted = line.preempted;
                open.lines += 1;
                return Ok(Continue(()));
            }
        }
        let open = Open {
            at: line.due() - self.base,
            run: line.run,
            preempted: line.preempted,
            lines: 1,
        };
        if let Some(done) = self.open.insert(line.task.into(), open) {
            burst(intake, line.task, done)?;
        }
        Ok(Continue(()))
    }
}

impl Reader for Timehist {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        lines(input, intake, |intake, line| {
            let line = line?;
            intake.rows += 1;
            match line.task {
                IDLE => {
                    intake.gaps += 1;
                    Ok(Continue(()))
                }
                _ => self.row(intake, &line),
            }
        })
    }

    fn finish(&mut self, intake: &mut Intake) -> Result<(), Bad> {
        let mut open: Vec<_> = self.open.drain().collect();
        // In an order that is always the same.
        open.sort_by(|(a, open_a), (b, open_b)| (open_a.at, a).cmp(&(open_b.at, b)));
        open.into_iter()
            .try_for_each(|(task, open)| burst(intake, &task, open))
    }
}

/// Refuses what can be read only once, such as a pipe. What is no file on the disk is one that comes with the tool.
fn is_there_twice(path: &Path) -> Result<(), TraceError> {
    match fs::metadata(path) {
        Ok(it) if !it.is_file() => Err(TraceError::BadFile {
            file: path.to_owned(),
            problem: "the format `timehist` is read twice, and this is no regular file but something that may be \
                      read only once, such as a pipe: save it to a file first, and name that"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Hands every line of the table to `row`.
fn lines<'a>(
    input: &mut Input,
    intake: &mut Intake<'a>,
    mut row: impl FnMut(&mut Intake<'a>, Result<Line, Bad>) -> Flow,
) -> Result<(), TraceError> {
    // They begin behind the one that underlines the head of the table; before it there may be warnings.
    let mut head = Head::default();
    intake.lines(input, |intake, line| {
        if !head.over {
            head.take(line);
            return Ok(Continue(()));
        }
        // With -S the lines are followed by sums.
        if line.starts_with(b"Runtime summary") {
            return Ok(Break(()));
        }
        row(intake, parse(line, head.states))
    })?;
    match head.over {
        true => Ok(()),
        false => Err(TraceError::BadFile {
            file: input.path().to_owned(),
            problem: "it has no head of a table as perf sched timehist prints it".to_owned(),
        }),
    }
}

fn burst(intake: &mut Intake, task: &[u8], open: Open) -> Result<(), Bad> {
    let Open { at, run, lines, .. } = open;
    // A task that ran when the recording began has no run time in its first line.
    if run == Nanos::ZERO {
        intake.gaps += lines;
    } else {
        let controls = TracedControls::default();
        let facts = || Ok(Facts { vps: 1, controls });
        let piece = Burst { vp: 0, at, run };
        if let Some(vm) = intake.vm(task, at, piece.end(), facts)? {
            intake.burst(vm, piece)?;
            intake.used += lines;
        }
    }
    Ok(())
}

/// What comes before the lines.
#[derive(Default)]
struct Head {
    over: bool,
    /// Whether there is a column with the state of the task when it stopped.
    states: bool,
}

impl Head {
    fn take(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        self.states |= line.starts_with(b"time")
            && line.split(u8::is_ascii_whitespace).any(|it| it == b"state");
        self.over |= line.starts_with(b"-----");
    }
}

fn parse(line: &[u8], states: bool) -> Result<Line<'_>, Bad> {
    let (stamp, rest) = word(line);
    let end = time("time", stamp)?;
    let (cpu, rest) = word(rest);
    let number = cpu.strip_prefix(b"[").and_then(|it| it.strip_suffix(b"]"));
    if number.and_then(whole).is_none() {
        return Err(Bad::field("cpu", cpu, "a number in brackets"));
    }
    let rest = rest.trim_ascii_start();
    // A name may have blanks in it: it ends where the first of the times begins.
    let mut behind = rest;
    let named = loop {
        let (next, after) = word(behind);
        if next.is_empty() {
            let problem = format!("it has none of wait time, sch delay and run time: {PLAIN}");
            return Err(Bad::new("line", problem));
        }
        if millis(next).is_some() {
            break &rest[..rest.len() - behind.len()];
        }
        behind = after;
    };
    let mut column = |name| {
        let (field, after) = word(behind);
        behind = after;
        millis(field).ok_or_else(|| Bad::field(name, field, "milliseconds with three decimals"))
    };
    let (wait, delay, run) = (
        column("wait time")?,
        column("sch delay")?,
        column("run time")?,
    );
    let (state, _) = word(behind);
    if run > end || delay > end - run {
        return Err(Bad::new(
            "run time",
            "it is longer than the time since the clock began",
        ));
    }
    Ok(Line {
        task: task(named)?,
        end,
        wait,
        delay,
        run,
        preempted: states.then(|| state.starts_with(b"R")),
    })
}

/// The name of a task: its command and, in brackets, its thread and process. A priority may follow.
fn task(named: &[u8]) -> Result<&[u8], Bad> {
    let named = named.trim_ascii();
    let name = match named.iter().rposition(|it| *it == b']') {
        Some(end)
            if named[end + 1..]
                .iter()
                .all(|it| it.is_ascii_digit() || it.is_ascii_whitespace()) =>
        {
            &named[..=end]
        }
        _ => named,
    };
    let name = fields::name("task name", name)?;
    let plain = name.starts_with(IDLE) || name.ends_with(b"]");
    match plain {
        true if name.starts_with(IDLE) => Ok(IDLE),
        true => Ok(name),
        false => Err(Bad::field(
            "task name",
            name,
            "a command with its thread in brackets",
        )),
    }
}

/// The first word, and what is behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace);
    text.split_at(end.unwrap_or(text.len()))
}

/// Milliseconds with the three decimals that perf prints.
fn millis(field: &[u8]) -> Option<Nanos> {
    let point = field.len().checked_sub(4)?;
    if field[point] != b'.' {
        return None;
    }
    let (millis, micros) = (whole(&field[..point])?, whole(&field[point + 1..])?);
    let nanos = millis.checked_mul(1_000_000)?.checked_add(micros * 1_000)?;
    (nanos < u64::MAX / 4).then_some(Nanos(nanos))
}
