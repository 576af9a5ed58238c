//! The tables of what an experiment should show.
//!
//! Writing to a String cannot fail.

use crate::predict::{Prediction, share_pct};
use apportion_scheduler::{Controls, Nanos, WeightScope};
use apportion_workloads::predict::{Forecast, GuestForecast, Reading};
use apportion_workloads::{Guest, Setting};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use std::fmt::Write as _;

/// Of an entry with more guests than these, all alike, one row speaks for all.
const EACH: usize = 4;

/// Shares that differ by less look the same.
const VISIBLE_PP: f64 = 0.005;

/// What reserves may take of each LP, in percent.
const PROMISED_PCT: f64 = 99.0;

/// One experiment: a table per phase, then what was assumed.
pub(crate) fn prediction(prediction: &Prediction, by_vp: bool) -> String {
    let experiment = &prediction.experiment;
    let own = Reading::of(experiment);
    let mut text = format!(
        "{}{}: {}, reserves {}, weights per {}",
        experiment.name,
        settings(&experiment.settings),
        lps(prediction.lps),
        own.reserve_model.name(),
        match own.weight_scope {
            WeightScope::Vp => "VP",
            WeightScope::Guest => "guest",
        }
    );
    for (index, phase) in prediction.phases.iter().enumerate() {
        if prediction.phases.len() > 1 {
            let _ = write!(
                text,
                "\n\nphase {}: {} to {}, {} on line",
                index + 1,
                if phase.from == Nanos::ZERO {
                    "0s".to_owned()
                } else {
                    phase.from.to_string()
                },
                phase.until,
                lps(phase.lps)
            );
        }
        let sheet = Sheet {
            guests: &experiment.guests,
            phase,
            own,
            by_vp,
        };
        let _ = write!(text, "\n\n{}\n\n", sheet.table());
        text.push_str(&sheet.lines());
    }
    affinities(&mut text, &experiment.guests);
    by_hand(&mut text, &experiment.guests);
    for (who, assumption) in assumptions(prediction) {
        let _ = write!(text, "\nassumed     {who}: {assumption}");
    }
    text
}

/// What options made of the file.
fn settings(settings: &[Setting]) -> String {
    let settings: Vec<String> = settings.iter().map(Setting::to_string).collect();
    match settings.is_empty() {
        true => String::new(),
        false => format!(" with {}", settings.join(", ")),
    }
}

fn lps(number: u32) -> String {
    match number {
        1 => "1 LP".to_owned(),
        _ => format!("{number} LPs"),
    }
}

/// One phase.
struct Sheet<'a> {
    guests: &'a [Guest],
    phase: &'a Forecast,
    own: Reading,
    by_vp: bool,
}

/// Guests that share a row.
struct Line<'a> {
    name: String,
    guests: &'a [GuestForecast],
    /// A row for all guests of an entry: of what they have in common it says nothing.
    sum: bool,
}

/// Which columns say anything.
struct Columns {
    reserve: bool,
    cap: bool,
    wants: bool,
}

