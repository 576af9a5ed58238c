//! On KVM: what a trace demands, received.

use crate::{recompute, run_in, stderr};
use apportion_recording::{DemandRow, Fared, files, read_rows};
use std::fs;
use tempfile::TempDir;

pub(crate) fn replay_recorded() {
    let dir = TempDir::new().unwrap();
    let text = r#"
        schema = 1
        name = "some"
        why = "Do guests that are not starved receive what the trace demands?"
        lps = 1
        duration = "4s"
        warm_up = "500ms"
        tolerance_pp = 5
        [[guest]]
        name = "vm"
        count = 8
        payload = "replay"
        trace = "shipped:fifty"
        speed = 2000
        overcommit = 0.3
        [[guest]]
        name = "busy"
    "#;
    fs::write(dir.path().join("some.toml"), text).unwrap();
    let output = run_in(
        dir.path(),
        &["some.toml", "--engine", "kvm", "--out", "rec"],
    );
    // How well it went depends on who else uses the machine.
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| [0, 3, 4].contains(&code)),
        "{}",
        stderr(&output)
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let rows: Vec<DemandRow> = read_rows(&rec, files::DEMAND).unwrap();
    assert_eq!(rows.len(), 8);
    let (mut demanded, mut received) = (0, 0);
    for row in rows.iter().filter(|row| row.fared == Fared::Met) {
        // What was due was received or is left over; a VP that wakes pays for that ahead.
        let (wanted, got) = (
            row.backlog_before_ns + row.due_ns,
            row.received_ns + row.backlog_ns,
        );
        assert!(
            wanted.abs_diff(got) <= row.due_ns / 50 + 2_000_000,
            "{row:?}"
        );
        demanded += wanted - row.backlog_ns;
        received += row.received_ns;
    }
    println!("of {demanded} ns that were demanded {received} were received");
    assert!(
        received.abs_diff(demanded) <= demanded / 50,
        "{received} of {demanded}"
    );
}
