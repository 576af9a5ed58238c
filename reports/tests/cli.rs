//! The binary: exit codes, messages, where the report goes.

mod common;

use apportion_recording::{SCHEMA, Status, Writer, files};
use common::Folder;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apportion-report"))
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap()
}

fn interrupted(dir: &Path) {
    let mut manifest = common::manifest();
    manifest.status = Status::Interrupted;
    manifest.runs.clear();
    Writer::create(dir, &manifest).unwrap().flush().unwrap();
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in {message}");
    }
}

#[test]
fn without_a_folder_the_latest_recording_is_meant() {
    let dir = Folder::new();
    refused(
        &run(dir.path(), &[]),
        &["results/latest", "cargo xtask bench"],
    );
    interrupted(&dir.path().join("results/latest"));
    let output = run(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"report: results/latest/report.md\n");
    let text = fs::read_to_string(dir.path().join("results/latest/report.md")).unwrap();
    assert!(text.starts_with("# Apportion report\n"));
}

#[test]
fn stdout_writes_nothing() {
    let dir = Folder::new();
    interrupted(&dir.path().join("rec"));
    let output = run(dir.path(), &["rec", "--stdout"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"# Apportion report\n"));
    assert!(!dir.path().join("rec/report.md").exists());
}

#[test]
fn other_folders_and_schemas_are_refused() {
    let dir = Folder::new();
    refused(
        &run(dir.path(), &["."]),
        &["holds no recording", "manifest.json"],
    );
    interrupted(&dir.path().join("rec"));
    let path = dir.path().join("rec").join(files::MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    let ours = format!("\"schema\": {SCHEMA},");
    assert!(text.contains(&ours));
    fs::write(&path, text.replacen(&ours, "\"schema\": 99,", 1)).unwrap();
    refused(
        &run(dir.path(), &["rec"]),
        &["schema 99", "use the build that wrote it"],
    );
    assert!(!dir.path().join("rec/report.md").exists());
}

#[test]
fn damage_is_told_once() {
    let dir = Folder::new();
    interrupted(&dir.path().join("rec"));
    let manifest = dir.path().join("rec").join(files::MANIFEST);
    fs::write(manifest, "[]").unwrap();
    let output = run(dir.path(), &["rec"]);
    refused(&output, &["is not a manifest", "restore it from a copy"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(message.matches("is not a manifest").count(), 1, "{message}");
}

#[test]
fn usage_errors_exit_2() {
    let dir = Folder::new();
    assert_eq!(
        run(dir.path(), &["--no-such-option"]).status.code(),
        Some(2)
    );
}
