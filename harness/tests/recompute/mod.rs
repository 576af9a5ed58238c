//! Recomputes shares.csv from the other files, by a path of its own: no code of the harness, no bins,
//! plain sums over the raw text of the CSV files.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Row = BTreeMap<String, String>;

/// What two computations may differ by, in percentage points.
const AGREEMENT: f64 = 0.01;

fn rows(dir: &Path, file: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(dir.join(file)).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

fn number(row: &Row, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

fn of<'a>(
    rows: &'a [Row],
    experiment: &'a str,
    repetition: &'a str,
) -> impl Iterator<Item = &'a Row> {
    rows.iter()
        .filter(move |row| row["experiment"] == experiment && row["repetition"] == repetition)
}

/// The part of `from..to` inside the window.
fn inside((from, to): (f64, f64), window: (f64, f64)) -> f64 {
    let overlap = (to.min(window.1) - from.max(window.0)).max(0.0);
    if to > from {
        overlap / (to - from)
    } else {
        0.0
    }
}

/// Weighted shares of `lps` LPs among `(weight, …)` of VPs that burn: whoever
/// would get more than a whole LP gets just that, and the rest is shared anew.
fn fair(lps: f64, weights: &[f64]) -> Vec<f64> {
    let mut whole = vec![false; weights.len()];
    loop {
        let left = lps - whole.iter().filter(|&&is| is).count() as f64;
        let sum: f64 = weights
            .iter()
            .zip(&whole)
            .filter(|(_, is)| !**is)
            .map(|(w, _)| w)
            .sum();
        let part = |vp: usize| left * weights[vp] / sum;
        match (0..weights.len()).find(|&vp| !whole[vp] && part(vp) > 1.0) {
            Some(vp) => whole[vp] = true,
            None => {
                return (0..weights.len())
                    .map(|vp| if whole[vp] { 1.0 } else { part(vp) })
                    .collect();
            }
        }
    }
}

/// When each VP of a run wanted to run: (guest, vp, weight, from, to).
fn wanting<'a>(experiment: &'a Value, events: &[&'a Row]) -> Vec<(&'a str, String, f64, f64, f64)> {
    let mut spans = Vec::new();
    for guest in experiment["guests"].as_array().unwrap() {
        let name = guest["name"].as_str().unwrap();
        for vp in 0..guest["vps"].as_u64().unwrap() {
            let vp = vp.to_string();
            let at = |kind: &str| {
                events
                    .iter()
                    .find(|e| e["kind"] == kind && e["guest"] == name && e["vp"] == vp)
                    .map(|e| number(e, "t_ns"))
            };
            let from = at("guest-start").unwrap();
            let to = at("vp-removed").unwrap_or(f64::INFINITY);
            spans.push((name, vp, guest["weight"].as_f64().unwrap(), from, to));
        }
    }
    spans
}

