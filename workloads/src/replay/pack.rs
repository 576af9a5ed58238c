//! One factor on all VMs, so that together they demand so many times the LPs.

use super::demand::Demand;
use super::{ReplayError, Way};

/// Beyond this, whoever wants anything wants all that it can get.
const GREATEST: f64 = 1e12;

/// What every VM's demand is to be multiplied by, so that their sum over the measured time is `wanted` times the LPs.
pub(super) fn factor(demands: &[Demand], wanted: f64, way: &Way) -> Result<f64, ReplayError> {
    let lps = way.duration.0 as f64 * f64::from(way.lps);
    let sum = |factor: f64| {
        let each = demands.iter().map(|it| it.measured(factor).0);
        each.sum::<f64>() / lps
    };
    let as_it_is = sum(1.0);
    if as_it_is == 0.0 {
        return Err(ReplayError::TooIdle { wanted, most: 0.0 });
    }
    let mut high = wanted / as_it_is;
    if (sum(high) - wanted).abs() <= wanted * 1e-9 {
        // Nothing is cut off.
        return Ok(high);
    }
    while sum(high) < wanted {
        high *= 2.0;
        if high > GREATEST {
            let most = sum(GREATEST);
            return Err(ReplayError::TooIdle { wanted, most });
        }
    }
    let mut low = 0.0;
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        match sum(middle) < wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(high)
}
