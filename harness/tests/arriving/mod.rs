//! In virtual time: work that arrives for guests, drawn or from a trace, and what they are expected to do of it.

use crate::{manifest, recompute, simulate};
use apportion_recording::{DemandRow, Fared, files, read_rows};
use std::fs;
use tempfile::TempDir;

const BURSTS: &str = r#"
    schema = 1
    name = "bursts"
    why = "Work that arrives at random, also more than can be done, beside burners."
    lps = 2
    duration = "4s"
    warm_up = "500ms"
    tolerance_pp = 0.2
    [simulator]
    overhead = "50us"
    [[guest]]
    name = "busy"
    vps = 2
    [[guest]]
    name = "bursts"
    count = 4
    payload = "bursts"
    every = "50ms"
    run = "5ms"
    random = true
    [[guest]]
    name = "overrun"
    weight = 50
    payload = "bursts"
    every = "20ms"
    run = "12ms"
    [[guest]]
    name = "leaving"
    payload = "bursts"
    every = "30ms"
    run = "3ms"
    [[change]]
    at = "1s"
    guest = "leaving"
    stop = true
"#;

/// An error of 0.2 points is 16 ms of 8 s: what VPs are ahead or behind at both ends, 4 slices of 1 ms each at the most.
#[test]
fn who_does_what_arrives_is_expected_by_what_arrived() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("bursts.toml"), BURSTS).unwrap();
    let printed = simulate(dir.path(), &["bursts.toml"]);
    assert!(printed.contains("✓ pass"), "{printed}");
    let rec = dir.path().join("rec");
    assert!(recompute::check(&rec) > 100);
}

/// Two VMs of a trace on one LP, one of which alone would need it all, and a guest that burns.
const REPLAY: &str = r#"
    schema = 1
    name = "replayed"
    why = "Who gets what it demands?"
    lps = 1
    duration = "4s"
    warm_up = "500ms"
    tolerance_pp = 1.5
    [[guest]]
    name = "vm"
    count = 2
    payload = "replay"
    trace = "demand.csv"
    speed = 2
    overcommit = 0.95
    burst_length = "1ms"
    [[guest]]
    name = "other"
    weight = 200
    [[change]]
    at = "2s"
    guest = "other"
    weight = 100
"#;

const TRACE: &str = "# apportion-trace 1
vm,vps,weight,reserve_pct,cap_pct,from_s,interval_s,demand_lps,bursts
little,1,,,,0,3,0.05 0.15 0.05,
much,1,,,,0,3,0.9 0.3 0.9,
";

/// A thread that never sleeps and one that mostly does.
const HOG: &str = r#"{"tasks": {"hog": {"run": 1000}, "light": {"run": 20000, "sleep": 180000}}}"#;

#[test]
fn who_never_sleeps_in_a_trace_wants_an_lp_for_as_long_as_its_replay_lasts() {
    let dir = TempDir::new().unwrap();
    let text = r#"
        schema = 1
        name = "hog"
        why = "Does who never sleeps get what the others leave?"
        lps = 1
        duration = "2s"
        [[guest]]
        name = "thread"
        count = 2
        payload = "replay"
        trace = "hog.json"
    "#;
    fs::write(dir.path().join("hog.toml"), text).unwrap();
    fs::write(dir.path().join("hog.json"), HOG).unwrap();
    simulate(dir.path(), &["hog.toml"]);
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let rows: Vec<DemandRow> = read_rows(&rec, files::DEMAND).unwrap();
    let [hog, light] = &rows[..] else {
        panic!("{rows:?}")
    };
    assert_eq!((hog.trace_ns, hog.bursts), (2_000_000_000, 1));
    assert_eq!((light.trace_ns, light.fared), (200_000_000, Fared::Met));
    assert_eq!(hog.fared, Fared::BeyondDue);
    assert!(
        hog.received_ns.abs_diff(1_790_000_000) < 20_000_000,
        "{hog:?}"
    );
}

#[test]
fn what_is_replayed_follows_from_the_files() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("replayed.toml"), REPLAY).unwrap();
    fs::write(dir.path().join("demand.csv"), TRACE).unwrap();
    simulate(dir.path(), &["replayed.toml", "--repetitions", "2"]);
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let rows: Vec<DemandRow> = read_rows(&rec, files::DEMAND).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.vm.as_str(), row.fared))
        .collect();
    let (little, much) = (("little", Fared::Met), ("much", Fared::BeyondDue));
    assert_eq!(told, [little, much, little, much]);
    for row in &rows {
        assert_eq!(row.due_ns, row.trace_ns, "{row:?}");
        // What was due is received or left over.
        let (wanted, got) = (
            row.backlog_before_ns + row.due_ns,
            row.received_ns + row.backlog_ns,
        );
        assert!(wanted.abs_diff(got) < 10, "{row:?}");
    }
    let all = rows[0].trace_ns + rows[1].trace_ns;
    assert!(all.abs_diff(3_800_000_000) < 10, "0.95 of 4 s: {all}");
    // Every repetition has the same demand.
    assert_eq!(
        (rows[0].due_ns, rows[0].bursts),
        (rows[2].due_ns, rows[2].bursts)
    );
    let experiment = &manifest(dir.path()).experiments[0];
    let [replay] = &experiment.replays[..] else {
        panic!("{:?}", experiment.replays);
    };
    assert_eq!(
        (replay.trace.as_str(), replay.format.as_str()),
        ("demand.csv", "own")
    );
    assert_eq!(replay.sha256.as_ref().map(String::len), Some(64));
    assert!(replay.factor > 1.0, "{}", replay.factor);
}
