//! The columns of the table: what each says of a guest or a VP, and how it sorts.

use super::picture::{Line, Second};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    State,
    Vps,
    Weight,
    Reserve,
    Cap,
    Received,
    Share,
    Expected,
    Wait,
    Dispatches,
    Migrations,
    Intercepts,
    Hypercalls,
    LongSpins,
    Interrupts,
}

use Column::*;

impl Column {
    /// All, from left to right.
    pub(crate) const ALL: [Column; 16] = [
        Name, State, Vps, Weight, Reserve, Cap, Received, Share, Expected, Wait, Dispatches,
        Migrations, Intercepts, Hypercalls, LongSpins, Interrupts,
    ];

    /// Its head, and how wide it is; the name takes what is left.
    pub(crate) fn head(self) -> (&'static str, usize) {
        match self {
            Name => ("NAME", 0),
            State => ("STATE", 7),
            Vps => ("VPs", 3),
            Weight => ("WEIGHT", 6),
            Reserve => ("RESV%", 6),
            Cap => ("CAP%", 6),
            Received => ("RECV%", 6),
            Share => ("SHARE%", 6),
            Expected => ("EXP%", 6),
            Wait => ("WAIT us", 7),
            Dispatches => ("DISP/s", 6),
            Migrations => ("MIGR/s", 6),
            Intercepts => ("ICPT/s", 6),
            Hypercalls => ("HCALL/s", 7),
            LongSpins => ("SPIN/s", 6),
            Interrupts => ("INTR/s", 6),
        }
    }

    /// What it is, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Name => "name",
            State => "state",
            Vps => "number of VPs",
            Weight => "weight",
            Reserve => "reserve",
            Cap => "cap",
            Received => "received",
            Share => "share",
            Expected => "expected share",
            Wait => "wait per dispatch",
            Dispatches => "dispatches",
            Migrations => "migrations",
            Intercepts => "intercepts",
            Hypercalls => "hypercalls",
            LongSpins => "long spins",
            Interrupts => "interrupts",
        }
    }

    /// Whether it holds numbers, of which the largest come first.
    pub(crate) fn is_number(self) -> bool {
        !matches!(self, Name | State)
    }

    /// The number that it sorts by; names are as the experiment has them.
    pub(crate) fn key(self, line: &Line, second: Option<&Second>) -> f64 {
        match self {
            Name => 0.0,
            State => f64::from(line.state as u8),
            Vps => f64::from(line.vps),
            Weight => f64::from(line.controls.weight.get()),
            Reserve => line.controls.reserve.percent(),
            Cap => line.controls.cap.percent(),
            _ => second
                .and_then(|second| self.figure(line, second))
                .unwrap_or(-1.0),
        }
    }

    /// Its figure over the last second, where it has one that is known.
    fn figure(self, line: &Line, second: &Second) -> Option<f64> {
        let rate = |count| Some(Line::per_second(count, second));
        let counted = |rate| second.counted.then_some(rate);
        match self {
            Received => Some(line.received(second)),
            Share => Some(line.share(second)),
            Expected => line.expected(second),
            Wait => (line.sums.dispatches > 0.0).then(|| line.wait()),
            Dispatches => rate(line.sums.dispatches),
            Migrations => rate(line.sums.migrations),
            Intercepts => counted(line.sums.intercepts),
            Hypercalls => counted(line.sums.hypercalls),
            LongSpins => counted(line.sums.long_spins),
            Interrupts => counted(line.sums.interrupts),
            Name | State | Vps | Weight | Reserve | Cap => None,
        }
    }

    /// What it says.
    pub(crate) fn text(self, line: &Line, second: Option<&Second>) -> String {
        match self {
            Name => line.name.clone(),
            State => line.state.word().to_owned(),
            Vps => line.vps.to_string(),
            Weight => line.controls.weight.get().to_string(),
            Reserve => line.controls.reserve.percent().to_string(),
            Cap => line.controls.cap.percent().to_string(),
            _ => match second.and_then(|second| self.figure(line, second)) {
                None => "-".to_owned(),
                Some(figure) if matches!(self, Received | Share | Expected) => {
                    format!("{figure:.1}")
                }
                Some(figure) => count(figure),
            },
        }
    }
}

/// In at most six characters.
fn count(number: f64) -> String {
    match number {
        n if n < 0.05 => "0".to_owned(),
        n if n < 9.95 => format!("{n:.1}"),
        n if n < 99_999.5 => format!("{n:.0}"),
        n if n < 9_999_500.0 => format!("{:.0}k", n / 1e3),
        n => format!("{:.0}M", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_columns() {
        let told = [0.0, 0.04, 2.2, 9.96, 812.0, 99_999.0, 123_456.0, 12e6].map(count);
        assert_eq!(told, ["0", "0", "2.2", "10", "812", "99999", "123k", "12M"]);
    }
}
