//! One experiment: how large the error is over short windows.

use super::Chapter;
use crate::markdown::{Table, number, signed, time};
use crate::metrics::WindowLine;
use std::fmt::Write as _;

impl Chapter<'_> {
    /// Caps and reserves, all window lengths.
    pub(super) fn limit_windows(&self) -> String {
        let mut table = Table::new()
            .numbers("window")
            .words("guest")
            .words("VP")
            .words("check")
            .numbers("windows")
            .numbers("at most pp")
            .numbers("bound pp")
            .numbers("outside bound %");
        for line in &self.metrics.limit_windows {
            let of = &line.windows;
            if of.vp.is_some() && !self.has_smp() {
                continue;
            }
            table.row([
                time(of.window_ms as f64 * 1e6),
                of.guest.clone().unwrap_or_default(),
                of.vp.map_or("all".to_owned(), |vp| vp.to_string()),
                line.check.clone(),
                of.windows.to_string(),
                signed(of.max_pp, 3),
                span([of.bound_pp.0, of.bound_pp.1].into_iter(), 3),
                number(of.outside_pct, 2),
            ]);
        }
        table.render()
    }

    /// A table per window length.
    pub(super) fn windows(&self) -> String {
        let lines: Vec<&WindowLine> = self
            .metrics
            .windows
            .iter()
            .filter(|line| line.vp.is_none() || self.has_smp())
            .collect();
        let mut lengths: Vec<u64> = lines.iter().map(|line| line.window_ms).collect();
        lengths.dedup();

        let mut text = String::from("### Windows: size of the error\n");
        for length in lengths {
            let mut table = Table::new().words("guest");
            if self.has_smp() {
                table = table.words("VP");
            }
            table = table
                .numbers("windows")
                .numbers("median pp")
                .numbers("p95 pp")
                .numbers("max pp")
                .numbers("bound pp")
                .numbers("outside bound %");
            for line in lines.iter().filter(|line| line.window_ms == length) {
                let mut row = vec![
                    line.guest
                        .clone()
                        .unwrap_or_else(|| "**all guests**".to_owned()),
                ];
                if self.has_smp() {
                    row.push(line.vp.map_or("all".to_owned(), |vp| vp.to_string()));
                }
                row.extend([
                    line.windows.to_string(),
                    number(line.median_pp, 3),
                    number(line.p95_pp, 3),
                    number(line.max_pp, 3),
                    span([line.bound_pp.0, line.bound_pp.1].into_iter(), 3),
                    number(line.outside_pct, 2),
                ]);
                table.row(row);
            }
            let _ = write!(
                text,
                "\nWindows of {}:\n\n{}",
                time(length as f64 * 1e6),
                table.render()
            );
        }
        if !self.has_smp() {
            text.push_str(
                "\nEach guest has one VP, so the figures of its VP are those of the guest.\n",
            );
        }
        text
    }
}

/// One number, or the range where they differ in the digits shown.
pub(super) fn span(values: impl Iterator<Item = f64>, digits: usize) -> String {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value);
        high = high.max(value);
    }
    let (low, high) = (number(low, digits), number(high, digits));
    if low == high {
        low
    } else {
        format!("{low}–{high}")
    }
}
