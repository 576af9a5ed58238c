//! `apportion check` over folders: every file is reported, with its place, whatever the others are like.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../workloads")
        .join(name)
}

/// Exit code and output.
fn check(folder: &PathBuf) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_apportion"))
        .arg("check")
        .arg(folder)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn each_of_a_folder_of_broken_files_is_reported_with_line_and_caret() {
    let folder = folder("tests/broken");
    let (code, text) = check(&folder);
    assert_eq!(code, Some(2));
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() >= 60, "{}", files.len());
    for file in &files {
        let place = format!("--> {}:", file.display());
        let (_, report) = text
            .split_once(&place)
            .unwrap_or_else(|| panic!("nothing about {}", file.display()));
        let report = report.split("\n\n").next().unwrap();
        assert!(report.starts_with(|c: char| c.is_ascii_digit()), "{report}");
        assert!(report.contains('^'), "{report}");
    }
    let last = format!(
        "checked {0} experiments: {0} with errors; 0 warnings, 0 notes\n",
        files.len()
    );
    assert!(text.ends_with(&last), "{text}");
}

#[test]
fn what_ships_passes_with_warnings_denied() {
    let shipped = folder("experiments");
    let output = Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(["check", "--deny-warnings"])
        .arg(shipped)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
