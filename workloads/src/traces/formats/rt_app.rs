//! A workload of rt-app: tasks that run and sleep in loops, played as they would run with a CPU each.

use std::collections::HashMap;

use apportion_scheduler::Nanos;

use super::Reader;
use super::json::Value;
use crate::traces::error::TraceError;
use crate::traces::fields::LATEST;
use crate::traces::input::Input;
use crate::traces::intake::{Facts, Intake};
use crate::traces::model::{Burst, TracedControls};

/// No workload is written by hand that is longer.
const LONGEST: usize = 16 << 20;

/// Threads of one task.
const MOST_INSTANCES: u64 = 16_384;

/// Steps that are played of one file, so that loops end that are long for no purpose.
const MOST_STEPS: u64 = 100_000_000;

/// How often somebody is told, in steps.
const TOLD: u64 = 1 << 20;

/// What a thread does next.
enum Step {
    Run(Nanos),
    Sleep(Nanos),
    Timer {
        name: String,
        period: Nanos,
        absolute: bool,
    },
}

/// Steps that are repeated; without end where no number is said.
struct Phase {
    times: Option<u64>,
    steps: Vec<Step>,
}

struct Task {
    name: String,
    instances: u64,
    delay: Nanos,
    times: Option<u64>,
    phases: Vec<Phase>,
}

pub(super) struct RtApp;

impl Reader for RtApp {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        let text = without_comments(input.whole(LONGEST)?);
        let mut file = Parser { input, intake };
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| file.broken(&format!("it is no JSON: {error}")))?;
        let root = Entries(match &value {
            Value::Object(entries) => entries,
            _ => return Err(file.broken("it is no object")),
        });
        let duration = match root.object("global").and_then(|it| it.get("duration")) {
            Some(Value::Number(seconds)) if *seconds > 0.0 && *seconds < 1e9 => {
                Some(Nanos((seconds * 1e9) as u64))
            }
            _ => None,
        };
        let Some(Entries(tasks)) = root.object("tasks") else {
            return Err(file.broken("it has no object `tasks`"));
        };
        let mut played = Vec::new();
        for (name, task) in tasks {
            played.extend(file.task(name, task)?);
        }
        let ends = [duration, intake.selection.end()];
        let end = ends.into_iter().flatten().min();
        let mut steps = 0;
        for task in &played {
            let endless = task.times.is_none() || task.phases.iter().any(|it| it.times.is_none());
            if endless && end.is_none() {
                return Err(TraceError::Endless {
                    file: input.path().to_owned(),
                    task: task.name.clone(),
                });
            }
            for instance in 1..=task.instances {
                let id = match task.instances {
                    1 => task.name.clone(),
                    _ => format!("{}-{instance}", task.name),
                };
                let mut thread = Thread {
                    id,
                    first: task.delay,
                    now: task.delay,
                    end: end.unwrap_or(LATEST),
                    timers: HashMap::new(),
                    due: None,
                    steps: &mut steps,
                };
                thread.play(task, input, intake)?;
            }
        }
        intake.tell(input.consumed())
    }
}

/// The keys of an object, in order; some come more than once.
struct Entries<'a>(&'a [(String, Value)]);

impl<'a> Entries<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn object(&self, key: &str) -> Option<Entries<'a>> {
        match self.get(key) {
            Some(Value::Object(entries)) => Some(Entries(entries)),
            _ => None,
        }
    }
}

/// Makes tasks of what the file says.
struct Parser<'a, 'b, 'c> {
    input: &'a Input,
    intake: &'b mut Intake<'c>,
}

