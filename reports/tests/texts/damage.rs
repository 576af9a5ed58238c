//! What it says of recordings that were interrupted or damaged, and of its own file.

use super::*;

#[test]
fn interrupted_in_warm_up_is_a_report_not_an_error() {
    let dir = Folder::new();
    let mut manifest = manifest();
    manifest.status = Status::Interrupted;
    manifest.verdict = None;
    manifest.runs[0].interrupted = true;
    manifest.runs[0].measured_until_ns = manifest.runs[0].measured_from_ns;
    manifest.runs[0].verdict = Verdict::Skipped;
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    writer.flush().unwrap();
    drop(writer);
    for absent in [false, true] {
        if absent {
            fs::remove_file(dir.path().join(files::SHARES)).unwrap();
        }
        let text = report(dir.path()).unwrap();
        has(&text, "**– Nothing was measured.**");
        has(&text, "**Interrupted:**");
        has(&text, "Stopped before measuring began");
    }
}

#[test]
fn what_was_interrupted_has_no_verdict() {
    let mut manifest = manifest();
    manifest.status = Status::Interrupted;
    manifest.verdict = None;
    manifest.runs[0].interrupted = true;
    let text = text_of(&manifest, &shares());
    has(&text, "**– Interrupted, so there is no verdict;");
    has(&text, "## pair: – incomplete");
}

#[test]
fn a_torn_last_row_is_left_out_while_running() {
    let dir = Folder::new();
    let manifest = Manifest {
        status: Status::Running,
        verdict: None,
        ..manifest()
    };
    record(dir.path(), &manifest, &shares());
    let path = dir.path().join(files::DISPATCHES);
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 9);
    fs::write(&path, bytes).unwrap();
    let text = report(dir.path()).unwrap();
    has(
        &text,
        "The last row of `dispatches.csv` is cut off and left out.",
    );
    has(&text, "**Still running, or its writer died:**");
}

#[test]
fn empty_columns_keep_their_type() {
    let dir = Folder::new();
    let manifest = manifest();
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    writer.dispatch(&dispatches()[2]).unwrap();
    let mut row = event(EventKind::MeasureStart, 0, 0, 0);
    (row.lp, row.value) = (None, None);
    writer.event(&row).unwrap();
    writer.share(&share("prod", None, 0, 0.0)).unwrap();
    writer
        .finish(&manifest, &[summary("prod", 80.0, None)])
        .unwrap();
    has(&report(dir.path()).unwrap(), "| prod  |");
}

#[test]
fn damage_is_an_error_of_one_line_with_the_place() {
    type Damage = fn(&str) -> String;
    let damage: [(&str, Damage, &str); 6] = [
        (
            files::SHARES,
            |text| text.replacen(",fair,guest,", ",fair,host,", 1),
            "line: 2",
        ),
        (
            files::SHARES,
            |text| text.replacen(",80.1,", ",many,", 1),
            "line: 3",
        ),
        (
            files::DISPATCHES,
            |text| format!("{text}pair,1\n"),
            "line: 10",
        ),
        (
            files::EVENTS,
            |text| text.replacen("t_ns", "t_ms", 1),
            "column 3 is `t_ms`",
        ),
        (
            files::SUMMARY,
            |_| String::new(),
            "summary.csv is missing or empty",
        ),
        (
            files::MANIFEST,
            |text| text.replacen('{', "", 1),
            "manifest.json is not a manifest",
        ),
    ];
    for (file, damaged, expected) in damage {
        let dir = Folder::new();
        record(dir.path(), &manifest(), &shares());
        let path = dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, damaged(&text)).unwrap();
        let message = report(dir.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(file), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn the_report_replaces_an_older_one_whole() {
    let dir = Folder::new();
    let path = write_report(dir.path(), "one").unwrap();
    assert_eq!(write_report(dir.path(), "two").unwrap(), path);
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = write_report(&dir.path().join("none"), "x").unwrap_err();
    assert!(matches!(missing, ReportError::Write { .. }));
}
