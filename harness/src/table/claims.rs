//! What experiments claim besides shares, a line each.

use super::mark;
use super::run::COLUMNS;
use apportion_recording::ClaimRow;

/// One line per claim, or more where it is long; `None` where nothing is claimed.
pub(crate) fn claims(rows: &[ClaimRow]) -> Option<String> {
    let mut text = String::from("\nclaims:");
    for row in rows {
        let mut width = COLUMNS;
        for (index, word) in format!("{} {row}", mark(row.verdict))
            .split(' ')
            .enumerate()
        {
            let more = word.chars().count() + 1;
            if index == 0 || width + more > COLUMNS {
                text.push_str(if index == 0 { "\n" } else { "\n " });
                width = usize::from(index > 0);
            }
            if index > 0 {
                text.push(' ');
            }
            text.push_str(word);
            width += more;
        }
    }
    (!rows.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_claim_goes_on_below_what_it_says() {
        let row = ClaimRow {
            experiment: "an-experiment-with-a-rather-long-name".to_owned(),
            measure: "wait_per_dispatch".to_owned(),
            guest: "somebody-who-waits".to_owned(),
            unit: "ratio".to_owned(),
            of: Some(
                "an-experiment-with-a-rather-long-name[guest.somebody-else.count=0]".to_owned(),
            ),
            at_most: Some(0.5),
            repetitions: 1,
            value: Some(1.0),
            of_value: Some(4.0),
            factor: Some(0.25),
            ..ClaimRow::default()
        };
        let text = claims(&[row.clone(), row]).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 6);
        assert!(
            lines.iter().all(|line| line.chars().count() <= COLUMNS),
            "{text}"
        );
        assert!(lines[0].starts_with("- an-experiment") && lines[3].starts_with("- an-experiment"));
        assert!(
            lines[1].starts_with("  ") && !lines[1].starts_with("   "),
            "{text}"
        );
    }
}
