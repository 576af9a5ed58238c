//! The promise while a run is still going on, for whoever watches: what VPs should have received since the last look.

use super::oracle::Oracle;
use super::state::{State, Turn};
use super::window::{Window, expect};
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
    state: State,
    oracle: Oracle,
    /// Up to here the promise is in `window`, once the guests were started.
    now: Option<Nanos>,
    window: Window,
    /// Since the last look.
    turns: u32,
}

impl Outlook {
    pub(crate) fn new(spec: &RunSpec, roster: &Roster) -> Outlook {
        Outlook {
            roster: roster.clone(),
            // What arrives is seen by its VP waking: looked at from close by, that is enough.
            state: State::new(spec, roster, |_| false),
            oracle: Oracle::new(spec, declared_demands(spec)),
            now: None,
            window: Window::empty(Nanos::ZERO, Nanos::ZERO, roster.owners.len()),
            turns: 0,
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
        self.turns += 1;
        self.promise_until(at);
        turns.into_iter().for_each(|turn| self.state.apply(turn));
    }

    fn promise_until(&mut self, at: Nanos) {
        let from = self.now.unwrap_or(at);
        self.now = Some(from.max(at));
        if at > from && self.turns <= TURNS {
            let rates = self.state.rates(&mut self.oracle);
            rates.add(at.since(from).0 as f64, &mut self.window);
        }
    }

    /// By VP: the CPU time in ns that it should have received since the last
    /// look, when it is `now`, of `received` by VP and `idle` time. `None`
    /// where more has turned than is worth following.
    pub(crate) fn look(&mut self, now: Nanos, received: &[f64], idle: f64) -> Option<Vec<f64>> {
        self.promise_until(now);
        let known = self.turns <= TURNS;
        self.turns = 0;
        let vps = received.len();
        let mut window = [std::mem::replace(
            &mut self.window,
            Window::empty(now, now, vps),
        )];
        for (vp, received) in window[0].vps.iter_mut().zip(received) {
            vp.received = *received;
        }
        window[0].idle = idle;
        expect(&mut window);
        known.then(|| window[0].vps.iter().map(|vp| vp.expected).collect())
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
            outlook.look(ms(1_500), &[600e6, 300e6], 0.0),
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
            outlook.look(ms(2_100), &[100e6, 500e6], 0.0),
            [100.0, 500.0],
        );
        for sleep in 0..TURNS as u64 {
            outlook.enter(&happened(ms(2_100 + sleep), What::Slept));
        }
        outlook.enter(&happened(ms(2_900), What::Slept));
        assert_eq!(outlook.look(ms(3_000), &[0.0, 900e6], 0.0), None);
        close(outlook.look(ms(4_000), &[0.0, 1000e6], 0.0), [0.0, 1000.0]);
    }
}
