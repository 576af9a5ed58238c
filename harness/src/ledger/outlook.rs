//! The promise while a run is still going on, for whoever watches: what VPs should have received since the last look.

use super::oracle::Oracle;
use super::promise::Course;
use super::state::{State, Turn};
use super::window::{LpSums, VpSums, Window};
use super::wishes::declared_demands;
use crate::plan::Roster;
use apportion_hypervisor::RunSpec;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_scheduler::{Nanos, VpId, What};

/// Between two looks the formula is solved at most so often: a look must cost the LPs little.
const TURNS: u32 = 200;

/// What is promised, as things stand.
#[derive(Debug)]
pub(crate) struct Outlook {
    roster: Roster,
    /// As it was at the last look.
    state: State,
    oracle: Oracle,
    /// Whether guests are bound to some of the LPs.
    bound: bool,
    /// When the last look was, once the guests were started.
    looked: Option<Nanos>,
    /// What the promise depends on, since then.
    turns: Vec<(Nanos, Turn)>,
    /// How often something happened that it depends on.
    happened: u32,
}

impl Outlook {
    pub(crate) fn new(spec: &RunSpec, roster: &Roster) -> Outlook {
        Outlook {
            roster: roster.clone(),
            // What arrives is seen by its VP waking: looked at from close by, that is enough.
            state: State::new(spec, roster, |_| false),
            oracle: Oracle::new(spec, declared_demands(spec)),
            bound: spec.guests.iter().any(|guest| guest.affinity.is_some()),
            looked: None,
            turns: Vec::new(),
            happened: 0,
        }
    }

    /// Enters what happened.
    pub(crate) fn enter(&mut self, entry: &LogEntry) {
        match *entry {
            LogEntry::GuestStarted { guest, at } => {
                let vps: Vec<VpId> = self.roster.initial_vps_of(guest).collect();
                self.turn(at, vps.into_iter().map(Turn::Begins));
            }
            LogEntry::GuestStopped { guest, at } | LogEntry::GuestCrashed { guest, at, .. } => {
                self.turn(at, [Turn::Gone(guest)]);
            }
            LogEntry::VpAdded { vp, at } => self.turn(at, [Turn::Begins(vp)]),
            LogEntry::ControlsChanged {
                guest,
                controls,
                at,
            } => self.turn(at, [Turn::Controls(guest, controls)]),
            LogEntry::LpChanged { lp, online, at } => self.turn(at, [Turn::Lp(lp, online)]),
            LogEntry::Vp(happened) => {
                let guest = self.roster.owners[happened.vp.index()].0;
                let declared = self.oracle.demand[guest.index()].is_some();
                match happened.what {
                    What::Slept if !declared => {
                        self.turn(happened.at, [Turn::Wants(happened.vp, false)]);
                    }
                    What::Woke { due } if !declared => {
                        self.turn(due, [Turn::Wants(happened.vp, true)]);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Something that the promise depends on turns at `at`.
    fn turn(&mut self, at: Nanos, turns: impl IntoIterator<Item = Turn>) {
        self.happened += 1;
        self.looked.get_or_insert(at);
        self.turns.extend(turns.into_iter().map(|turn| (at, turn)));
    }

    /// By VP: the CPU time in ns that it should have received since the last
    /// look, when it is `now`, of `received` by VP, with these sums by LP. `None`
    /// where more has turned than is worth following.
    pub(crate) fn look(
        &mut self,
        now: Nanos,
        received: &[f64],
        lps: &[LpSums],
    ) -> Option<Vec<f64>> {
        let known = std::mem::take(&mut self.happened) <= TURNS;
        let from = self.looked.replace(now).unwrap_or(now);
        // A VP wakes when it was due.
        self.turns.sort_by_key(|(at, _)| *at);
        if !known {
            let until = self.turns.partition_point(|(at, _)| *at < now);
            let made = self.turns.drain(..until);
            made.for_each(|(_, turn)| self.state.apply(turn));
            return None;
        }
        let vps = received.iter().map(|&received| VpSums {
            received,
            ..VpSums::default()
        });
        let mut piece = [Window {
            vps: vps.collect(),
            lps: if self.bound { lps.to_vec() } else { Vec::new() },
            idle: lps.iter().map(|lp| lp.idle).sum(),
            ..Window::empty(from, now, 0, 0)
        }];
        let mut course = Course::new(self.state.clone(), &self.turns, from);
        course.pass_piece(&mut piece, &mut self.oracle);
        let (state, rest) = course.into_rest();
        (self.state, self.turns) = (state, rest.to_vec());
        Some(piece[0].vps.iter().map(|vp| vp.expected).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::burners;
    use apportion_scheduler::{Controls, GuestId, Happened, Weight};

    #[test]
    fn what_is_expected_follows_controls_and_sleeps_and_shares_a_loss() {
        let spec = burners(&[("a", 300), ("b", 100)]);
        let mut outlook = Outlook::new(&spec, &Roster::new(&spec));
        let ms = Nanos::from_millis;
        for guest in 0..2 {
            outlook.enter(&LogEntry::GuestStarted {
                guest: GuestId(guest),
                at: ms(500),
            });
        }
        let busy = [LpSums::default()];
        let close = |looked: Option<Vec<f64>>, expected: [f64; 2]| {
            let looked = looked.unwrap();
            let near = |(a, b): (&f64, f64)| (a - b * 1e6).abs() < 1e3;
            assert!(looked.iter().zip(expected).all(near), "{looked:?}");
        };
        // Half of it at 3 : 1, half at 1 : 1; a tenth is lost.
        outlook.enter(&LogEntry::ControlsChanged {
            guest: GuestId(0),
            controls: Controls::with_weight(Weight::new(100).unwrap()),
            at: ms(1_000),
        });
        close(
            outlook.look(ms(1_500), &[600e6, 300e6], &busy),
            [562.5, 337.5],
        );
        let happened = |at, what| {
            LogEntry::Vp(Happened {
                vp: VpId(0),
                at,
                what,
            })
        };
        outlook.enter(&happened(ms(1_600), What::Slept));
        outlook.enter(&happened(ms(2_010), What::Woke { due: ms(2_000) }));
        close(
            outlook.look(ms(2_100), &[100e6, 500e6], &busy),
            [100.0, 500.0],
        );
        for sleep in 0..TURNS as u64 {
            outlook.enter(&happened(ms(2_100 + sleep), What::Slept));
        }
        outlook.enter(&happened(ms(2_900), What::Slept));
        assert_eq!(outlook.look(ms(3_000), &[0.0, 900e6], &busy), None);
        close(
            outlook.look(ms(4_000), &[0.0, 1000e6], &busy),
            [0.0, 1000.0],
        );
    }
}
