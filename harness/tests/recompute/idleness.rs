//! For how long LPs idled although somebody who waited could have run.

use serde_json::Value;

/// Compares what the manifest says of a run's intervals, ns. Returns the sum of those that last.
pub(crate) fn compare(entry: &Value, intervals: &[f64], overshoot: f64) -> f64 {
    let told = |key: &str| entry[key].as_f64().unwrap();
    let grace = told("grace_ns");
    assert!((grace - 200_000.0 - overshoot).abs() <= 0.5, "{entry}");
    let lasting: f64 = intervals.iter().filter(|it| **it > grace).sum();
    let rest = intervals.iter().sum::<f64>() - lasting;
    assert!(
        (told("lasting_ns") - lasting).abs() <= 1.0,
        "{lasting}: {entry}"
    );
    assert!(
        (told("under_way_ns") - rest).abs() <= 1.0,
        "{rest}: {entry}"
    );
    if let Some(verdict) = entry["verdict"].as_str() {
        let fails = lasting > told("bound_ns");
        assert_eq!(verdict, if fails { "fail" } else { "pass" });
    }
    lasting
}

/// How long one LP at least counted, two at least, and so on, each time; with how many do from a time on.
pub(crate) fn intervals(counts: impl Iterator<Item = (f64, usize)>) -> Vec<f64> {
    let counts: Vec<(f64, usize)> = counts.collect();
    let most = counts.iter().map(|it| it.1).max().unwrap_or(0);
    let mut intervals = Vec::new();
    for level in 1..=most {
        let mut begun = None;
        for &(at, count) in &counts {
            match (begun, count >= level) {
                (None, true) => begun = Some(at),
                (Some(from), false) => {
                    intervals.push(at - from);
                    begun = None;
                }
                _ => {}
            }
        }
    }
    intervals
}
