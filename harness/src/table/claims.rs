//! What experiments claim besides shares, a line each.

use super::{mark, time};
use apportion_recording::ClaimRow;

/// One line per claim; `None` where nothing is claimed.
pub(crate) fn claims(rows: &[ClaimRow]) -> Option<String> {
    let mut text = String::from("\nclaims:");
    for row in rows {
        text.push_str(&format!("\n{} {}", mark(row.verdict), line(row)));
    }
    (!rows.is_empty()).then_some(text)
}

fn line(row: &ClaimRow) -> String {
    let figure = |value: f64| match row.unit.as_str() {
        "%" => format!("{value:.2} %"),
        "per_s" => format!("{value:.0}/s"),
        "ns" => time(value),
        _ => format!("{value:.2}"),
    };
    let factor = |value: f64| format!("{value:.3}");
    let subject = format!("{}: {} of {}", row.experiment, row.measure, row.guest);
    let bound = |of: &dyn Fn(f64) -> String| {
        let least = row.at_least.map(|it| format!("at least {}", of(it)));
        let most = row.at_most.map(|it| format!("at most {}", of(it)));
        let bounds: Vec<String> = least.into_iter().chain(most).collect();
        bounds.join(", ")
    };
    let spread =
        |least: Option<f64>, most: Option<f64>, of: &dyn Fn(f64) -> String| match least.zip(most) {
            Some((least, most)) if row.repetitions > 1 => {
                format!(" ({} to {})", of(least), of(most))
            }
            _ => String::new(),
        };
    match (&row.of, row.factor, row.value) {
        (Some(of), Some(quotient), Some(value)) => {
            let other = row.of_value.map(figure).unwrap_or_default();
            let spread = spread(row.factor_min, row.factor_max, &factor);
            format!(
                "{subject} is {} x that of {of}{spread}, {}: {} against {other}",
                factor(quotient),
                bound(&factor),
                figure(value)
            )
        }
        (None, _, Some(value)) => {
            let spread = spread(row.value_min, row.value_max, &figure);
            format!("{subject} is {}{spread}, {}", figure(value), bound(&figure))
        }
        (Some(of), ..) => format!("{subject} against that of {of}: there is nothing to compare"),
        (None, ..) => format!("{subject}: there is none"),
    }
}
