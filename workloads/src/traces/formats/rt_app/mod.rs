//! A workload of rt-app: tasks that run and sleep in loops.

mod parse;
mod play;

use apportion_scheduler::Nanos;

use super::Reader;
use crate::traces::error::TraceError;
use crate::traces::fields::LATEST;
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use parse::Parser;
use play::Thread;

/// No workload is written by hand that is longer.
const LONGEST: usize = 16 << 20;

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

/// Threads that do the same.
struct Task {
    name: String,
    instances: u64,
    delay: Nanos,
    times: Option<u64>,
    phases: Vec<Phase>,
}

impl Task {
    fn is_endless(&self) -> bool {
        self.times.is_none() || self.phases.iter().any(|it| it.times.is_none())
    }
}

/// What a file says.
struct File {
    tasks: Vec<Task>,
    /// After which all of them end.
    duration: Option<Nanos>,
}

pub(super) struct RtApp;

impl Reader for RtApp {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        let text = without_comments(input.whole(LONGEST)?);
        let file = Parser { input, intake }.file(&text)?;
        let ends = [file.duration, intake.selection.end()];
        let end = ends.into_iter().flatten().min();
        let mut steps = 0;
        for task in &file.tasks {
            if task.is_endless() && end.is_none() {
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
                let mut thread = Thread::new(id, task.delay, end.unwrap_or(LATEST), &mut steps);
                thread.play(task, input, intake)?;
            }
        }
        intake.tell(input.consumed())
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
