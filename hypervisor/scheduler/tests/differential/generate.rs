//! From a number to a mix.

use super::mix::{Behaviour, Change, Guest, Kind, Mix, Stall, Terms};
use super::random::Dice;
use apportion_scheduler::{ReserveModel, WeightScope};

/// Dispatches of a mix, about: more take longer and show little more.
const SLICES: f64 = 4_000.0;

/// The mix of this number.
pub(crate) fn mix(number: u64) -> Mix {
    of_kind(Kind::of(number), number)
}

fn of_kind(kind: Kind, number: u64) -> Mix {
    let mut dice = Dice::new(number);
    let several = matches!(kind, Kind::Affinity | Kind::Squatting | Kind::Nodes);
    let lps = match dice.below(12) {
        0..3 if !several => 1,
        0..7 => dice.whole(2, 4),
        7..11 => dice.whole(3, 8),
        _ => dice.whole(9, 64),
    } as u32;
    let slice = (dice.magnitude(0.1, 100.0) * 1e3).round() * 1e3;
    let slices = (SLICES / f64::from(lps)).clamp(200.0, 1_500.0);
    let nodes = match kind {
        Kind::Nodes => dice.among(&[2, 3, 4]),
        Kind::Everything => dice.among(&[1, 1, 2, 3, 4]),
        _ => 1,
    };
    let mut mix = Mix {
        name: number.to_string(),
        kind,
        seed: number,
        lps,
        nodes: nodes.min(lps),
        slice: slice as u64,
        model: dice.among(&ReserveModel::ALL),
        scope: dice.among(&[WeightScope::Vp, WeightScope::Vp, WeightScope::Guest]),
        duration: (slices * slice) as u64,
        overshoot: (slice * dice.among(&[0.0, 0.0, 0.01, 0.03])) as u64,
        overhead: 0,
        latency: dice.among(&[0, 0, 10_000, 30_000]).min(slice as u64 / 20),
        is_strict: false,
        guests: Vec::new(),
        changes: Vec::new(),
        stalls: Vec::new(),
    };
    let everything = kind == Kind::Everything;
    add_guests(&mut mix, &mut dice, everything);
    shorten(&mut mix);
    if kind == Kind::Losses || everything && dice.chance(0.4) {
        add_losses(&mut mix, &mut dice);
    }
    match kind {
        Kind::Squatting => add_stops(&mut mix, &mut dice),
        Kind::Affinity if dice.chance(0.2) => add_move(&mut mix, &mut dice),
        Kind::Newcomers => add_changes(&mut mix, &mut dice),
        Kind::Everything if dice.chance(0.5) => {
            add_changes(&mut mix, &mut dice);
            add_move(&mut mix, &mut dice);
            mix.changes.sort_by_key(|&(at, _)| at);
        }
        _ => {}
    }
    mix
}

fn add_guests(mix: &mut Mix, dice: &mut Dice, everything: bool) {
    let lps = f64::from(mix.lps);
    let most = (lps * 2.5).clamp(4.0, 24.0) as u64;
    let guests = dice.whole(2, most);
    let sets = affinities(mix, dice);
    let mut left = 0.95 * lps;
    for _ in 0..guests {
        let vps = dice.among(&[1, 1, 1, 2, 2, 3, 4]).min(mix.lps.max(2));
        let mut terms = terms(mix.kind, dice);
        let wanted = terms.reserve / 100.0 * f64::from(vps);
        if wanted > left || vps > mix.lps {
            terms.reserve = 0.0;
        } else {
            left -= wanted;
        }
        let behaviour = behaviour(mix, dice, everything);
        let is_bound = match mix.kind {
            Kind::Affinity | Kind::Squatting => dice.chance(0.6),
            Kind::Everything => dice.chance(0.3),
            _ => false,
        };
        let affinity = is_bound.then(|| dice.among(&sets));
        if affinity.is_some_and(|set| set.count_ones() < vps) {
            terms.reserve = 0.0;
        }
        mix.guests.push(Guest {
            vps,
            terms,
            affinity,
            behaviour,
            begins: 0,
        });
    }
    match mix.kind {
        // One burner on every LP, so that all of them are wanted.
        Kind::Burning | Kind::Nodes => mix.guests.extend((0..mix.lps).map(|_| burner(dice))),
        Kind::Caps => leave_room(mix),
        _ => {}
    }
}

