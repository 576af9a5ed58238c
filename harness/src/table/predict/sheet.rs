//! The table of one phase: a row per guest, and one for all guests of an entry.

use crate::predict::share_pct;
use apportion_scheduler::Controls;
use apportion_workloads::Guest;
use apportion_workloads::predict::{Forecast, GuestForecast, Reading};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// Of an entry with more guests than these, all alike, one row speaks for all.
const EACH: usize = 4;

/// Shares that differ by less look the same.
pub(super) const VISIBLE_PP: f64 = 0.005;

/// One phase.
pub(super) struct Sheet<'a> {
    pub(super) guests: &'a [Guest],
    pub(super) phase: &'a Forecast,
    /// As the experiment reads its controls.
    pub(super) own: Reading,
    /// Shares of each VP, in % of one LP.
    pub(super) by_vp: bool,
}

/// Guests that share a row.
pub(super) struct Line<'a> {
    pub(super) name: String,
    pub(super) guests: &'a [GuestForecast],
    /// A row for all guests of an entry: of what they have in common it says nothing.
    pub(super) sum: bool,
}

/// Which columns say anything.
struct Columns {
    reserve: bool,
    cap: bool,
    wants: bool,
}

impl Sheet<'_> {
    pub(super) fn table(&self) -> String {
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
        for line in self.lines() {
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
    pub(super) fn lines(&self) -> Vec<Line<'_>> {
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
        let lps = line.guests.iter().map(|guest| guest.received(self.own));
        row.push(format!("{:.3}", lps.sum::<f64>()));
        let shares = self.shares(line);
        row.extend(shares.map(|share| format!("{share:.2}")));
        row.push(if gap(shares) < VISIBLE_PP { "" } else { "≠" }.to_owned());
        row
    }

    /// In percent: of the LPs, or of one LP for each VP.
    pub(super) fn shares(&self, line: &Line<'_>) -> [f64; 4] {
        if self.by_vp {
            return Reading::ALL.map(|reading| 100.0 * line.guests[0].part(reading));
        }
        Reading::ALL.map(|reading| {
            let lps = line.guests.iter().map(|guest| guest.received(reading));
            share_pct(lps.sum(), self.phase.lps)
        })
    }
}

/// How far the readings are apart.
pub(super) fn gap(shares: [f64; 4]) -> f64 {
    shares.into_iter().fold(f64::MIN, f64::max) - shares.into_iter().fold(f64::MAX, f64::min)
}
