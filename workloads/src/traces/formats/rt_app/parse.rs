//! Makes tasks of what the file says.

use apportion_scheduler::Nanos;

use super::{File, Phase, Step, Task};
use crate::traces::error::TraceError;
use crate::traces::fields::LATEST;
use crate::traces::formats::json::Value;
use crate::traces::input::Input;
use crate::traces::intake::Intake;

/// Threads of one task.
const MOST_INSTANCES: u64 = 16_384;

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
pub(super) struct Parser<'a, 'b, 'c> {
    pub(super) input: &'a Input,
    pub(super) intake: &'b mut Intake<'c>,
}

impl Parser<'_, '_, '_> {
    fn broken(&self, problem: &str) -> TraceError {
        TraceError::BadFile {
            file: self.input.path().to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// A file without its comments.
    pub(super) fn file(&mut self, text: &[u8]) -> Result<File, TraceError> {
        let value = serde_json::from_slice(text);
        let value: Value =
            value.map_err(|error| self.broken(&format!("it is no JSON: {error}")))?;
        let root = match &value {
            Value::Object(entries) => Entries(entries),
            _ => return Err(self.broken("it is no object")),
        };
        let duration = match root.object("global").and_then(|it| it.get("duration")) {
            Some(Value::Number(seconds)) if *seconds > 0.0 && *seconds < 1e9 => {
                Some(Nanos((seconds * 1e9) as u64))
            }
            _ => None,
        };
        let Some(named) = root.object("tasks") else {
            return Err(self.broken("it has no object `tasks`"));
        };
        let mut tasks = Vec::new();
        for (name, task) in named.0 {
            tasks.extend(self.task(name, task)?);
        }
        Ok(File { tasks, duration })
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
