//! What an experiment makes of the traces that it names, and what it says where that cannot be.

use apportion_scheduler::Nanos;
use apportion_workloads::Experiment;
use apportion_workloads::replay::{PrepareError, Prepared, Traces};
use std::ops::ControlFlow;
use std::sync::Arc;

/// An experiment of 2 s in all, with these lines below its one replay.
fn experiment(lines: &str) -> Experiment {
    let text = format!(
        "schema = 1\nname = \"x\"\nwhy = \"y\"\nduration = \"1s\"\n\n[[guest]]\nname = \"vm\"\npayload = \"replay\"\n{lines}"
    );
    Experiment::parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// On two LPs.
fn read(experiment: &mut Experiment) -> Result<Vec<Prepared>, PrepareError> {
    Traces::default().prepare(experiment, 2, &mut |_| ControlFlow::Continue(()))
}

fn refused(lines: &str) -> String {
    read(&mut experiment(lines)).expect_err(lines).to_string()
}

fn prepared(lines: &str) -> (Experiment, Prepared) {
    let mut experiment = experiment(lines);
    let mut all = read(&mut experiment).unwrap_or_else(|error| panic!("{error}"));
    (experiment, all.remove(0))
}

/// Demand of `web` (2 VPs, weight 200, reserve 10 %, cap 80 %) and of `editor` (4 VPs, bursts).
const MIXED: &str = "trace = \"traces/own/mixed.csv\"\n";

#[test]
fn what_experiments_take_of_a_trace_is_read_once_and_what_they_make_of_it_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy("traces/own/mixed.csv", dir.path().join("mixed.csv")).unwrap();
    let source = dir.path().join("x.toml").display().to_string();
    let mut traces = Traces::default();
    let mut of = |seed: u64, weight: u32| {
        let text = format!(
            "schema = 1\nname = \"x\"\nwhy = \"y\"\nduration = \"1s\"\nseed = {seed}\n[[guest]]\nname = \"vm\"\n\
             payload = \"replay\"\ntrace = \"mixed.csv\"\nweight = {weight}\nvms = [\"web\"]\n"
        );
        let mut experiment = Experiment::parse(&text, &source).unwrap();
        let all = traces.prepare(&mut experiment, 2, &mut |_| ControlFlow::Continue(()));
        (experiment, all.unwrap().remove(0).replayed)
    };
    let (_, first) = of(1, 100);
    std::fs::remove_file(dir.path().join("mixed.csv")).unwrap();
    let (heavy, same) = of(1, 300);
    assert!(Arc::ptr_eq(&first, &same));
    assert_eq!(heavy.guests[0].controls.weight.get(), 300);
    assert_eq!(heavy.guests[0].vps, 2);
    let (_, other) = of(2, 100);
    assert_ne!(first, other);
}

#[test]
fn a_guest_has_the_vps_that_its_vm_has_but_no_more_than_lps() {
    let (experiment, it) = prepared(&format!("{MIXED}vms = [\"editor\", \"web\"]"));
    let guests: Vec<_> = experiment
        .guests
        .iter()
        .map(|it| (it.name.as_str(), it.vps))
        .collect();
    assert_eq!(guests, [("vm-1", 2), ("vm-2", 2)]);
    let ids: Vec<_> = it.replayed.vms.iter().map(|vm| vm.id.as_str()).collect();
    assert_eq!(
        ids,
        ["editor", "web"],
        "in the order in which they are named"
    );
    assert_eq!(it.trace, "traces/own/mixed.csv");
    assert_eq!(it.sha256.map(|it| it.len()), Some(64));
    let web = &it.replayed.vms[1];
    // Half an LP for 2 s, on two VPs; a second of it is measured.
    let sums: Vec<u64> = web
        .work
        .vps
        .iter()
        .map(|vp| vp.iter().map(|it| it.run.0).sum())
        .collect();
    assert_eq!(sums, [500_000_000; 2]);
    assert_eq!(web.demand, Nanos::from_millis(500));
    let (experiment, _) = prepared(&format!("{MIXED}vps = 3"));
    assert_eq!(experiment.guests[0].vps, 3);
}

#[test]
fn controls_are_the_traces_where_it_is_asked_for_and_the_file_names_none() {
    let told = |lines: &str| {
        let (experiment, _) = prepared(&format!("{MIXED}{lines}"));
        let it = experiment.guests[0].controls;
        (it.weight.get(), it.reserve.percent(), it.cap.percent())
    };
    assert_eq!(told(""), (100, 0.0, 100.0));
    assert_eq!(told("controls = \"trace\""), (200, 10.0, 80.0));
    assert_eq!(
        told("controls = \"trace\"\nweight = 50\ncap = 90"),
        (50, 10.0, 90.0)
    );
    assert_eq!(told("weight = 50"), (50, 0.0, 100.0));
}

#[test]
fn a_shipped_trace_needs_no_file() {
    let (experiment, it) =
        prepared("trace = \"shipped:fifty\"\ncount = 50\nspeed = 1000\novercommit = 1.5");
    assert_eq!(experiment.guests.len(), 50);
    let demand: u64 = it.replayed.vms.iter().map(|vm| vm.demand.0).sum();
    // 1.5 times what two LPs have in the measured second.
    assert!(demand.abs_diff(3_000_000_000) < 1_000, "{demand}");
}

#[test]
fn what_cannot_be_replayed_is_refused_with_its_place() {
    insta::assert_snapshot!("unshipped", refused("trace = \"shipped:sixty\""));
    insta::assert_snapshot!("missing", refused("trace = \"missing.csv\""));
    insta::assert_snapshot!("too-few", refused(&format!("{MIXED}count = 7")));
    insta::assert_snapshot!(
        "unknown-vm",
        refused(&format!("{MIXED}vms = [\"web\", \"wob\"]"))
    );
    insta::assert_snapshot!("too-short", refused(&format!("{MIXED}speed = 5000")));
    insta::assert_snapshot!("nothing-left", refused(&format!("{MIXED}from = \"24h\"")));
    insta::assert_snapshot!("too-idle", refused(&format!("{MIXED}overcommit = 1.5")));
    insta::assert_snapshot!(
        "controls",
        refused(&format!("{MIXED}controls = \"trace\"\ncap = 5"))
    );
    // What only an option can say, and what a line is to blame for.
    let google = "trace = \"traces/google/instance_usage-000000000000.json\"";
    insta::assert_snapshot!("machine-lps", refused(google));
    let bitbrains = "trace = \"traces/bitbrains\"\nformat = \"planetlab\"";
    insta::assert_snapshot!("bad-line", refused(bitbrains));
    let meta = "trace = \"traces/alibaba/container_meta.csv\"";
    insta::assert_snapshot!("unknown-format", refused(meta));
    let table = "trace = \"traces/own/mixed.csv\"\nformat = \"azure\"";
    insta::assert_snapshot!("no-table", refused(table));
    let change = "[[change]]\nat = \"500ms\"\nguest = \"vm\"\nadd_vps = 1";
    insta::assert_snapshot!("added-vps", refused(&format!("{MIXED}{change}")));
}