impl Sheet<'_> {
    fn table(&self) -> String {
        let guests = &self.phase.guests;
        let columns = Columns {
            reserve: guests
                .iter()
                .any(|guest| guest.controls.reserve > Controls::default().reserve),
            cap: guests
                .iter()
                .any(|guest| guest.controls.cap < Controls::default().cap),
            wants: guests.iter().any(|guest| !guest.demand.is_endless()),
        };
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(self.header(&columns));
        for line in self.lines_of_table() {
            table.add_row(self.row(&line, &columns));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }

    fn header(&self, columns: &Columns) -> Vec<String> {
        let mut header: Vec<String> = ["guest", "VPs", "weight", "claim"]
            .map(str::to_owned)
            .into();
        let optional = [
            (columns.reserve, "reserve"),
            (columns.cap, "cap"),
            (columns.wants, "wants"),
        ];
        header.extend(
            optional
                .into_iter()
                .filter(|(there, _)| *there)
                .map(|(_, name)| name.to_owned()),
        );
        header.push("LPs".to_owned());
        for reading in Reading::ALL {
            let mark = if reading == self.own { " *" } else { "" };
            let (model, scope) = (reading.reserve_model.name(), reading.weight_scope.name());
            header.push(format!("{model}\n{scope}{mark}"));
        }
        header.push(String::new());
        header
    }

    /// The guests of an entry each, or all in one row where they are many and alike; then their sum.
    fn lines_of_table(&self) -> Vec<Line<'_>> {
        let mut first = 0;
        let mut lines = Vec::new();
        for entry in self.guests.chunk_by(|a, b| a.group == b.group) {
            let forecasts = &self.phase.guests[first..first + entry.len()];
            first += entry.len();
            let alike = forecasts.windows(2).all(|pair| pair[0] == pair[1]);
            if alike && entry.len() > EACH {
                lines.push(Line {
                    name: format!("{}-1 to -{}, each", entry[0].group, entry.len()),
                    guests: &forecasts[..1],
                    sum: false,
                });
            } else {
                for (guest, forecast) in entry.iter().zip(forecasts.chunks(1)) {
                    lines.push(Line {
                        name: guest.name.clone(),
                        guests: forecast,
                        sum: false,
                    });
                }
            }
            if entry.len() > 1 && !self.by_vp {
                lines.push(Line {
                    name: format!("{}, all {}", entry[0].group, entry.len()),
                    guests: forecasts,
                    sum: true,
                });
            }
        }
        lines
    }

    fn row(&self, line: &Line<'_>, columns: &Columns) -> Vec<String> {
        let first = &line.guests[0];
        let of_one = |text: String| if line.sum { String::new() } else { text };
        let vps: u32 = line.guests.iter().map(|guest| guest.vps).sum();
        let claim: u64 = line
            .guests
            .iter()
            .map(|guest| guest.claim(self.own.weight_scope))
            .sum();
        let mut row = vec![
            line.name.clone(),
            vps.to_string(),
            of_one(first.controls.weight.get().to_string()),
            claim.to_string(),
        ];
        if columns.reserve {
            row.push(of_one(first.controls.reserve.percent().to_string()));
        }
        if columns.cap {
            row.push(of_one(first.controls.cap.percent().to_string()));
        }
        if columns.wants {
            let wants = match first.demand.part {
                1.0 => "all".to_owned(),
                part => format!("{:.1}", 100.0 * part),
            };
            row.push(of_one(wants));
        }
        let received = |index: usize| -> f64 {
            line.guests
                .iter()
                .map(|guest| guest.received()[index])
                .sum()
        };
        row.push(format!("{:.3}", received(self.own_index())));
        let shares = self.shares(line);
        row.extend(shares.map(|share| format!("{share:.2}")));
        row.push(if gap(shares) < VISIBLE_PP { "" } else { "≠" }.to_owned());
        row
    }

    fn own_index(&self) -> usize {
        let own = Reading::ALL.iter().position(|reading| *reading == self.own);
        own.unwrap_or_default()
    }

    /// In percent: of the LPs, or of one LP for each VP.
    fn shares(&self, line: &Line<'_>) -> [f64; 4] {
        if self.by_vp {
            return line.guests[0].parts.map(|part| 100.0 * part);
        }
        let mut sums = [0.0; 4];
        for guest in line.guests {
            for (sum, lps) in sums.iter_mut().zip(guest.received()) {
                *sum += share_pct(lps, self.phase.lps);
            }
        }
        sums
    }

    /// What is to be said below the table.
    fn lines(&self) -> String {
        let phase = self.phase;
        let mut text = match self.by_vp {
            true => "shares      of each VP in % of one LP".to_owned(),
            false => format!("shares      in % of {}", lps(phase.lps)),
        };
        let _ = write!(
            text,
            "; *: as this experiment reads its controls\nreadings    {}",
            self.readings()
        );
        let claims: u64 = phase
            .guests
            .iter()
            .map(|guest| guest.claim(self.own.weight_scope))
            .sum();
        let _ = match self.own.weight_scope {
            WeightScope::Vp => write!(text, "\nclaims      weight x VPs, {claims} together"),
            WeightScope::Guest => write!(
                text,
                "\nclaims      weight, whatever the VPs; {claims} together"
            ),
        };
        let (usable, there) = (phase.usable(), f64::from(phase.lps));
        let own = self.own_index();
        let short = |guest: &GuestForecast| guest.parts[own] < guest.upper() - VISIBLE_PP / 100.0;
        let _ = write!(text, "\ndemand      {usable:.2} of {}: ", lps(phase.lps));
        text.push_str(if phase.guests.iter().any(short) {
            "contended"
        } else {
            "everybody gets all it wants"
        });
        let reserved = 100.0 * phase.reserved();
        if reserved > 0.0 {
            let most = PROMISED_PCT * there;
            let _ = match reserved > most {
                false => write!(
                    text,
                    "\nreserves    {reserved:.1} of the {most:.0} % of an LP that can be promised"
                ),
                true => write!(
                    text,
                    "\nreserves    {reserved:.1} % of an LP where {most:.0} % can be promised: refused, or \
                     scaled down by force"
                ),
            };
        }
        text
    }

    /// Where the readings differ, and by how much.
    fn readings(&self) -> String {
        let lines: Vec<Line<'_>> = self
            .lines_of_table()
            .into_iter()
            .filter(|line| !line.sum)
            .collect();
        let widest = lines
            .iter()
            .map(|line| (gap(self.shares(line)), &line.name));
        match widest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((gap, name)) if gap >= VISIBLE_PP => {
                format!("differ where there is a ≠, most for {name}: by {gap:.2} points")
            }
            _ => "all four agree".to_owned(),
        }
    }
}

