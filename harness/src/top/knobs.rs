//! The three controls as a person types them: the same ranges and words as in an experiment.

use apportion_scheduler::{Cap, Controls, Reserve, Weight};
use apportion_workloads::limits::{CAP, Limit, RESERVE, WEIGHT};
use std::fmt::Display;
use std::str::FromStr;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knob {
    Weight,
    Reserve,
    Cap,
}

impl Knob {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Knob::Weight => WEIGHT.key,
            Knob::Reserve => RESERVE.key,
            Knob::Cap => CAP.key,
        }
    }

    /// The range in words.
    pub(crate) fn allowed(self) -> &'static str {
        match self {
            Knob::Weight => WEIGHT.allowed,
            Knob::Reserve => RESERVE.allowed,
            Knob::Cap => CAP.allowed,
        }
    }

    /// As it is now.
    pub(crate) fn text(self, of: &Controls) -> String {
        match self {
            Knob::Weight => of.weight.get().to_string(),
            Knob::Reserve => of.reserve.percent().to_string(),
            Knob::Cap => of.cap.percent().to_string(),
        }
    }

    /// `of` with this one as typed, or what is wrong with it.
    pub(crate) fn set(self, of: Controls, text: &str) -> Result<Controls, String> {
        let told = |error: &dyn Display| error.to_string();
        let mut new = of;
        match self {
            Knob::Weight => {
                let weight = number(text, &WEIGHT)?;
                new.weight = Weight::new(weight).map_err(|error| told(&error))?;
            }
            Knob::Reserve => {
                let percent = number(text, &RESERVE)?;
                new.reserve = Reserve::from_percent(percent).map_err(|error| told(&error))?;
            }
            Knob::Cap => {
                let percent = number(text, &CAP)?;
                new.cap = Cap::from_percent(percent).map_err(|error| told(&error))?;
            }
        }
        Controls::new(new.weight, new.reserve, new.cap).map_err(|error| told(&error))
    }
}

fn number<T>(text: &str, limit: &Limit<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let digits = text.trim().trim_end_matches('%').trim_end();
    let number = digits
        .parse()
        .map_err(|_| format!("{} `{text}` is no number: use {}", limit.key, limit.allowed))?;
    limit.check(number).map_err(|error| error.to_string())
}

/// A weight that is a tenth more, or less, within its range; one more or less at the least.
pub(crate) fn a_tenth(weight: Weight, more: bool) -> Weight {
    let now = i64::from(weight.get());
    let step = (now / 10).max(1);
    let then = if more { now + step } else { now - step };
    let then = then.clamp(WEIGHT.lowest, WEIGHT.highest);
    Weight::new(then).unwrap_or(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_checked_as_in_an_experiment() {
        let of = Controls::default();
        assert_eq!(Knob::Weight.set(of, "500").unwrap().weight.get(), 500);
        assert_eq!(Knob::Cap.set(of, " 12.5 % ").unwrap().cap.percent(), 12.5);
        for (knob, text, wrong) in [
            (
                Knob::Weight,
                "0",
                "weight 0 is out of range: use a whole number",
            ),
            (
                Knob::Weight,
                "many",
                "weight `many` is no number: use a whole",
            ),
            (Knob::Weight, "", "weight `` is no number"),
            (Knob::Weight, "99999999999999999999", "is no number"),
            (
                Knob::Reserve,
                "101",
                "reserve 101 is out of range: use a perc",
            ),
            (Knob::Reserve, "nan", "reserve NaN is out of range"),
            (Knob::Cap, "0", "cap 0 is out of range"),
        ] {
            let told = knob.set(of, text).unwrap_err();
            assert!(told.contains(wrong), "{told}");
        }
        let reserved = Knob::Reserve.set(of, "50").unwrap();
        let told = Knob::Cap.set(reserved, "40").unwrap_err();
        assert!(told.contains("cap 40 % lies below reserve 50 %"), "{told}");
    }

    #[test]
    fn a_tenth_stays_in_range_and_always_moves() {
        let of = |weight| Weight::new(weight).unwrap();
        assert_eq!(a_tenth(of(100), true), of(110));
        assert_eq!(a_tenth(of(100), false), of(90));
        assert_eq!(a_tenth(of(5), true), of(6));
        assert_eq!(a_tenth(of(1), false), of(1));
        assert_eq!(a_tenth(of(9_999), true), of(10_000));
    }
}
