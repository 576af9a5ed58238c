//! What an experiment claims besides shares, and whether it held.

use crate::rows::Verdict;
use crate::units::time;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A row of `claims.csv`: something that had to hold of an experiment, over all repetitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaimRow {
    /// The experiment's name.
    pub experiment: String,
    /// Which claim of its text, from 1.
    pub claim: u32,
    /// The guest or entry that it names.
    pub guest: String,
    /// What was looked at.
    pub measure: String,
    /// What figures are counted in: `%`, `per_s`, `ns`, `ratio`.
    pub unit: String,
    /// The experiment that it was compared with; empty for a threshold.
    pub of: Option<String>,
    /// The least that it may be: a figure, or a factor of the other experiment's.
    pub at_least: Option<f64>,
    /// The most.
    pub at_most: Option<f64>,
    /// How many repetitions gave a figure.
    pub repetitions: u32,
    /// The figure: its median over repetitions.
    pub value: Option<f64>,
    /// Its least.
    pub value_min: Option<f64>,
    /// Its greatest.
    pub value_max: Option<f64>,
    /// The median of the other experiment's.
    pub of_value: Option<f64>,
    /// The median of the quotients of repetitions that went together.
    pub factor: Option<f64>,
    /// Their least.
    pub factor_min: Option<f64>,
    /// Their greatest.
    pub factor_max: Option<f64>,
    /// Whether it held.
    pub verdict: Verdict,
}

impl fmt::Display for ClaimRow {
    /// In a line: what it came to, and what it had to be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.experiment, self.measure, self.guest)?;
        let figure = |value: f64| self.figure(value);
        let factor = |value: f64| format!("{value:.3}");
        match (&self.of, self.factor, self.value) {
            (Some(of), Some(quotient), Some(value)) => {
                let spread = self.spread(self.factor_min, self.factor_max, &factor);
                let bounds = self.bounds(&factor);
                let other = self.of_value.map_or_else(String::new, figure);
                let (quotient, value) = (factor(quotient), figure(value));
                write!(
                    f,
                    " is {quotient} x that of {of}{spread}, {bounds}: {value} against {other}"
                )
            }
            (None, _, Some(value)) => {
                let spread = self.spread(self.value_min, self.value_max, &figure);
                write!(f, " is {}{spread}, {}", figure(value), self.bounds(&figure))
            }
            (Some(of), ..) => write!(f, " against that of {of}: there is nothing to compare"),
            (None, ..) => write!(f, ": there is none"),
        }
    }
}

impl ClaimRow {
    fn figure(&self, value: f64) -> String {
        match self.unit.as_str() {
            "%" => format!("{value:.2} %"),
            "per_s" => format!("{value:.0}/s"),
            "ns" => time(value),
            _ => format!("{value:.2}"),
        }
    }

    fn bounds(&self, tell: &dyn Fn(f64) -> String) -> String {
        let least = self.at_least.map(|it| format!("at least {}", tell(it)));
        let most = self.at_most.map(|it| format!("at most {}", tell(it)));
        let bounds: Vec<String> = least.into_iter().chain(most).collect();
        bounds.join(", ")
    }

    fn spread(
        &self,
        least: Option<f64>,
        most: Option<f64>,
        tell: &dyn Fn(f64) -> String,
    ) -> String {
        match least.zip(most) {
            Some((least, most)) if self.repetitions > 1 => {
                format!(" ({} to {})", tell(least), tell(most))
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_with_what_it_had_to_be() {
        let threshold = ClaimRow {
            experiment: "probe".into(),
            guest: "probe".into(),
            measure: "lateness_p99".into(),
            unit: "ns".into(),
            at_most: Some(8e6),
            repetitions: 2,
            value: Some(6.5e6),
            value_min: Some(999.0),
            value_max: Some(2e9),
            ..ClaimRow::default()
        };
        assert_eq!(
            threshold.to_string(),
            "probe: lateness_p99 of probe is 6.500 ms (1.0 us to 2.000 s), at most 8.000 ms"
        );
        let factor = ClaimRow {
            of: Some("probe[x=0]".into()),
            at_least: Some(0.1),
            at_most: Some(0.7),
            of_value: Some(1.3e7),
            factor: Some(0.5),
            repetitions: 1,
            ..threshold.clone()
        };
        assert_eq!(
            factor.to_string(),
            "probe: lateness_p99 of probe is 0.500 x that of probe[x=0], at least 0.100, at most 0.700: 6.500 ms against 13.000 ms"
        );
        let none = ClaimRow {
            value: None,
            ..threshold
        };
        assert_eq!(
            none.to_string(),
            "probe: lateness_p99 of probe: there is none"
        );
    }
}