/// Mixes of many short bursts end earlier.
fn shorten(mix: &mut Mix) {
    let bursts = |guest: &Guest| {
        let period = match guest.behaviour {
            Behaviour::Burning => f64::INFINITY,
            Behaviour::Periodic { period, .. } => period,
            Behaviour::OnOff { on, off } => on + off,
            Behaviour::Bursts { gap, .. } => gap,
            Behaviour::Fixed { run, pause } => run + pause,
        };
        f64::from(guest.vps) * mix.slice as f64 / period
    };
    let each: f64 = mix.guests.iter().map(bursts).sum();
    let slices = (SLICES / each).max(200.0) * mix.slice as f64;
    mix.duration = mix.duration.min(slices as u64);
}

fn burner(dice: &mut Dice) -> Guest {
    Guest {
        vps: 1,
        terms: Terms {
            weight: dice.magnitude(1.0, 10_000.0) as u32,
            reserve: 0.0,
            cap: 100.0,
        },
        affinity: None,
        behaviour: Behaviour::Burning,
        begins: 0,
    }
}

/// Caps such that everybody can have its cap.
fn leave_room(mix: &mut Mix) {
    let wanted = |guest: &Guest| guest.terms.cap / 100.0 * f64::from(guest.vps);
    let total: f64 = mix.guests.iter().map(wanted).sum();
    let scale = (0.99 * f64::from(mix.lps) / total).min(1.0);
    for guest in &mut mix.guests {
        guest.terms.cap = rounded((guest.terms.cap * scale).max(0.5));
        guest.terms.reserve = guest.terms.reserve.min(guest.terms.cap);
    }
}

pub(crate) fn rounded(percent: f64) -> f64 {
    (percent * 1e3).round() / 1e3
}

pub(crate) fn terms(kind: Kind, dice: &mut Dice) -> Terms {
    let weight = match dice.below(3) {
        0 => 100.0,
        1 => dice.magnitude(20.0, 500.0),
        _ => dice.magnitude(1.0, 10_000.0),
    };
    let likely = if kind == Kind::Losses { 0.6 } else { 0.3 };
    let reserve = match dice.chance(likely) {
        true => rounded(dice.between(1.0, 90.0)),
        false => 0.0,
    };
    let likely = if kind == Kind::Caps { 0.8 } else { 0.2 };
    let cap = match dice.chance(likely) {
        true => rounded(dice.between(2.0, 99.0).max(reserve)),
        false => 100.0,
    };
    Terms {
        weight: weight as u32,
        reserve,
        cap,
    }
}

/// A few sets of LPs, so that guests share some of them.
pub(crate) fn affinities(mix: &Mix, dice: &mut Dice) -> Vec<u64> {
    (0..dice.whole(1, 4))
        .map(|_| {
            let size = dice.whole(1, u64::from(mix.lps.min(4)));
            let first = dice.below(u64::from(mix.lps));
            let lp = |step: u64| 1u64 << ((first + step) % u64::from(mix.lps));
            (0..size).map(lp).fold(0, |bits, lp| bits | lp)
        })
        .collect()
}

pub(crate) fn behaviour(mix: &Mix, dice: &mut Dice, everything: bool) -> Behaviour {
    let slice = mix.slice as f64;
    let likely = match mix.kind {
        Kind::LongSleepers | Kind::ShortSleepers | Kind::Arrivals => 0.6,
        Kind::Losses => 0.15,
        Kind::Everything => 0.4,
        _ => 0.0,
    };
    if !dice.chance(likely) {
        return Behaviour::Burning;
    }
    let (shortest, longest) = match mix.kind {
        Kind::LongSleepers => (4.0, 100.0),
        Kind::ShortSleepers => (0.1, 4.0),
        _ => (0.1, 100.0),
    };
    // At least 5 us: shorter ones are of no use to anybody.
    let period = (dice.magnitude(shortest, longest) * slice)
        .max(5_000.0)
        .round();
    let run = (period * dice.between(0.02, 0.98)).max(1_000.0).round();
    let rest = (period - run).max(1_000.0);
    let open = mix.kind == Kind::Arrivals || everything && dice.chance(0.25);
    if open {
        return Behaviour::Bursts {
            work: run,
            gap: period,
        };
    }
    match dice.below(3) {
        0 => Behaviour::Periodic { run, period },
        1 => Behaviour::OnOff { on: run, off: rest },
        _ => Behaviour::Fixed { run, pause: rest },
    }
}

