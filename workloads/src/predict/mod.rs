//! What an experiment should show, before it has run: expected shares for each of its phases, under
//! both readings of a reserve and both scopes of a weight.

mod demand;
mod phases;

use apportion_scheduler::{Controls, Nanos, ReserveModel, WeightScope};

use crate::expected::{Claim, TooManyAffinities, expected, expected_with_affinity};
use crate::{Experiment, Guest};

pub use demand::{Basis, Demand};
pub use phases::{Phase, Standing, phases};

/// One reading of what controls mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What a reserve means under contention.
    pub reserve_model: ReserveModel,
    /// Whose claim a weight is.
    pub weight_scope: WeightScope,
}

impl Reading {
    /// All readings; shares are listed in this order.
    pub const ALL: [Reading; 4] = {
        let [additive, floor] = ReserveModel::ALL;
        let [vp, guest] = WeightScope::ALL;
        [
            Reading::new(additive, vp),
            Reading::new(additive, guest),
            Reading::new(floor, vp),
            Reading::new(floor, guest),
        ]
    };

    const fn new(reserve_model: ReserveModel, weight_scope: WeightScope) -> Reading {
        Reading {
            reserve_model,
            weight_scope,
        }
    }

    /// The one that the experiment is run with.
    pub fn of(experiment: &Experiment) -> Reading {
        Reading::new(experiment.reserve_model, experiment.weight_scope)
    }
}

/// What a run should show between two changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// When it begins, counted from when measuring begins.
    pub from: Nanos,
    /// When it ends.
    pub until: Nanos,
    /// LPs on line.
    pub lps: u32,
    /// In the order of [`Experiment::guests`].
    pub guests: Vec<GuestForecast>,
}

/// What each VP of one guest should receive. Parts are of one LP, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestForecast {
    /// How many VPs it has by then.
    pub vps: u32,
    /// Its controls by then.
    pub controls: Controls,
    /// What each of its VPs wants.
    pub demand: Demand,
    /// What each of its VPs receives under each [`Reading::ALL`].
    parts: [f64; 4],
}

impl Forecast {
    /// The reserves of all VPs together, in LPs.
    pub fn reserved(&self) -> f64 {
        let of =
            |guest: &GuestForecast| f64::from(guest.vps) * guest.controls.reserve.percent() / 100.0;
        self.guests.iter().map(of).sum()
    }

    /// What all VPs together can use, in LPs: their demand, as far as caps allow it.
    pub fn usable(&self) -> f64 {
        let of = |guest: &GuestForecast| f64::from(guest.vps) * guest.upper();
        self.guests.iter().map(of).sum()
    }
}

impl GuestForecast {
    /// The most that each of its VPs can use.
    pub fn upper(&self) -> f64 {
        self.demand.part.min(self.controls.cap.percent() / 100.0)
    }

    /// What it claims under contention: its weight, of each VP or of all together.
    pub fn claim(&self, scope: WeightScope) -> u64 {
        let weight = u64::from(self.controls.weight.get());
        match scope {
            WeightScope::Vp => weight * u64::from(self.vps),
            WeightScope::Guest => weight,
        }
    }

    /// What each of its VPs receives, of one LP.
    pub fn part(&self, reading: Reading) -> f64 {
        let index = Reading::ALL.iter().position(|other| *other == reading);
        index.map_or(0.0, |index| self.parts[index])
    }

    /// What all of them receive together, in LPs.
    pub fn received(&self, reading: Reading) -> f64 {
        self.part(reading) * f64::from(self.vps)
    }
}

/// What the experiment should show on `lps` LPs, one or more, phase by phase.
///
/// Shares follow from declared or mean demand, see [`Demand`], so that for
/// guests whose bursts are random they are approximations. LPs of an affinity
/// beyond `lps` count for nothing.
///
/// # Errors
/// [`TooManyAffinities`], only where guests have affinities.
pub fn predict(experiment: &Experiment, lps: u32) -> Result<Vec<Forecast>, TooManyAffinities> {
    let phases = phases(experiment, lps);
    phases
        .iter()
        .map(|phase| forecast(experiment, phase))
        .collect()
}

/// What one phase of the experiment should show.
///
/// # Errors
/// [`TooManyAffinities`], only where guests have affinities.
pub fn forecast(experiment: &Experiment, phase: &Phase) -> Result<Forecast, TooManyAffinities> {
    let standing = experiment.guests.iter().zip(&phase.guests);
    let mut guests: Vec<GuestForecast> = standing
        .map(|(guest, standing)| GuestForecast {
            vps: standing.vps,
            controls: standing.controls,
            demand: Demand::of(guest),
            parts: [0.0; 4],
        })
        .collect();
    for (index, reading) in Reading::ALL.into_iter().enumerate() {
        let parts = parts(&experiment.guests, &guests, &phase.online, reading)?;
        for (guest, part) in guests.iter_mut().zip(parts) {
            guest.parts[index] = part;
        }
    }
    Ok(Forecast {
        from: phase.from,
        until: phase.until,
        lps: phase.lps(),
        guests,
    })
}

/// By guest: what each of its VPs receives.
fn parts(
    guests: &[Guest],
    forecasts: &[GuestForecast],
    online: &[bool],
    reading: Reading,
) -> Result<Vec<f64>, TooManyAffinities> {
    let claim = |guest: &GuestForecast| Claim {
        upper: guest.upper(),
        ..Claim::scoped(&guest.controls, guest.vps, reading.weight_scope)
    };
    let vps = guests.iter().zip(forecasts);
    let vps = vps.flat_map(|(guest, forecast)| {
        vec![(claim(forecast), guest.affinity.as_deref()); forecast.vps as usize]
    });
    let vps: Vec<(Claim, Option<&[u32]>)> = vps.collect();
    let received = if vps.iter().all(|(_, affinity)| affinity.is_none()) {
        let claims: Vec<Claim> = vps.iter().map(|(claim, _)| *claim).collect();
        let lps = online.iter().filter(|online| **online).count();
        expected(lps as u32, &claims, reading.reserve_model)
    } else {
        expected_with_affinity(online, &vps, reading.reserve_model)?
    };
    let mut first = 0;
    let of_guest = |guest: &GuestForecast| {
        let part = received.get(first).filter(|_| guest.vps > 0);
        first += guest.vps as usize;
        part.copied().unwrap_or_default()
    };
    Ok(forecasts.iter().map(of_guest).collect())
}
