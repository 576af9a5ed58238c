//! claims.csv against the text of the experiments, the manifest's runs and shares.csv.

use super::{Row, number};
use serde_json::Value;

pub(super) fn check(manifest: &Value, shares: &[Row], claims: &[Row]) {
    for claim in claims {
        let value = |of: &str, repetition: u64| figure(manifest, shares, claim, of, repetition);
        let experiments = manifest["experiments"].as_array().unwrap();
        let named = |it: &&Value| it["name"] == claim["experiment"].as_str();
        let experiment = experiments.iter().find(named).unwrap();
        let repetitions_planned = experiment["repetitions"].as_u64().unwrap() as usize;
        let repetitions = 1..=repetitions_planned as u64;
        let own: Vec<f64> = repetitions
            .clone()
            .filter_map(|it| value(&claim["experiment"], it))
            .collect();
        close(claim, "value", median(&own));
        assert_eq!(claim["repetitions"], own.len().to_string());
        let (judged, judged_of) = match claim["of"].as_str() {
            "" => (median(&own), own.len()),
            other => {
                let pairs =
                    repetitions.map(|it| (value(&claim["experiment"], it), value(other, it)));
                let factors: Vec<f64> = pairs
                    .filter_map(|(own, other)| Some(own? / other?))
                    .collect();
                close(claim, "factor", median(&factors));
                (median(&factors), factors.len())
            }
        };
        let bound = |column: &str| claim[column].parse::<f64>().ok();
        let verdict = match judged {
            None => "inconclusive",
            Some(it) if bound("at_least").is_some_and(|least| least - it > hair(least)) => "fail",
            Some(it) if bound("at_most").is_some_and(|most| it - most > hair(most)) => "fail",
            Some(_) if judged_of < repetitions_planned => "inconclusive",
            Some(_) => "pass",
        };
        assert_eq!(claim["verdict"], verdict, "{claim:?}");
    }
}

/// What is as close to a limit meets it.
fn hair(limit: f64) -> f64 {
    1e-9 * limit.abs().max(1.0)
}

fn close(claim: &Row, column: &str, value: Option<f64>) {
    match value {
        None => assert_eq!(claim[column], "", "{claim:?}"),
        Some(value) => {
            let told = number(claim, column);
            assert!(
                (told - value).abs() <= 1e-6 * value.abs(),
                "{column} {value}: {claim:?}"
            );
        }
    }
}

/// Of the guests of a name together; none where one of them has none.
fn figure(
    manifest: &Value,
    shares: &[Row],
    claim: &Row,
    experiment: &str,
    repetition: u64,
) -> Option<f64> {
    let of = |list: &str| -> Vec<Value> { manifest[list].as_array().unwrap().clone() };
    let run = of("runs")
        .into_iter()
        .find(|it| it["experiment"] == experiment && it["repetition"] == repetition)?;
    let planned = of("experiments")
        .into_iter()
        .find(|it| it["name"] == experiment)?;
    let guests = planned["guests"].as_array().unwrap().iter();
    let guests = guests.filter(|it| {
        it["name"] == claim["guest"].as_str() || it["group"] == claim["guest"].as_str()
    });
    let entry = |list: &str, guest: &Value| -> Option<Value> {
        let entries = run[list].as_array().unwrap().iter();
        entries
            .filter(|it| it["guest"] == guest["name"])
            .map(Value::clone)
            .next()
    };
    let seconds = (run["measured_until_ns"].as_f64()? - run["measured_from_ns"].as_f64()?) / 1e9;
    let each: Option<Vec<f64>> = guests
        .map(|guest| match claim["measure"].as_str() {
            "share" => {
                let row = shares.iter().find(|row| {
                    row["experiment"] == experiment
                        && row["repetition"] == repetition.to_string()
                        && row["scope"] == "guest"
                        && row["check"] == "share"
                        && row["window_ms"] == "0"
                        && guest["name"] == row["guest"].as_str()
                });
                Some(number(row?, "measured_pct"))
            }
            "work" => Some(entry("service", guest)?["work"].as_f64()? / seconds),
            "wait_per_dispatch" => entry("service", guest)?["wait_per_dispatch_ns"].as_f64(),
            "stretch" => entry("service", guest)?["stretch"].as_f64(),
            reported => {
                let entry = entry("results", guest)?;
                let names = ["", "_ns", "_per_s"].map(|unit| format!("{reported}{unit}"));
                let mut values = names.iter().map(|name| entry["values"][name].as_f64());
                values.find_map(|value| value)
            }
        })
        .collect();
    let sums = ["%", "per_s"].contains(&claim["unit"].as_str());
    each?
        .into_iter()
        .reduce(|a, b| if sums { a + b } else { a.max(b) })
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}