fn add_losses(mix: &mut Mix, dice: &mut Dice) {
    let slice = mix.slice as f64;
    mix.overhead = (slice * dice.among(&[0.0, 0.005, 0.02])) as u64;
    let everywhere = dice.chance(0.5);
    for lp in 0..mix.lps {
        if !everywhere && lp > 0 {
            continue;
        }
        // So much of the LP, in pieces of a fraction of a slice.
        let (part, piece) = (dice.between(0.01, 0.15), dice.between(0.05, 0.5) * slice);
        let mut at = dice.exponential(piece / part);
        while at < mix.duration as f64 {
            let span = piece.round() as u64;
            mix.stalls.push(Stall {
                lp,
                at: at as u64,
                span,
            });
            at += piece + dice.exponential(piece * (1.0 / part - 1.0));
        }
    }
    mix.stalls.sort_by_key(|stall| stall.at);
}

pub(crate) fn moment(mix: &Mix, dice: &mut Dice) -> u64 {
    (mix.duration as f64 * dice.between(0.1, 0.8)) as u64
}

fn add_stops(mix: &mut Mix, dice: &mut Dice) {
    for guest in 0..mix.guests.len() {
        if dice.chance(0.4) {
            let at = moment(mix, dice);
            mix.changes.push((at, Change::Stop { guest }));
        }
    }
    mix.changes.sort_by_key(|&(at, _)| at);
}

/// A guest may run elsewhere from some moment on.
fn add_move(mix: &mut Mix, dice: &mut Dice) {
    let guest = dice.below(mix.guests.len() as u64) as usize;
    let sets = affinities(mix, dice);
    let lps = dice.chance(0.8).then(|| dice.among(&sets));
    let at = moment(mix, dice);
    mix.changes.push((at, Change::Affinity { guest, lps }));
}

fn add_changes(mix: &mut Mix, dice: &mut Dice) {
    for guest in 0..mix.guests.len() {
        if dice.chance(0.25) {
            mix.guests[guest].begins = moment(mix, dice) / 2;
        }
    }
    for _ in 0..dice.whole(1, 6) {
        let at = moment(mix, dice);
        let guest = dice.below(mix.guests.len() as u64) as usize;
        let lp = dice.below(u64::from(mix.lps)) as u32;
        let mut terms = terms(mix.kind, dice);
        if mix.guests[guest].vps > mix.lps {
            terms.reserve = 0.0;
        }
        let back = at + (mix.duration as f64 * dice.between(0.05, 0.2)) as u64;
        match dice.below(5) {
            0 | 1 => mix.changes.push((at, Change::Controls { guest, terms })),
            2 => mix.changes.push((at, Change::AddVp { guest })),
            3 => mix.changes.push((at, Change::Stop { guest })),
            _ => {
                mix.changes.push((at, Change::LpOff { lp }));
                mix.changes.push((back, Change::LpOn { lp }));
            }
        }
    }
    mix.changes.sort_by_key(|&(at, _)| at);
}

/// The mix of a name: a number, and the numbers of mutations, as in `17+3+5`.
///
/// # Panics
/// Where the name is none.
pub(crate) fn named(name: &str) -> Mix {
    let mut numbers = name.split('+').map(|number| {
        number
            .parse()
            .expect("APPORTION_MIX is a number, or numbers with + between")
    });
    let first = numbers.next().expect("a name is not empty");
    numbers.fold(mix(first), |mix, mutation| {
        super::mutate::mutated(&mix, mutation)
    })
}
