//! The rates under affinity, by brute force over all sets of VPs.
//!
//! By Hall's condition rates can be had together if no set of VPs is promised
//! more than the LPs that any of them may use (no VP is due more than one LP).
//! So the level is raised for all until some set is full; who is in it keeps
//! what it has, and the others go on.

use super::driver::SLICE;
use super::fluid::Claim;
use super::script::Terms;
use apportion_scheduler::{
    Config, LpId, LpSet, Nanos, NewGuest, PolicyKind, ReserveModel, Scheduler, VpId, WeightScope,
};

/// A guest: VPs, terms, and bits by LP.
pub(crate) type Pinned = (u32, Terms, u8);

/// What the rates of these guests' VPs are by the scheduler, which shows them by how lags grow.
pub(crate) fn found(
    lps: u32,
    guests: &[Pinned],
    model: ReserveModel,
    scope: WeightScope,
) -> (Vec<f64>, Vec<(Claim, u8)>) {
    let mut config = Config::new(lps, SLICE, PolicyKind::Fair);
    (config.reserve_model, config.weight_scope) = (model, scope);
    let mut scheduler = Scheduler::new(config);
    let mut claims = Vec::new();
    for &(vps, terms, set) in guests {
        let set: LpSet = (0..lps)
            .map(LpId)
            .filter(|lp| set >> lp.0 & 1 == 1)
            .collect();
        let bits = set.iter().fold(0, |bits, lp| bits | 1 << lp.0);
        let controls = terms.controls();
        let new = NewGuest {
            name: "g".to_owned(),
            vps,
            controls,
            affinity: Some(set),
        };
        // Refused where its reserve does not fit, or it has no LP.
        if scheduler.add_guest(Nanos::ZERO, &new).is_ok() {
            let claim = Claim {
                count: 1.0,
                ..Claim::new(&controls, vps as usize, scope)
            };
            claims.extend((0..vps).map(|_| (claim, bits)));
        }
    }
    let vps: Vec<VpId> = (0..claims.len() as u32).map(VpId).collect();
    scheduler.start(Nanos::ZERO, &vps);
    let second = 1_000_000_000;
    let rate = |vp: &VpId| {
        let lag = |at| scheduler.lag(Nanos(at), *vp).unwrap();
        (lag(second) - lag(0)) as f64 / second as f64
    };
    (vps.iter().map(rate).collect(), claims)
}

/// What they are by brute force.
pub(crate) fn expected(claims: &[(Claim, u8)], model: ReserveModel) -> Vec<f64> {
    let mut kept: Vec<Option<f64>> = vec![None; claims.len()];
    let rate = |kept: &[Option<f64>], vp: usize, level: f64| {
        kept[vp].unwrap_or_else(|| claims[vp].0.at(level, model))
    };
    // By set, its VPs and how many LPs they may use.
    let sets: Vec<(Vec<usize>, f64)> = (1..1usize << claims.len())
        .map(|set| {
            let vps: Vec<usize> = (0..claims.len()).filter(|vp| set >> vp & 1 == 1).collect();
            let lps = vps.iter().fold(0, |lps, &vp| lps | claims[vp].1);
            (vps, f64::from(lps.count_ones()))
        })
        .collect();
    let full = |kept: &[Option<f64>], (vps, lps): &(Vec<usize>, f64), level: f64| {
        vps.iter().map(|&vp| rate(kept, vp, level)).sum::<f64>() > lps + 1e-11
    };
    while kept.contains(&None) {
        // At no level above this one does a rate rise: weights are a fifth and more.
        let (mut low, mut high) = (0.0, 8.0);
        for _ in 0..80 {
            let middle = (low + high) / 2.0;
            match sets.iter().any(|set| full(&kept, set, middle)) {
                true => high = middle,
                false => low = middle,
            }
        }
        let before = kept.clone();
        for set in sets.iter().filter(|set| full(&before, set, high)) {
            for &vp in &set.0 {
                kept[vp] = Some(rate(&before, vp, low));
            }
        }
        if kept == before {
            kept = (0..claims.len())
                .map(|vp| Some(rate(&before, vp, low)))
                .collect();
        }
    }
    kept.into_iter().flatten().collect()
}
