//! Reserves of guests that sleep: which rows there are, and what they are held against.

use super::{apportion, recompute, told};
use apportion_recording::{Check, Scope, ShareRow, files, read_rows};
use std::fs;
use tempfile::TempDir;

const SLEEPERS: &str = r#"
    schema = 1
    name = "sleepers"
    why = "Every kind of demand with a reserve, beside burners on LPs that lose a fiftieth of their time."
    lps = 2
    slice = "2ms"
    duration = "2500ms"
    warm_up = "130ms"
    [simulator]
    overhead = "40us"
    [[guest]]
    name = "declares"
    reserve = 20
    payload = "periodic"
    period = "4ms"
    run = "1ms"
    [[guest]]
    name = "gets-less"
    reserve = 60
    payload = "periodic"
    period = "10ms"
    run = "3ms"
    [[guest]]
    name = "pauses"
    reserve = 15
    payload = "on-off"
    on = "3ms"
    off = "5ms"
    [[guest]]
    name = "arrives"
    reserve = 25
    payload = "bursts"
    every = "40ms"
    run = "8ms"
    random = true
    [[guest]]
    name = "floods"
    reserve = 10
    payload = "bursts"
    every = "20ms"
    run = "8ms"
    [[guest]]
    name = "burner"
    vps = 2
    [[change]]
    at = "1200ms"
    guest = "arrives"
    reserve = 5
"#;

#[test]
fn reserves_are_held_against_what_sleepers_want() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("sleepers.toml"), SLEEPERS).unwrap();
    let run = [
        "run",
        "--engine",
        "simulator",
        "--out",
        "rec",
        "sleepers.toml",
    ];
    let output = apportion(dir.path(), &run);
    let rec = dir.path().join("rec");
    assert!(rec.join(files::SHARES).exists(), "{}", told(&output));
    recompute::check(&rec);
    let rows: Vec<ShareRow> = read_rows(&rec, files::SHARES).unwrap();
    let of = |guest: &'static str| {
        let reserve = |row: &&ShareRow| row.check == Check::Reserve && row.scope == Scope::Guest;
        rows.iter()
            .filter(reserve)
            .filter(move |row| row.guest == guest)
    };
    // Of the two LPs' wall time, over the whole run.
    let due = |guest| {
        of(guest)
            .find(|row| row.window_ms == 0)
            .unwrap()
            .expected_pct
    };
    assert!((due("declares") - 10.0).abs() < 1e-9);
    assert!((due("gets-less") - 15.0).abs() < 1e-9);
    // 40 % arrives, far more than the reserve.
    assert!((due("floods") - 5.0).abs() < 0.01);
    let (paused, arrived) = (due("pauses"), due("arrives"));
    assert!((1.0..7.5).contains(&paused), "{paused}");
    assert!((1.0..12.5).contains(&arrived), "{arrived}");
    assert_eq!(of("burner").count(), 0);

    // Whole run and two phases; over windows only where it is known who wanted what.
    for guest in ["declares", "gets-less", "arrives", "floods"] {
        assert_eq!(of(guest).count(), 3, "{guest}");
    }
    assert!(of("pauses").count() > 20);
    // A burst of the last period may not have begun: 3 ms of the LPs' 5 s more.
    let bound = |guest| of(guest).find(|row| row.window_ms == 0).unwrap().bound_pp;
    assert!((bound("gets-less") - bound("floods") - 0.06).abs() < 1e-9);
}
