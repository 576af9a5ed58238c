//! `apportion top` on a terminal that is not always there for it.

#![cfg(feature = "top")]

use apportion_recording::read_manifest;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, Winsize, tcflow, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The person's end of a terminal, and the program's.
fn terminal() -> (File, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let path = ptsname(&person, Vec::new()).unwrap();
    let program = open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&program, size).unwrap();
    (person.into(), program.into())
}

#[test]
fn a_terminal_that_stalls_holds_up_no_run_and_is_left_as_it_was() {
    let dir = TempDir::new().unwrap();
    let (mut person, program) = terminal();
    let before = tcgetattr(&program).unwrap();
    let spawned = Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(["top", "tlfs", "--engine", "simulator", "--out", "rec"])
        .args(["--duration", "1500ms", "--warm-up", "100ms"])
        .current_dir(dir.path())
        .env("TERM", "xterm")
        .stdin(program.try_clone().unwrap())
        .stdout(program.try_clone().unwrap())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.unwrap();
    let mut bytes = [0; 4096];
    let read = person.read(&mut bytes).unwrap();
    let mut shown = bytes[..read].to_vec();
    tcflow(&program, Action::OOff).unwrap();
    let rec = dir.path().join("rec");
    let begun = Instant::now();
    while !read_manifest(&rec).is_ok_and(|manifest| !manifest.runs.is_empty()) {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("a run of two seconds goes on for ever");
        }
        sleep(Duration::from_millis(20));
    }
    assert_eq!(child.try_wait().unwrap(), None);
    tcflow(&program, Action::OOn).unwrap();
    child.wait().unwrap();
    let after = tcgetattr(&program).unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    drop(program);
    // Until there is nobody at the other end.
    while let Ok(read) = person.read(&mut bytes) {
        shown.extend(&bytes[..read]);
    }
    let shown = String::from_utf8(shown).unwrap();
    let (enter, leave) = ("\x1b[?1049h", "\x1b[?1049l");
    assert!(shown.starts_with(enter), "{shown:?}");
    let (screen, table) = shown.split_once(leave).unwrap();
    assert!(screen.contains("SIMULATED"), "{shown:?}");
    assert!(table.contains("\r\nrecorded in rec\r\n"), "{shown:?}");
}
