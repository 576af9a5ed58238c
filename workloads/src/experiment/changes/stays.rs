//! When guests are there: which of them start or stop by a change, and what does not agree with that.

use std::ops::Range;

use super::super::diagnostics::Problem;
use super::super::guests::Guests;

/// What the changes read so far say of one guest, each with where its name stands.
#[derive(Clone, Debug, Default)]
struct Stay {
    starts: Option<Range<usize>>,
    stops: Option<Range<usize>>,
    /// The first other change of it.
    changed: Option<Range<usize>>,
}

/// Of all guests, in their order.
pub(super) struct Stays(Vec<Stay>);

impl Stays {
    pub(super) fn new(guests: &Guests) -> Stays {
        Stays(vec![Stay::default(); guests.list.len()])
    }

    /// A guest called `name` starts by a change.
    pub(super) fn start(&mut self, guest: usize, name: &str, at: Range<usize>) -> Option<Problem> {
        let stay = &mut self.0[guest];
        if let Some(stopped) = &stay.stops {
            let title = format!("guest `{name}` cannot start once it was stopped");
            let label = "a guest that was stopped is gone for good";
            let problem = Problem::at(at, title, label).context(stopped.clone(), "it stops here");
            return Some(
                problem.help("write another [[guest]] for what comes later, and start that"),
            );
        }
        if let Some(started) = &stay.starts {
            let title = format!("guest `{name}` starts twice");
            let problem = Problem::at(at, title, "remove this change");
            return Some(problem.context(started.clone(), "it starts here"));
        }
        stay.starts = Some(at.clone());
        let changed = stay.changed.clone()?;
        let title = format!("guest `{name}` is changed before it starts");
        let problem = Problem::at(at, title, "it is not there before this");
        let problem = problem.context(changed, "this comes before");
        Some(problem.help("what a guest is to have as it starts stands in its [[guest]]"))
    }

    /// A guest called `name` stops.
    pub(super) fn stop(&mut self, guest: usize, name: &str, at: Range<usize>) -> Option<Problem> {
        let stay = &mut self.0[guest];
        match &stay.stops {
            Some(stopped) => {
                let title = format!("guest `{name}` stops twice");
                let problem = Problem::at(at, title, "remove this change");
                Some(problem.context(stopped.clone(), "it stops here"))
            }
            None => {
                stay.stops = Some(at);
                None
            }
        }
    }

    /// Something else of a guest called `name` changes.
    pub(super) fn change(&mut self, guest: usize, name: &str, at: Range<usize>) -> Option<Problem> {
        let stay = &mut self.0[guest];
        if let Some(stopped) = &stay.stops {
            let title = format!("guest `{name}` is changed after it was stopped");
            let problem = Problem::at(at, title, "remove this change");
            return Some(problem.context(stopped.clone(), "it stops here"));
        }
        stay.changed.get_or_insert(at);
        None
    }

    /// The complaint that no guest is there from the start.
    pub(super) fn nobody(&self) -> Option<Problem> {
        let starts: Option<Vec<&Range<usize>>> =
            self.0.iter().map(|stay| stay.starts.as_ref()).collect();
        let last = starts?.into_iter().max_by_key(|span| span.start)?.clone();
        let title = "no guest is there when the run begins";
        let label = "let one start with the run: remove such a change";
        Some(Problem::at(last, title, label))
    }
}
