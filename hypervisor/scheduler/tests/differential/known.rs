//! Cases that were found wrong once, and known answers.

use super::mix::{Behaviour, Change, Guest, Kind, Mix, Terms};
use apportion_scheduler::{ReserveModel, WeightScope};

const MS: u64 = 1_000_000;

fn mix(name: &str, lps: u32, slice: u64, duration: u64) -> Mix {
    Mix {
        name: name.to_owned(),
        kind: Kind::Everything,
        seed: 1,
        lps,
        nodes: 1,
        slice,
        model: ReserveModel::Additive,
        scope: WeightScope::Vp,
        duration,
        overshoot: 0,
        overhead: 0,
        latency: 0,
        is_strict: true,
        guests: Vec::new(),
        changes: Vec::new(),
        stalls: Vec::new(),
    }
}

fn guest(vps: u32, weight: u32, reserve: f64, cap: f64, affinity: Option<u64>) -> Guest {
    Guest {
        vps,
        terms: Terms {
            weight,
            reserve,
            cap,
        },
        affinity,
        behaviour: Behaviour::Burning,
        begins: 0,
    }
}

/// Caps of 95 and 6 × 10 on two LPs that are not full.
pub(crate) fn caps_on_a_machine_not_full() -> Mix {
    let mut mix = mix("caps-on-a-machine-not-full", 2, MS, 8_000 * MS);
    mix.guests.push(guest(1, 100, 0.0, 95.0, None));
    let small = (0..6).map(|_| guest(1, 100, 0.0, 10.0, None));
    mix.guests.extend(small);
    mix
}

/// When the crowd has left, each bound VP has an LP for itself, if the free one stays off.
pub(crate) fn free_vp_squats_on_bound_lps() -> Mix {
    let mut mix = mix("free-vp-squats-on-bound-lps", 4, 10 * MS, 12_000 * MS);
    mix.guests = vec![
        guest(5, 100, 0.0, 100.0, None),
        guest(2, 10, 45.0, 100.0, Some(0b1100)),
        guest(1, 400, 0.0, 100.0, None),
    ];
    mix.changes.push((2_000 * MS, Change::Stop { guest: 0 }));
    mix
}

/// A free guest with a reserve beside one that is bound and capped, and one that is bound.
pub(crate) fn reserve_beside_bound_guests() -> Mix {
    let mut mix = mix("reserve-beside-bound-guests", 2, MS, 8_000 * MS);
    mix.guests = vec![
        guest(1, 1_000, 90.0, 100.0, None),
        guest(1, 100, 0.0, 50.0, Some(0b01)),
        guest(1, 100, 0.0, 100.0, Some(0b10)),
    ];
    mix
}

/// Wants 0.7 of every ms beside a burner.
pub(crate) fn reserve_of_a_short_sleeper(slice: u64, reserve: f64, cap: f64) -> Mix {
    let name = format!(
        "reserve-of-a-short-sleeper, slice {} ms, reserve {reserve} %",
        slice / MS
    );
    let mut mix = mix(&name, 1, slice, 8_000 * MS);
    let mut sleeper = guest(1, 100, reserve, cap, None);
    sleeper.behaviour = Behaviour::Periodic {
        run: 700_000.0,
        period: 1_000_000.0,
    };
    mix.guests = vec![sleeper, guest(1, 100, 0.0, 100.0, None)];
    mix
}