impl Parser<'_, '_, '_> {
    fn broken(&self, problem: &str) -> TraceError {
        TraceError::BadFile {
            file: self.input.path().to_owned(),
            problem: problem.to_owned(),
        }
    }

    fn task(&mut self, name: &str, value: &Value) -> Result<Option<Task>, TraceError> {
        let Value::Object(entries) = value else {
            self.intake
                .bad_item(self.input, name, "a task is an object")?;
            return Ok(None);
        };
        let entries = Entries(entries);
        let instances = match entries.get("instance") {
            None => 1.0,
            Some(Value::Number(number)) if (0.0..=MOST_INSTANCES as f64).contains(number) => {
                number.trunc()
            }
            Some(_) => {
                let problem = format!("`instance` is a number from 0 to {MOST_INSTANCES}");
                self.intake.bad_item(self.input, name, &problem)?;
                return Ok(None);
            }
        };
        let times = self.times(name, &entries, None)?;
        let delay = match entries.get("delay") {
            None => Nanos::ZERO,
            Some(delay) => self.micros(name, "delay", delay)?.unwrap_or_default(),
        };
        let mut phases = Vec::new();
        match entries.object("phases") {
            None => phases.push(Phase {
                times: Some(1),
                steps: self.steps(name, &entries)?,
            }),
            Some(named) => {
                for (phase, value) in named.0 {
                    let place = format!("{name}.phases.{phase}");
                    let Value::Object(entries) = value else {
                        self.intake
                            .bad_item(self.input, &place, "a phase is an object")?;
                        continue;
                    };
                    let entries = Entries(entries);
                    phases.push(Phase {
                        times: self.times(&place, &entries, Some(1))?,
                        steps: self.steps(&place, &entries)?,
                    });
                }
            }
        }
        Ok(Some(Task {
            name: name.to_owned(),
            instances: instances as u64,
            delay,
            times,
            phases,
        }))
    }

    /// How often something is repeated: `loop`, -1 without end.
    fn times(
        &mut self,
        place: &str,
        entries: &Entries,
        default: Option<u64>,
    ) -> Result<Option<u64>, TraceError> {
        match entries.get("loop") {
            None => Ok(default),
            Some(Value::Number(number)) if *number == -1.0 => Ok(None),
            Some(Value::Number(number)) if *number >= 0.0 => Ok(Some(*number as u64)),
            Some(_) => {
                let problem = "`loop` is a number, 0 or more, or -1 for no end";
                self.intake.bad_item(self.input, place, problem)?;
                Ok(Some(0))
            }
        }
    }

    fn micros(
        &mut self,
        place: &str,
        key: &str,
        value: &Value,
    ) -> Result<Option<Nanos>, TraceError> {
        match value {
            Value::Number(micros) if *micros >= 0.0 && *micros * 1e3 <= LATEST.0 as f64 => {
                Ok(Some(Nanos((*micros * 1e3) as u64)))
            }
            _ => {
                let problem = format!("`{key}` is a number of microseconds, 0 or more");
                self.intake.bad_item(self.input, place, &problem)?;
                Ok(None)
            }
        }
    }

    fn steps(&mut self, place: &str, entries: &Entries) -> Result<Vec<Step>, TraceError> {
        let mut steps = Vec::new();
        for (key, value) in entries.0 {
            match kind(key) {
                Kind::Property => {}
                Kind::Run => steps.extend(self.micros(place, key, value)?.map(Step::Run)),
                Kind::Sleep => steps.extend(self.micros(place, key, value)?.map(Step::Sleep)),
                Kind::Timer => steps.extend(self.timer(place, key, value)?),
                Kind::Unknown => {
                    let problem =
                        format!("nobody can tell the CPU time or the sleep of the event `{key}`");
                    self.intake.bad_item(self.input, place, &problem)?;
                }
            }
        }
        Ok(steps)
    }

    fn timer(&mut self, place: &str, key: &str, value: &Value) -> Result<Option<Step>, TraceError> {
        let Value::Object(entries) = value else {
            let problem = format!("`{key}` is an object with `ref` and `period`");
            self.intake.bad_item(self.input, place, &problem)?;
            return Ok(None);
        };
        let entries = Entries(entries);
        let text = |key| match entries.get(key) {
            Some(Value::Text(text)) => text.as_str(),
            _ => "",
        };
        let (name, absolute) = (text("ref").to_owned(), text("mode") == "absolute");
        let period = entries.get("period").unwrap_or(&Value::Other);
        let period = self.micros(place, &format!("{key}.period"), period)?;
        Ok(period.map(|period| Step::Timer {
            name,
            period,
            absolute,
        }))
    }
}

enum Kind {
    Run,
    Sleep,
    Timer,
    /// Says nothing of demand.
    Property,
    /// Takes time that the file does not say.
    Unknown,
}

/// What a key is. Events may have something behind their names, so that keys differ.
fn kind(key: &str) -> Kind {
    const PROPERTIES: [&str; 21] = [
        "loop",
        "phases",
        "instance",
        "delay",
        "policy",
        "priority",
        "cpus",
        "taskgroup",
        "util_min",
        "util_max",
        "dl-runtime",
        "dl-period",
        "dl-deadline",
        "period",
        "deadline",
        "membind_nodes",
        "nodes_membind",
        "nice",
        "cpu",
        "node",
        "slice",
    ];
    // They let others go on, or wait for a lock: none takes CPU time.
    const WITHOUT_TIME: [&str; 6] = ["lock", "unlock", "signal", "broad", "resume", "yield"];
    if PROPERTIES.contains(&key) || WITHOUT_TIME.iter().any(|it| key.starts_with(it)) {
        return Kind::Property;
    }
    match key {
        _ if key.starts_with("run") => Kind::Run,
        _ if key.starts_with("sleep") => Kind::Sleep,
        _ if key.starts_with("timer") => Kind::Timer,
        _ => Kind::Unknown,
    }
}

/// A thread as it would run with a CPU of its own.
struct Thread<'a> {
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
    fn play(&mut self, task: &Task, input: &Input, intake: &mut Intake) -> Result<(), TraceError> {
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
        self.done(input, intake)
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
            return Err(TraceError::BadFile {
                file: input.path().to_owned(),
                problem: format!(
                    "it has more than {MOST_STEPS} steps: say with --span how much of it to take"
                ),
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
        intake.rows += 1;
        let controls = TracedControls::default();
        let facts = || Ok(Facts { vps: 1, controls });
        let vm = intake.vm(self.id.as_bytes(), at, at + Nanos(1), facts);
        let taken =
            vm.and_then(|vm| vm.map_or(Ok(()), |vm| intake.burst(vm, Burst { vp: 0, at, run })));
        taken.or_else(|bad| intake.bad_item(input, &self.id, &bad.problem))
    }
}

/// rt-app reads comments, which JSON has none of: blanks take their place, so that lines and columns stay.
fn without_comments(mut text: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    let mut quoted = false;
    while at < text.len() {
        match (quoted, text[at], text.get(at + 1)) {
            (true, b'\\', _) => at += 1,
            (_, b'"', _) => quoted = !quoted,
            (false, b'/', Some(b'*' | b'/')) => {
                let rest = &text[at + 2..];
                let length = match text[at + 1] {
                    b'*' => memchr::memmem::find(rest, b"*/").map(|it| it + 2),
                    _ => memchr::memchr(b'\n', rest),
                };
                let end = length.map_or(text.len(), |it| at + 2 + it);
                let comment = &mut text[at..end];
                comment
                    .iter_mut()
                    .filter(|it| **it != b'\n')
                    .for_each(|it| *it = b' ');
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    text
}
