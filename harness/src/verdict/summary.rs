//! Over all repetitions: the rows of summary.csv.

use super::{Row, guest_shares, of_guest};
use crate::plan::Planned;
use crate::statistics::{ci95, mean};
use apportion_recording::{ShareRow, SummaryRow};
use std::collections::HashMap;

/// One row per guest of `planned` over all its repetitions; `rows` are its rows of scope guest.
pub(crate) fn summarise(planned: &Planned, rows: &[Row]) -> Vec<SummaryRow> {
    let mut rows_of: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in rows {
        rows_of.entry(&row.share.guest).or_default().push(row);
    }
    planned
        .spec
        .guests
        .iter()
        .filter_map(|guest| {
            let rows = rows_of.get(guest.name.as_str())?;
            let rows = || rows.iter().copied();
            let shares: Vec<&ShareRow> = guest_shares(rows()).collect();
            let first = *shares.first()?;
            let column =
                |of: fn(&ShareRow) -> f64| shares.iter().map(|row| of(row)).collect::<Vec<_>>();
            let measured = column(|row| row.measured_pct);
            let interval = ci95(&measured);
            let worst_error_pp = column(|row| row.error_pp)
                .into_iter()
                .max_by(|a, b| a.abs().total_cmp(&b.abs()))
                .unwrap_or_default();
            Some(SummaryRow {
                experiment: first.experiment.clone(),
                engine: first.engine.clone(),
                policy: first.policy.clone(),
                guest: guest.name.clone(),
                weight: first.weight,
                vps: guest.vps,
                repetitions: shares.len() as u32,
                expected_pct: mean(&column(|row| row.expected_pct)),
                measured_pct: mean(&measured),
                ci95_low_pct: interval.map(|(low, _)| low),
                ci95_high_pct: interval.map(|(_, high)| high),
                work_pct: mean(&column(|row| row.work_pct)),
                worst_error_pp,
                tolerance_pp: first.tolerance_pp,
                verdict: of_guest(rows(), &guest.name),
            })
        })
        .collect()
}