/// Compares every row of shares.csv; returns how many there are.
pub(crate) fn check(dir: &Path) -> usize {
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("manifest.json")).unwrap()).unwrap();
    let (dispatches, events) = (rows(dir, "dispatches.csv"), rows(dir, "events.csv"));
    let shares = rows(dir, "shares.csv");
    for share in &shares {
        let (name, repetition) = (&share["experiment"], &share["repetition"]);
        let number_of_run: u64 = repetition.parse().unwrap();
        let entry = |list: &str, key: &str| -> Value {
            let matches = |v: &&Value| {
                v[key] == name.as_str()
                    && v.get("repetition")
                        .is_none_or(|of_run| *of_run == number_of_run)
            };
            manifest[list]
                .as_array()
                .unwrap()
                .iter()
                .find(matches)
                .unwrap()
                .clone()
        };
        let (experiment, run) = (entry("experiments", "name"), entry("runs", "experiment"));
        let of_run: Vec<&Row> = of(&dispatches, name, repetition).collect();
        let events: Vec<&Row> = of(&events, name, repetition).collect();
        let measured = (
            run["measured_from_ns"].as_f64().unwrap(),
            run["measured_until_ns"].as_f64().unwrap(),
        );
        let window = match number(share, "window_ms") {
            0.0 => measured,
            ms => (
                number(share, "window_start_ns"),
                number(share, "window_start_ns") + ms * 1e6,
            ),
        };
        assert!(
            window.0 >= measured.0 && window.1 <= measured.1,
            "{share:?}"
        );
        let lps = experiment["lps"].as_f64().unwrap();
        let wall = (window.1 - window.0) * lps;
        let mine = |row: &Row| {
            row["guest"] == share["guest"]
                && (share["scope"] == "guest" || row["vp"] == share["vp"])
        };

        let (mut all, mut own, mut all_work, mut own_work) = (0.0, 0.0, 0.0, 0.0);
        for row in &of_run {
            let part = inside((number(row, "start_ns"), number(row, "end_ns")), window);
            let (ran, work) = (part * number(row, "ran_ns"), part * number(row, "work"));
            all += ran;
            all_work += work;
            if mine(row) {
                own += ran;
                own_work += work;
            }
        }
        for row in events.iter().filter(|row| row["kind"] == "idle") {
            let (to, span) = (number(row, "t_ns"), number(row, "value"));
            all += span * inside((to - span, to), window);
        }

        // Between any two changes of who wants to run, the formula's shares stand still.
        let spans = wanting(&experiment, &events);
        let mut borders: Vec<f64> = spans.iter().flat_map(|s| [s.3, s.4]).collect();
        borders.extend([window.0, window.1]);
        borders.sort_by(f64::total_cmp);
        let (mut promised, mut promised_to_all) = (0.0, 0.0);
        for pair in borders
            .windows(2)
            .filter(|p| p[0] >= window.0 && p[1] <= window.1)
        {
            let there: Vec<_> = spans
                .iter()
                .filter(|s| s.3 <= pair[0] && s.4 >= pair[1])
                .collect();
            let weights: Vec<f64> = there.iter().map(|s| s.2).collect();
            for (span, part) in there.iter().zip(fair(lps, &weights)) {
                promised_to_all += part * (pair[1] - pair[0]);
                if span.0 == share["guest"] && (share["scope"] == "guest" || span.1 == share["vp"])
                {
                    promised += part * (pair[1] - pair[0]);
                }
            }
        }

        // What the LPs lost is taken from everyone in proportion to the promise.
        let expected = 100.0 * promised * (1.0 - (wall - all) / promised_to_all) / all;

        let slice = experiment["slice_ns"].as_f64().unwrap();
        let mut late: Vec<f64> = of_run
            .iter()
            .filter(|row| row["reason"] == "slice")
            .map(|row| (number(row, "start_ns"), number(row, "end_ns")))
            .filter(|&(_, end)| end >= measured.0 && end < measured.1)
            .map(|(start, end)| (end - start - slice).max(0.0))
            .collect();
        late.sort_by(f64::total_cmp);
        let rank = 0.99 * (late.len().max(1) - 1) as f64;
        let at = |index: f64| late.get(index as usize).copied().unwrap_or(0.0);
        let j = at(rank.floor()) * (1.0 - rank.fract()) + at(rank.ceil()) * rank.fract();
        let vps = spans
            .iter()
            .filter(|s| s.0 == share["guest"] && (share["scope"] == "guest" || s.1 == share["vp"]));
        let b = if lps == 1.0 {
            slice + j
        } else {
            2.0 * (slice + j)
        };
        let bound = 100.0 * vps.count() as f64 * 2.0 * b / wall;

        for (column, value) in [
            ("expected_pct", expected),
            ("measured_pct", 100.0 * own / all),
            ("work_pct", 100.0 * own_work / all_work),
            ("capacity_pct", 100.0 * all / wall),
            ("error_pp", 100.0 * own / all - expected),
            ("bound_pp", bound),
        ] {
            let recorded = number(share, column);
            assert!(
                (recorded - value).abs() <= AGREEMENT,
                "{column}: recorded {recorded}, recomputed {value} in {share:?}"
            );
        }
    }
    shares.len()
}
