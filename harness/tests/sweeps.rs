//! Sweeps, settings and claims through the whole tool, in virtual time.

mod recompute;

use apportion_recording::{ClaimRow, Manifest, Verdict, files, read_manifest, read_rows};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn apportion(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let run = ["run", "--engine", "simulator", "--out", "rec"];
    let output: Output = Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(run.iter().chain(arguments))
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// Runs an experiment; its exit code, what was printed, its manifest and claims.
fn run(dir: &TempDir, text: &str, arguments: &[&str]) -> (i32, String, Manifest, Vec<ClaimRow>) {
    fs::write(dir.path().join("x.toml"), text).unwrap();
    let arguments: Vec<&str> = ["./x.toml"].iter().chain(arguments).copied().collect();
    let (code, told) = apportion(dir.path(), &arguments);
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let claims = match rec.join(files::CLAIMS).exists() {
        true => read_rows(&rec, files::CLAIMS).unwrap(),
        false => Vec::new(),
    };
    (code, told, read_manifest(&rec).unwrap(), claims)
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest
        .runs
        .iter()
        .map(|run| run.experiment.as_str())
        .collect()
}

const SWEEP: &str = r#"
    schema = 1
    name = "x"
    why = "Two weights, and the same without the other guest."
    lps = 1
    duration = "1s"
    warm_up = "100ms"
    repetitions = 2
    [sweep]
    guest.other.weight = [100, 300]
    [[guest]]
    name = "one"
    [[guest]]
    name = "other"
    [[claim]]
    guest = "one"
    measure = "work"
    at_most = 0.3
    of = { guest.other.count = 0 }
    [[claim]]
    guest = "one"
    measure = "wait_per_dispatch"
    at_least = "2ms"
    at_most = "4ms"
"#;

#[test]
fn points_run_in_turns_with_what_they_are_compared_with_and_claims_are_judged() {
    let dir = TempDir::new().unwrap();
    let (code, told, manifest, claims) = run(&dir, SWEEP, &[]);
    let once = [
        "x[guest.other.weight=100]",
        "x[guest.other.weight=100,guest.other.count=0]",
        "x[guest.other.weight=300]",
        "x[guest.other.weight=300,guest.other.count=0]",
    ];
    assert_eq!(names(&manifest), [once, once].concat());
    assert!(manifest.experiments.iter().all(|it| it.family == "x"));
    let verdicts: Vec<Verdict> = claims.iter().map(|claim| claim.verdict).collect();
    // Half of the work is more than 0.3, a quarter is not; it waits for one slice or for three.
    let (fail, pass) = (Verdict::Fail, Verdict::Pass);
    assert_eq!(verdicts, [fail, fail, pass, pass]);
    let factors: Vec<f64> = claims.iter().filter_map(|claim| claim.factor).collect();
    assert!(
        (factors[0] - 0.5).abs() < 0.01 && (factors[1] - 0.25).abs() < 0.01,
        "{factors:?}"
    );
    assert_eq!(claims[0].repetitions, 2);
    assert_eq!((code, manifest.verdict), (3, Some(Verdict::Fail)));
    assert!(manifest.runs.iter().all(|run| run.verdict == Verdict::Pass));
    assert!(told.contains("x, per guest"), "{told}");
    assert!(
        told.contains("✗ x[guest.other.weight=100]: work of one is 0.50"),
        "{told}"
    );
}

#[test]
fn what_the_command_line_sets_is_in_the_manifest() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "--set",
        "guest.one.weight=300",
        "--scan",
        "slice=1ms,2ms",
        "--set",
        "guest.other.weight=100",
    ];
    let (_, _, manifest, _) = run(&dir, SWEEP, &arguments);
    let points = [
        "x[slice=1ms]",
        "x[slice=1ms,guest.other.count=0]",
        "x[slice=2ms]",
        "x[slice=2ms,guest.other.count=0]",
    ];
    assert_eq!(names(&manifest), [points, points].concat());
    let entry = &manifest.experiments[2];
    let told = |settings: &[apportion_recording::SettingEntry]| -> Vec<String> {
        settings
            .iter()
            .map(|it| format!("{}={}", it.key, it.value))
            .collect()
    };
    assert_eq!(
        told(&entry.settings),
        ["guest.one.weight=300", "guest.other.weight=100"]
    );
    assert_eq!(told(&entry.point), ["slice=2ms"]);
    assert_eq!((entry.slice_ns, entry.guests[0].weight), (2_000_000, 300));
}

#[test]
fn a_share_of_ones_own_takes_the_place_of_the_formulas() {
    let own = |expected: u32| {
        format!(
            "schema = 1\nname = 'x'\nwhy = 'y'\nlps = 1\nduration = '1s'\nwarm_up = '100ms'\n\
             [[guest]]\nname = 'one'\nvps = 2\nexpected = {expected}\n[[guest]]\nname = 'two'\nexpected = 50\n\
             [[change]]\nat = '500ms'\nguest = 'two'\nweight = 400"
        )
    };
    // 66.7 and 33.3 %, then 33.3 and 66.7.
    let dir = TempDir::new().unwrap();
    let (code, told, ..) = run(&dir, &own(50), &[]);
    assert_eq!(code, 0, "{told}");
    let dir = TempDir::new().unwrap();
    let (code, told, ..) = run(&dir, &own(60), &[]);
    assert_eq!(code, 3, "{told}");
}

#[test]
fn a_figure_that_is_not_there_leaves_a_claim_open() {
    let text = r#"
        schema = 1
        name = "x"
        why = "Work that takes longer than there is time."
        lps = 1
        duration = "200ms"
        warm_up = "0s"
        [[guest]]
        name = "one"
        payload = "fixed-work"
        units = 100000000
        [[claim]]
        guest = "one"
        measure = "elapsed"
        at_most = "10s"
    "#;
    let dir = TempDir::new().unwrap();
    let (code, told, manifest, claims) = run(&dir, text, &[]);
    assert_eq!(claims[0].verdict, Verdict::Inconclusive);
    assert_eq!((code, manifest.verdict), (4, Some(Verdict::Inconclusive)));
    assert!(
        told.contains("? x: elapsed of one: there is none"),
        "{told}"
    );
}

#[test]
fn a_setting_that_is_wrong_is_refused_before_anything_runs() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("x.toml");
    fs::write(&file, SWEEP).unwrap();
    for (arguments, wanted) in [
        (["--set", "guest.one.weight=0"], "--> --set:1:"),
        (
            ["--scan", "guest.nobody.weight=1,2"],
            "there is no entry `nobody`",
        ),
        (["--set", "nonsense"], "sets nothing"),
        (["--scan", "slice=1..2"], "has no step"),
        (["--scan", "slice=1ms,1ms"], "has a value twice"),
        (["--lps=2", "--set=lps=1"], "--lps would overwrite"),
    ] {
        let arguments: Vec<&str> = ["./x.toml"].iter().chain(&arguments).copied().collect();
        let (code, told) = apportion(dir.path(), &arguments);
        assert_eq!(code, 2, "{told}");
        assert!(told.contains(wanted), "{told}");
        assert!(!dir.path().join("rec").exists());
    }
}