/// How far the readings are apart.
fn gap(shares: [f64; 4]) -> f64 {
    shares.into_iter().fold(f64::MIN, f64::max) - shares.into_iter().fold(f64::MAX, f64::min)
}

/// Per entry with an affinity its LPs.
fn affinities(text: &mut String, guests: &[Guest]) {
    for entry in guests.chunk_by(|a, b| a.group == b.group) {
        if let Some(lps) = &entry[0].affinity {
            let lps: Vec<String> = lps.iter().map(u32::to_string).collect();
            let _ = write!(
                text,
                "\naffinity    {}: LPs {}",
                entry[0].group,
                lps.join(", ")
            );
        }
    }
}

/// Per entry whose share the file says, what a run holds it against.
fn by_hand(text: &mut String, guests: &[Guest]) {
    for entry in guests.chunk_by(|a, b| a.group == b.group) {
        if let Some(share) = entry[0].expected {
            let group = &entry[0].group;
            let _ = write!(
                text,
                "\nexpected    {group}: {share} % over the whole run, by its file"
            );
        }
    }
}

/// What was assumed of whom, each assumption once.
fn assumptions(prediction: &Prediction) -> Vec<(String, &'static str)> {
    let mut assumed: Vec<(Vec<&str>, &'static str)> = Vec::new();
    let Some(phase) = prediction.phases.first() else {
        return Vec::new();
    };
    for (guest, forecast) in prediction.experiment.guests.iter().zip(&phase.guests) {
        let Some(assumption) = forecast.demand.basis.assumption() else {
            continue;
        };
        match assumed.iter_mut().find(|(_, known)| *known == assumption) {
            Some((who, _)) if who.last() == Some(&guest.group.as_str()) => {}
            Some((who, _)) => who.push(&guest.group),
            None => assumed.push((vec![&guest.group], assumption)),
        }
    }
    let named = assumed.into_iter();
    named
        .map(|(who, assumption)| (who.join(", "), assumption))
        .collect()
}
