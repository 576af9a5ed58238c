//! The best of those that wait at home on an LP.

use super::heads::Heads;
use super::pick::{Among, Candidate, improve};
use super::{Fair, Fixed};
use crate::machine::Machine;
use crate::rates::RATE_BITS;
use crate::units::LpId;

/// See the module's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AtHome {
    /// Due all of an LP, and not ahead of that by a slice: it makes up for no turn that it loses. Others pull who
    /// waits behind it.
    pub(super) whole: Option<Candidate>,
    /// The earliest deadline of those behind; where nobody is, of those ahead.
    pub(super) next: Option<Candidate>,
}

/// What rounding may do to a deadline, so that two are told apart only if they differ by more.
const ROUNDING: Fixed = 1 << RATE_BITS;

impl Fair {
    pub(super) fn at_home(&mut self, among: Among, lp: LpId, machine: &Machine) -> AtHome {
        // Those of other components, which are looked at where no others wait, are not in order.
        let in_order = among.is_some() || !machine.restricted;
        let (queues, solves) = (self.queues.count(lp), self.classes.solves);
        if !in_order || self.queues.heads(lp).are_few(queues, solves) {
            return self.best_of_all(among, lp);
        }
        let found = self.best_of_heads(lp);
        debug_assert_eq!(found, self.best_of_all(among, lp));
        found
    }

    /// By looking at each.
    fn best_of_all(&self, among: Among, lp: LpId) -> AtHome {
        let mut best = AtHome::default();
        for (class, queue) in self.queues.at(lp) {
            if self.is_among(among, class)
                && let Some((balance, vp)) = queue.first()
            {
                self.regard(&mut best, class, self.candidate(class, balance, vp));
            }
        }
        best
    }

    fn regard(&self, best: &mut AtHome, class: u32, candidate: Candidate) {
        if candidate.lag >= -self.slice && self.classes.is_due_an_lp(class) {
            improve(&mut best.whole, candidate, Candidate::by_lag);
        }
        improve(&mut best.next, candidate, |a, b| {
            let ahead = |of: &Candidate| of.lag < 0;
            let by_deadline = || a.by_deadline(b, self.slice);
            ahead(a).cmp(&ahead(b)).then_with(by_deadline)
        });
    }

    /// By walking from the first of the heads that are in order.
    fn best_of_heads(&mut self, lp: LpId) -> AtHome {
        let mut heads = std::mem::take(self.queues.heads(lp));
        if heads.pass(self.classes.at(lp)) {
            for (class, _) in self.queues.at(lp) {
                self.put(&mut heads, lp, class);
            }
        }
        while let Some(class) = heads.next_changed() {
            self.put(&mut heads, lp, class);
        }
        self.put_behind(&mut heads, lp);
        let found = self.walk(&mut heads, lp);
        *self.queues.heads(lp) = heads;
        found
    }

    fn put(&self, heads: &mut Heads, lp: LpId, class: u32) {
        let head = self.head(lp, class);
        let line = head.map(|head| self.classes.line(class, head.lag));
        heads.put(class, line, self.slice);
    }

    /// Puts those that are not ahead any more among those behind.
    fn put_behind(&self, heads: &mut Heads, lp: LpId) {
        let due = heads.ahead().take_while(|(wait, _)| *wait <= 0);
        let classes: Vec<u32> = due.map(|(_, class)| class).collect();
        let ahead = |class| self.head(lp, class).is_some_and(|head| head.lag < 0);
        let looked_at = classes.len();
        let mut moved = 0;
        for class in classes {
            if !ahead(class) {
                self.put(heads, lp, class);
                moved += 1;
            }
        }
        heads.passed_by(looked_at - moved);
    }

    fn walk(&self, heads: &mut Heads, lp: LpId) -> AtHome {
        let mut best = AtHome::default();
        let regard = |best: &mut AtHome, class| {
            let head = self.head(lp, class);
            if let Some(head) = head {
                self.regard(best, class, head);
            }
            head
        };
        for class in heads.apart() {
            regard(&mut best, class);
        }
        let mut walked = 0;
        let mut fallen = Vec::new();
        for (wait, class) in heads.behind() {
            let found = best.next.filter(|next| next.lag >= 0);
            if found.is_some_and(|found| wait > found.deadline(self.slice) + ROUNDING) {
                break;
            }
            walked += 1;
            // By a loss.
            if regard(&mut best, class).is_some_and(|head| head.lag < 0) {
                fallen.push(class);
            }
        }
        for (wait, class) in heads.ahead() {
            // A slice takes no less than a slice.
            let follows = |found: Candidate| {
                found.lag >= 0 || wait + self.slice > found.deadline(self.slice) + ROUNDING
            };
            if best.next.is_some_and(follows) {
                break;
            }
            walked += 1;
            regard(&mut best, class);
        }
        for class in fallen {
            self.put(heads, lp, class);
        }
        heads.passed_by(walked);
        best
    }

    /// The first VP of a class, if the class competes for the LP.
    fn head(&self, lp: LpId, class: u32) -> Option<Candidate> {
        let competes = self.classes.component(class) == self.classes.component_of(lp);
        let (balance, vp) = self.queues.first(lp, class).filter(|_| competes)?;
        Some(self.candidate(class, balance, vp))
    }
}
