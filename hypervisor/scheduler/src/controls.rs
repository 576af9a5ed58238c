//! The three knobs of a guest, checked where they are made.

use thiserror::Error;

/// A guest's claim on CPU: weight, reserve and cap, each per VP.
///
/// Ranges and meaning are those of Hyper-V's classic scheduler (TLFS 5.0C
/// chapter 14; `Set-VMProcessor`): weight 1 to 10000, default 100; reserve and
/// cap in parts of one LP per VP, resolution 0.001 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Controls {
    /// Relative claim of each VP under contention.
    pub weight: Weight,
    /// What each VP is guaranteed whenever it wants it.
    pub reserve: Reserve,
    /// What each VP never exceeds.
    pub cap: Cap,
}

/// What a reserve means while the LPs are contended. The vendor's texts disagree, so both readings are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReserveModel {
    /// The reserves first, then what remains by weight: `min(u, r + λ·w)` (WMI's `Msvm_ProcessorSettingData`).
    #[default]
    Additive,
    /// By weight, but never below the reserve: `clamp(λ·w, r, u)` (Armstrong).
    Floor,
}

impl ReserveModel {
    /// Both.
    pub const ALL: [ReserveModel; 2] = [ReserveModel::Additive, ReserveModel::Floor];

    /// Its name in experiments, options and files.
    pub const fn name(self) -> &'static str {
        match self {
            ReserveModel::Additive => "additive",
            ReserveModel::Floor => "floor",
        }
    }
}

/// Whose claim a weight is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightScope {
    /// Each VP's: a guest with twice the VPs claims twice as much (Hyper-V).
    #[default]
    Vp,
    /// The guest's, split evenly over its runnable VPs (Xen, ESXi, cgroups).
    Guest,
}

impl WeightScope {
    /// Both.
    pub const ALL: [WeightScope; 2] = [WeightScope::Vp, WeightScope::Guest];

    /// Its name in experiments, options and files.
    pub const fn name(self) -> &'static str {
        match self {
            WeightScope::Vp => "vp",
            WeightScope::Guest => "guest",
        }
    }
}

/// Why controls were refused.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum ControlsError {
    /// The weight lies outside 1 to 10000.
    #[error("weight {0} is out of range: use a whole number from 1 to 10000 (default 100)")]
    Weight(i64),
    /// The reserve lies outside 0 to 100 %.
    #[error("reserve {0} % is out of range: use 0 to 100 % of one LP per VP")]
    Reserve(f64),
    /// The cap is zero, negative, or above 100 %.
    #[error("cap {0} % is out of range: use a value above 0 and up to 100 % of one LP per VP")]
    Cap(f64),
    /// The cap lies below the reserve.
    #[error(
        "cap {cap} % lies below reserve {reserve} %: a guest cannot be promised more than it may use"
    )]
    CapBelowReserve {
        /// The refused cap, in percent of one LP.
        cap: f64,
        /// The reserve it contradicts, in percent of one LP.
        reserve: f64,
    },
}

impl Controls {
    /// Controls with this weight and no reserve or cap.
    pub fn with_weight(weight: Weight) -> Controls {
        Controls {
            weight,
            ..Controls::default()
        }
    }

    /// All three, checked against each other.
    ///
    /// # Errors
    /// [`ControlsError::CapBelowReserve`] where the cap contradicts the reserve.
    pub fn new(weight: Weight, reserve: Reserve, cap: Cap) -> Result<Controls, ControlsError> {
        if cap.0 < reserve.0 {
            return Err(ControlsError::CapBelowReserve {
                cap: cap.percent(),
                reserve: reserve.percent(),
            });
        }
        Ok(Controls {
            weight,
            reserve,
            cap,
        })
    }
}

/// A weight from 1 to 10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// The range that [`Weight::new`] accepts.
    pub const RANGE: std::ops::RangeInclusive<i64> = 1..=10_000;

    /// A weight, if it lies in 1 to 10000.
    ///
    /// # Errors
    /// [`ControlsError::Weight`] otherwise.
    pub fn new(weight: i64) -> Result<Weight, ControlsError> {
        if Weight::RANGE.contains(&weight) {
            Ok(Weight(weight as u32))
        } else {
            Err(ControlsError::Weight(weight))
        }
    }

    /// The number itself.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Weight {
        Weight(100)
    }
}

/// One LP in thousandths of a percent, the resolution of WMI's `Limit` and `Reservation`.
pub(crate) const FULL: u32 = 100_000;

fn milli_percent(percent: f64) -> u32 {
    (percent * 1_000.0).round() as u32
}

/// A guaranteed part of one LP per VP, 0 to 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Reserve(u32);

impl Reserve {
    /// A reserve in percent of one LP.
    ///
    /// # Errors
    /// [`ControlsError::Reserve`] outside 0 to 100.
    pub fn from_percent(percent: f64) -> Result<Reserve, ControlsError> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Reserve(milli_percent(percent)))
        } else {
            Err(ControlsError::Reserve(percent))
        }
    }

    /// In percent of one LP.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// In parts of [`FULL`].
    pub(crate) fn parts(self) -> u32 {
        self.0
    }
}

/// The most that each VP may use, above 0 and up to 100 % of one LP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cap(u32);

impl Cap {
    /// A cap in percent of one LP.
    ///
    /// # Errors
    /// [`ControlsError::Cap`] outside 0.001 to 100.
    pub fn from_percent(percent: f64) -> Result<Cap, ControlsError> {
        let parts = milli_percent(percent);
        if percent <= 100.0 && parts > 0 {
            Ok(Cap(parts))
        } else {
            Err(ControlsError::Cap(percent))
        }
    }

    /// In percent of one LP.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// In parts of [`FULL`].
    pub(crate) fn parts(self) -> u32 {
        self.0
    }
}

impl Default for Cap {
    fn default() -> Cap {
        Cap(FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_accepts_its_range_and_nothing_else() {
        assert_eq!(Weight::new(1).map(Weight::get), Ok(1));
        assert_eq!(Weight::new(10_000).map(Weight::get), Ok(10_000));
        assert_eq!(Weight::new(0), Err(ControlsError::Weight(0)));
        assert_eq!(Weight::new(10_001), Err(ControlsError::Weight(10_001)));
        assert_eq!(Weight::new(-1), Err(ControlsError::Weight(-1)));
    }

    #[test]
    fn defaults_are_those_of_hyper_v() {
        let controls = Controls::default();
        assert_eq!(controls.weight.get(), 100);
        assert_eq!(controls.reserve.percent(), 0.0);
        assert_eq!(controls.cap.percent(), 100.0);
    }

    #[test]
    fn reserve_and_cap_have_a_resolution_of_a_thousandth_percent() {
        assert_eq!(Reserve::from_percent(12.3456).unwrap().percent(), 12.346);
        assert_eq!(Cap::from_percent(0.001).unwrap().percent(), 0.001);
        assert!(Cap::from_percent(0.0).is_err());
        assert!(Cap::from_percent(0.0004).is_err());
        assert!(Cap::from_percent(100.5).is_err());
        assert!(Cap::from_percent(f64::NAN).is_err());
        assert!(Reserve::from_percent(-0.1).is_err());
        assert!(Reserve::from_percent(f64::NAN).is_err());
    }

    #[test]
    fn a_cap_below_the_reserve_is_refused() {
        let reserve = Reserve::from_percent(50.0).unwrap();
        let cap = Cap::from_percent(25.0).unwrap();
        assert!(matches!(
            Controls::new(Weight::default(), reserve, cap),
            Err(ControlsError::CapBelowReserve { .. })
        ));
    }
}
