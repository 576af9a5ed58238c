//! VPs that are free to go elsewhere beside bound ones: who could have run follows from the files, at every moment by
//! trying to place everybody.

use super::recompute::idleness::{compare, intervals};
use super::recompute::{Row, number, rows};
use super::{apportion, manifest, told};
use apportion_recording::Verdict;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Who waits or runs.
struct Place {
    allowed: BTreeSet<usize>,
    lp: usize,
    ready: f64,
    start: f64,
    end: f64,
}

/// Checks a recording of one run, no LP of which goes off line. Returns the sum that lasts, ns.
fn recomputed(dir: &Path) -> f64 {
    let text = fs::read_to_string(dir.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let (experiment, run) = (&manifest["experiments"][0], &manifest["runs"][0]);
    let lps = experiment["lps"].as_u64().unwrap() as usize;
    let allowed = |row: &Row| -> BTreeSet<usize> {
        let mut guests = experiment["guests"].as_array().unwrap().iter();
        let guest = guests.find(|it| it["name"] == row["guest"].as_str());
        match guest.unwrap()["affinity"].as_array() {
            Some(some) => some
                .iter()
                .map(|lp| lp.as_u64().unwrap() as usize)
                .collect(),
            None => (0..lps).collect(),
        }
    };
    let measured = ["measured_from_ns", "measured_until_ns"].map(|key| run[key].as_f64().unwrap());
    let (mut places, mut late) = (Vec::new(), Vec::new());
    for row in rows(dir, "dispatches.csv") {
        let place = Place {
            allowed: allowed(&row),
            lp: number(&row, "lp") as usize,
            ready: number(&row, "ready_ns"),
            start: number(&row, "start_ns"),
            end: number(&row, "end_ns"),
        };
        let whole = ["slice", "capped"].contains(&row["reason"].as_str());
        if whole && place.end >= measured[0] && place.end < measured[1] {
            let slice = experiment["slice_ns"].as_f64().unwrap();
            late.push((place.end - place.start - slice).max(0.0));
        }
        places.push(place);
    }
    let events = rows(dir, "events.csv");
    let idle = events.iter().filter(|row| row["kind"] == "idle");
    let idle: Vec<(usize, f64, f64)> = idle
        .map(|row| {
            let end = number(row, "t_ns");
            (number(row, "lp") as usize, end - number(row, "value"), end)
        })
        .collect();
    let mut times: Vec<f64> = places
        .iter()
        .flat_map(|it| [it.ready, it.start, it.end])
        .collect();
    times.extend(idle.iter().flat_map(|it| [it.1, it.2]).chain(measured));
    times.retain(|at| *at >= measured[0] && *at <= measured[1]);
    times.sort_by(f64::total_cmp);
    times.dedup();
    let counts = times.windows(2).map(|pair| {
        let middle = (pair[0] + pair[1]) / 2.0;
        let idle = idle.iter().filter(|it| it.1 < middle && middle < it.2);
        (
            pair[0],
            wasted(&places, &idle.map(|it| it.0).collect(), middle),
        )
    });
    let intervals = intervals(counts.chain([(measured[1], 0)]));
    late.sort_by(f64::total_cmp);
    let rank = 0.99 * (late.len().max(1) - 1) as f64;
    let at = |rank: f64| late.get(rank as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(rank.floor()), at(rank.ceil()));
    let overshoot = below + (above - below) * rank.fract();
    compare(&run["idleness"], &intervals, overshoot)
}

/// How many LPs that idle could have been used at a moment.
fn wasted(places: &[Place], idle: &BTreeSet<usize>, at: f64) -> usize {
    let running: Vec<&Place> = places
        .iter()
        .filter(|it| it.start <= at && at < it.end)
        .collect();
    let waiting: Vec<&Place> = places
        .iter()
        .filter(|it| it.ready <= at && at < it.start)
        .collect();
    // An LP on which somebody runs who may come to one of these is one of them.
    let with_moves = |mut free: BTreeSet<usize>| loop {
        let moving = running.iter().filter(|it| !it.allowed.is_disjoint(&free));
        let before = free.len();
        free.extend(moving.map(|it| it.lp).collect::<Vec<_>>());
        if free.len() == before {
            return free;
        }
    };
    let place = |lps: BTreeSet<usize>| {
        let free = with_moves(lps);
        let could_run = |it: &&&Place| !it.allowed.is_disjoint(&free);
        waiting.iter().filter(could_run).count()
    };
    let lps = idle
        .iter()
        .filter(|lp| place(BTreeSet::from([**lp])) > 0)
        .count();
    lps.min(place(idle.clone()))
}

/// When the crowd has left, each bound VP has an LP for itself, if the free one stays off.
const SQUATTER: &str = r#"
    schema = 1
    name = "squatter"
    why = "A free guest beside bound ones."
    lps = 4
    duration = "4s"
    slice = "10ms"
    [[guest]]
    name = "crowd"
    vps = 5
    [[guest]]
    name = "bound"
    vps = 2
    weight = 10
    reserve = 45
    affinity = [2, 3]
    [[guest]]
    name = "free"
    weight = 400
    [[change]]
    at = "1s"
    guest = "crowd"
    stop = true
"#;

/// Runs it under a policy; for how many seconds LPs idled although somebody could have run, and the verdict on that.
fn idled(text: &str, policy: &str) -> (f64, Option<Verdict>) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("squatter.toml"), text).unwrap();
    let run = ["run", "--engine", "simulator", "--out", "rec"];
    let policy = ["--policy", policy, "squatter.toml"];
    let output = apportion(dir.path(), &[&run[..], &policy].concat());
    let lasting = recomputed(&dir.path().join("rec"));
    let run = manifest(dir.path()).runs.remove(0);
    assert_eq!(run.idleness.bound_ns, 200_000_000);
    if run.idleness.verdict == Some(Verdict::Fail) {
        assert_eq!(run.verdict, Verdict::Fail);
        assert!(told(&output).contains("beside a VP that waited and could have run"));
    }
    (lasting / 1e9, run.idleness.verdict)
}

#[test]
fn idle_lps_that_a_move_would_have_filled_follow_from_the_files() {
    // The free one is moved off the LPs that bound VPs need, under any policy; only `fair` is judged.
    let (seconds, verdict) = idled(SQUATTER, "fair");
    assert!(seconds < 0.01, "{seconds}");
    assert_eq!(verdict, Some(Verdict::Pass));
    let (seconds, verdict) = idled(SQUATTER, "round-robin");
    assert!(seconds < 0.01, "{seconds}");
    assert_eq!(verdict, None);
    // Without the free one, bound VPs have an LP each.
    let (alone, _) = SQUATTER
        .split_once("    [[guest]]\n    name = \"free\"")
        .unwrap();
    let (seconds, verdict) = idled(alone, "fair");
    assert!(seconds < 0.01, "{seconds}");
    assert_eq!(verdict, Some(Verdict::Pass));
}
