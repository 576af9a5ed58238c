//! On KVM: runs that are interrupted, and runs of which nobody reads or keeps what they say.

use crate::{DOOMED, apportion, recompute, stderr, stdout};
use apportion_recording::{Manifest, Status, files, read_manifest};
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Starts a long run and interrupts it once its files are there and `wait` has passed.
fn interrupted(dir: &Path, wait: Duration, arguments: &[&str]) -> (Output, Manifest) {
    let child = apportion()
        .args(["run", "--out", "rec"])
        .args(arguments)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !dir.join("rec").join(files::EVENTS).exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        sleep(Duration::from_millis(10));
    }
    sleep(wait);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let manifest = read_manifest(&dir.join("rec")).unwrap();
    (output, manifest)
}

pub(crate) fn ctrl_c_keeps() {
    let dir = TempDir::new().unwrap();
    let (output, manifest) = interrupted(
        dir.path(),
        Duration::from_millis(1_000),
        &[
            "three-weights",
            "tlfs",
            "--duration",
            "60s",
            "--warm-up",
            "100ms",
        ],
    );
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(manifest.status, Status::Interrupted);
    let [run] = &manifest.runs[..] else {
        panic!("the second experiment is not begun: {:?}", manifest.runs);
    };
    assert!(run.interrupted);
    assert!(run.measured_until_ns > run.measured_from_ns);
    let printed = stdout(&output);
    assert!(printed.contains("\n- incomplete: interrupted"), "{printed}");
    assert!(stderr(&output).contains("holds what was measured until then"));
    recompute::check(&dir.path().join("rec"));
}

pub(crate) fn ctrl_c_in_warm_up() {
    let dir = TempDir::new().unwrap();
    let (output, manifest) = interrupted(
        dir.path(),
        Duration::from_millis(300),
        &["three-weights", "--warm-up", "60s"],
    );
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(manifest.status, Status::Interrupted);
    assert_eq!(
        manifest.runs[0].measured_from_ns,
        manifest.runs[0].measured_until_ns
    );
    assert!(
        stdout(&output).contains("stopped during its warm-up\n\nrecorded in"),
        "{}",
        stdout(&output)
    );
    assert!(stderr(&output).contains("holds nothing but warm-up"));
}

/// Its lines go into a pipe that is full already.
pub(crate) fn top_unread() {
    let dir = TempDir::new().unwrap();
    let (mut reader, mut writer) = io::pipe().unwrap();
    let full = vec![b'x'; fcntl_getpipe_size(&writer).unwrap()];
    writer.write_all(&full).unwrap();
    let mut child = apportion()
        .args(["top", "tlfs", "--engine", "kvm", "--duration", "2s"])
        .args(["--warm-up", "100ms", "--out", "rec"])
        .current_dir(dir.path())
        .stdout(writer)
        .spawn()
        .unwrap();
    let rec = dir.path().join("rec");
    let ran = || read_manifest(&rec).is_ok_and(|manifest| !manifest.runs.is_empty());
    let begun = Instant::now();
    while !ran() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("a run of two seconds goes on for ever");
        }
        sleep(Duration::from_millis(20));
    }
    // The table can wait for who reads it.
    assert_eq!(child.try_wait().unwrap(), None);
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    let told = &told[full.len()..];
    assert!(told.starts_with("run tlfs 1/1: "), "{told}");
    assert_eq!(
        told.matches("\nt=2s small weight 100 ").count(),
        1,
        "{told}"
    );
    assert!(told.ends_with("\nrecorded in rec\n"), "{told}");
    child.wait().unwrap();
    recompute::check(&rec);
    assert_eq!(read_manifest(&rec).unwrap().status, Status::Complete);
}

pub(crate) fn nobody_reads() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("doomed.toml"), DOOMED).unwrap();
    let mut child = apportion()
        .args(["run", "doomed.toml", "--out", "rec"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("a run of one second goes on for ever");
        }
        sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(3));
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Complete);
}

pub(crate) fn table_unprintable() {
    let dir = TempDir::new().unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = apportion()
        .args([
            "run",
            "tlfs",
            "three-weights",
            "--duration",
            "200ms",
            "--out",
            "rec",
        ])
        .current_dir(dir.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot print"),
        "{}",
        stderr(&output)
    );
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Complete);
    assert_eq!(manifest.runs.len(), 2);
    recompute::check(&dir.path().join("rec"));
}

pub(crate) fn disk_full() {
    let dir = TempDir::new().unwrap();
    // No file may grow beyond 64 blocks of 512 bytes or 1 KiB: dispatches.csv does within 2 s.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" run tlfs --duration 10s --out rec",
        ])
        .arg(env!("CARGO_BIN_EXE_apportion"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("dispatches.csv"),
        "{}",
        stderr(&output)
    );
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Failed);
    assert!(manifest.error.unwrap().contains("dispatches.csv"));
}
