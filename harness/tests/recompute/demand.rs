//! How guests fared that replay a trace, from their bursts and dispatches.

use super::run::{Run, quantile};
use super::sums::inside;
use super::{Row, number};
use serde_json::Value;
use std::collections::BTreeMap;

/// Compares the rows of demand.csv with what follows from bursts.csv; there is one for each guest that replays.
pub(super) fn check(run: &Run, experiment: &Value, bursts: &[Row], shares: &[Row], rows: &[Row]) {
    let (from, until) = run.measured;
    let guests = experiment["guests"].as_array().unwrap();
    let replaying = guests.iter().filter(|guest| !guest["replays"].is_null());
    let wanted = if from < until { replaying.count() } else { 0 };
    assert_eq!(rows.len(), wanted);
    for row in rows {
        let name = row["guest"].as_str();
        let guest = guests.iter().find(|it| it["name"] == name).unwrap();
        assert_eq!(guest["replays"]["vm"], row["vm"].as_str());
        assert_eq!(
            guest["replays"]["demand_ns"].as_f64().unwrap(),
            number(row, "trace_ns")
        );
        // Of a run that was not cut short all that is demanded falls due.
        if until - from == experiment["duration_ns"].as_f64().unwrap() {
            assert_eq!(number(row, "due_ns"), number(row, "trace_ns"), "{name}");
        }
        let mut vps: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for burst in bursts.iter().filter(|it| it["guest"] == name) {
            vps.entry(&burst["vp"]).or_default().push(burst);
        }
        let (mut count, mut due, mut unfinished, mut too_late) = (0.0, 0.0, 0.0, 0.0);
        let (mut before, mut after, mut received) = (0.0, 0.0, 0.0);
        let mut stretches = Vec::new();
        for number_of_vp in 0..guest["vps"].as_u64().unwrap() {
            let key = number_of_vp.to_string();
            let of_vp = vps.remove(key.as_str()).unwrap_or_default();
            let run_until = |end: f64| -> f64 {
                let due = of_vp.iter().filter(|it| number(it, "due_ns") < end);
                due.map(|it| number(it, "run_ns")).sum()
            };
            let charged = |window: (f64, f64)| -> f64 {
                let of = |vp: usize| {
                    run.vps[vp].1 as u64 == number_of_vp && run.guests[run.vps[vp].0] == name
                };
                let dispatches = run.dispatches.iter().filter(|it| of(it.vp));
                dispatches
                    .map(|it| inside((it.start, it.end), window) * it.ran)
                    .sum()
            };
            let (early, during) = (charged((0.0, from)), charged((from, until)));
            received += during;
            before += (run_until(from) - early).max(0.0);
            after += (run_until(until) - early - during).max(0.0);
            due += run_until(until) - run_until(from);
            for burst in of_vp.iter().filter(|it| number(it, "due_ns") < until) {
                let left = until - number(burst, "due_ns");
                too_late += (number(burst, "run_ns") - left).max(0.0);
            }
            let done = |it: &Row| it["done_ns"].parse::<f64>().ok();
            let last = of_vp
                .iter()
                .filter(|it| done(it).is_some())
                .map(|it| number(it, "due_ns"));
            let last = last.fold(0.0, f64::max);
            for burst in &of_vp {
                let due = number(burst, "due_ns");
                if due < from || due >= until {
                    continue;
                }
                count += 1.0;
                if done(burst).is_none() && due < last {
                    continue;
                }
                let end = done(burst).unwrap_or(f64::INFINITY);
                unfinished += f64::from(end > until);
                stretches.push((end.min(until) - due) / number(burst, "run_ns"));
            }
        }
        assert!(vps.is_empty(), "bursts of VPs that {name} has not");
        let near = |column: &str, ours: f64| {
            let theirs = number(row, column);
            assert!(
                (theirs - ours).abs() <= 1.0 + 1e-6 * ours,
                "{column} of {name}: {theirs}, {ours}"
            );
        };
        near("bursts", count);
        near("due_ns", due);
        near("received_ns", received);
        near("backlog_before_ns", before);
        near("backlog_ns", after);
        near("unfinished", unfinished);
        if stretches.is_empty() {
            assert_eq!(row["stretch_p50"], "");
        } else {
            near("stretch_p50", quantile(&mut stretches, 0.5));
            near("stretch_p95", quantile(&mut stretches, 0.95));
        }
        let starved = received < 0.98 * (before + due) && after > too_late;
        let whole = shares.iter().find(|it| {
            it["guest"] == name
                && it["scope"] == "guest"
                && it["check"] == "share"
                && it["window_ms"] == "0"
        });
        let whole = whole.unwrap();
        let fared = match starved {
            false => "met",
            true if whole["verdict"] == "fail" && number(whole, "error_pp") < 0.0 => "short",
            true => "beyond-due",
        };
        assert_eq!(row["fared"], fared, "{name}");
    }
}
