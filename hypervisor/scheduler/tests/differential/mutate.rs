//! Small changes of a mix, each named by a number, so that a search can say what it found.

use super::generate::{affinities, behaviour, moment, rounded, terms};
use super::mix::{Behaviour, Guest, Kind, Mix};
use super::random::Dice;

/// More LPs than this make a search slow.
const MOST_LPS: u32 = 6;

/// More guests than this are no help to whoever reads what was found.
const MOST_GUESTS: usize = 12;

pub(crate) fn mutated(mix: &Mix, number: u64) -> Mix {
    let mut dice = Dice::new(number ^ 0x0DD5_EED5);
    let mut mix = mix.clone();
    mix.name = format!("{}+{number}", mix.name);
    match dice.below(8) {
        0 => change_machine(&mut mix, &mut dice),
        1 => change_crowd(&mut mix, &mut dice),
        2 => change_events(&mut mix, &mut dice),
        _ => change_guest(&mut mix, &mut dice),
    }
    mix
}

fn change_machine(mix: &mut Mix, dice: &mut Dice) {
    match dice.below(5) {
        0 => mix.overshoot = (mix.slice as f64 * dice.among(&[0.0, 0.01, 0.05])) as u64,
        1 => mix.latency = dice.among(&[0, 10_000, 30_000]).min(mix.slice / 20),
        2 => mix.model = dice.among(&apportion_scheduler::ReserveModel::ALL),
        3 => mix.scope = dice.among(&apportion_scheduler::WeightScope::ALL),
        _ => {
            mix.lps = dice.whole(1, u64::from(MOST_LPS)) as u32;
            mix.nodes = mix.nodes.min(mix.lps);
            let everywhere = (1u64 << mix.lps) - 1;
            for guest in &mut mix.guests {
                let left = guest.affinity.map(|set| set & everywhere);
                guest.affinity = left.filter(|&set| set != 0);
            }
            let lps = mix.lps;
            mix.stalls.retain(|stall| stall.lp < lps);
            // What is changed may be gone.
            mix.changes.clear();
        }
    }
}

fn change_crowd(mix: &mut Mix, dice: &mut Dice) {
    let chosen = dice.below(mix.guests.len() as u64) as usize;
    if dice.chance(0.6) && mix.guests.len() > 2 {
        mix.guests.remove(chosen);
        // Guests have other numbers now.
        mix.changes.clear();
    } else if mix.guests.len() < MOST_GUESTS {
        let twin: Guest = mix.guests[chosen].clone();
        mix.guests.push(twin);
    }
}

fn change_events(mix: &mut Mix, dice: &mut Dice) {
    if mix.changes.is_empty() {
        return;
    }
    let chosen = dice.below(mix.changes.len() as u64) as usize;
    if dice.chance(0.3) {
        mix.changes.remove(chosen);
    } else {
        mix.changes[chosen].0 = moment(mix, dice);
    }
    mix.changes.sort_by_key(|&(at, _)| at);
}

fn change_guest(mix: &mut Mix, dice: &mut Dice) {
    let chosen = dice.below(mix.guests.len() as u64) as usize;
    let fresh = terms(mix.kind, dice);
    let sets = affinities(mix, dice);
    let other = behaviour(mix, dice, false);
    let most = mix.lps;
    let guest = &mut mix.guests[chosen];
    match dice.below(6) {
        0 => guest.terms.weight = fresh.weight,
        1 => {
            guest.terms.reserve = fresh.reserve;
            guest.terms.cap = guest.terms.cap.max(fresh.reserve);
        }
        2 => guest.terms.cap = fresh.cap.max(guest.terms.reserve),
        3 => guest.vps = dice.whole(1, u64::from(most.min(4))) as u32,
        4 if matches!(mix.kind, Kind::Affinity | Kind::Squatting) => {
            guest.affinity = dice.chance(0.7).then(|| dice.among(&sets));
        }
        4 => guest.terms.reserve = rounded(guest.terms.reserve * dice.unit()),
        _ => guest.behaviour = nudged(guest.behaviour, other, dice),
    }
}

/// The same with other times, or another one.
fn nudged(behaviour: Behaviour, other: Behaviour, dice: &mut Dice) -> Behaviour {
    if dice.chance(0.3) {
        return other;
    }
    let mut nudge = |time: f64| (time * dice.magnitude(0.5, 2.0)).max(2_000.0).round();
    match behaviour {
        Behaviour::Burning => Behaviour::Burning,
        Behaviour::Periodic { run, period } => {
            let period = nudge(period);
            Behaviour::Periodic {
                run: nudge(run).min(period),
                period,
            }
        }
        Behaviour::OnOff { on, off } => Behaviour::OnOff {
            on: nudge(on),
            off: nudge(off),
        },
        Behaviour::Bursts { work, gap } => Behaviour::Bursts {
            work: nudge(work),
            gap: nudge(gap),
        },
        Behaviour::Fixed { run, pause } => Behaviour::Fixed {
            run: nudge(run),
            pause: nudge(pause),
        },
    }
}
