//! `counters.csv`, read back by a parser that knows nothing but the format.

mod common;

use apportion_recording::{Instances, Manifest, Snapshot, Writer, files};
use common::{S, experiment, manifest, snapshot};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The file as a reader of PDH-CSV 4.0 has it: column names and rows.
struct Pdh {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Pdh {
    /// Of a recording's folder; fails where anything breaks the format's rules.
    fn read(dir: &Path) -> Pdh {
        let text = fs::read_to_string(dir.join(files::COUNTERS)).unwrap();
        let body = text
            .strip_suffix("\r\n")
            .expect("the last line is ended, too");
        let mut lines = body.split("\r\n").map(fields);
        let names = lines.next().unwrap();
        assert_eq!(names[0], "(PDH-CSV 4.0) (UTC)(0)");
        for (at, name) in names.iter().enumerate().skip(1) {
            check_path(name);
            assert!(!names[..at].contains(name), "{name} twice");
        }
        let rows: Vec<Vec<String>> = lines.collect();
        for row in &rows {
            assert_eq!(row.len(), names.len());
            check_time(&row[0]);
            for value in &row[1..] {
                assert!(value == " " || value.parse::<f64>().unwrap() >= 0.0);
            }
        }
        Pdh { names, rows }
    }

    /// A row's values by path without the host.
    fn values(&self, row: usize) -> HashMap<&str, &str> {
        let paths = self.names.iter().skip(1).map(|name| {
            let path = name.strip_prefix(r"\\").unwrap();
            path.split_once('\\').unwrap().1
        });
        paths
            .zip(self.rows[row].iter().skip(1).map(String::as_str))
            .collect()
    }
}

/// A line's fields, every one in quotes, none with a quote or a line's end inside.
fn fields(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let inner = inner.unwrap_or_else(|| panic!("not quoted: {line}"));
    let fields: Vec<String> = inner.split("\",\"").map(str::to_owned).collect();
    for field in &fields {
        assert!(!field.contains(['"', '\r', '\n']), "{field:?}");
    }
    fields
}

/// `\\HOST\Object(instance)\Counter`.
fn check_path(path: &str) {
    let parts: Vec<&str> = path.split('\\').collect();
    let ["", "", host, object, counter] = parts[..] else {
        panic!("{path}");
    };
    assert!(!host.is_empty() && !counter.is_empty(), "{path}");
    let (object, instance) = object.split_once('(').unwrap();
    let instance = instance.strip_suffix(')').unwrap();
    for part in [object, instance] {
        assert!(!part.is_empty(), "{path}");
        assert!(!part.contains(['(', ')', '#', '*', '/']), "{path}");
    }
}

/// `MM/DD/YYYY HH:MM:SS.mmm`.
fn check_time(time: &str) {
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "00/00/0000 00:00:00.000", "{time}");
}

fn recorded(manifest: &Manifest, snapshots: &[(&str, u32, Snapshot)]) -> Pdh {
    let dir = tempfile::tempdir().unwrap();
    let rec = dir.path().join("rec");
    let mut writer = Writer::create(&rec, manifest).unwrap();
    for (experiment, repetition, snapshot) in snapshots {
        writer.counters(experiment, *repetition, snapshot).unwrap();
    }
    writer.finish(manifest, &[]).unwrap();
    Pdh::read(&rec)
}

fn number(values: &HashMap<&str, &str>, path: &str) -> f64 {
    values[path].parse().unwrap_or_else(|_| panic!("{path}"))
}

#[test]
fn the_columns_are_those_of_hyper_v_for_everybody_who_is_ever_there() {
    let manifest = manifest(
        "a host(1)",
        vec![
            experiment("one", 1, &[("same", 1), ("x#y", 1)], &["same"]),
            experiment("two", 2, &[("other", 1), ("same", 1)], &[]),
        ],
    );
    let instances = Instances::of(&manifest);
    assert_eq!(
        instances,
        Instances {
            lps: 2,
            vps: vec![("same".into(), 2), ("x#y".into(), 1), ("other".into(), 1)],
        }
    );
    let pdh = recorded(&manifest, &[("one", 1, snapshot(S, 1, &[], 0))]);
    assert!(pdh.rows.is_empty());
    let mut expected = vec!["(PDH-CSV 4.0) (UTC)(0)".to_owned()];
    let mut object = |object: &str, instances: &[&str], counters: &[&str]| {
        for instance in instances {
            expected.extend(
                counters
                    .iter()
                    .map(|counter| format!(r"\\a host_1_\{object}({instance})\{counter}")),
            );
        }
    };
    object(
        "Hyper-V Hypervisor Logical Processor",
        &["Hv LP 0", "Hv LP 1"],
        &[
            "% Guest Run Time",
            "% Hypervisor Run Time",
            "% Total Run Time",
            "% Idle Time",
            "Context Switches/sec",
            "% Root Run Time",
            "% Others Run Time",
            "% Steal Time",
        ],
    );
    object(
        "Hyper-V Hypervisor Virtual Processor",
        &[
            "same:Hv VP 0",
            "same:Hv VP 1",
            "x_y:Hv VP 0",
            "other:Hv VP 0",
        ],
        &[
            "% Guest Run Time",
            "% Hypervisor Run Time",
            "% Total Run Time",
            "CPU Wait Time Per Dispatch",
            "Total Ready Time",
            "Logical Processor Dispatches/sec",
            "Logical Processor Migrations/sec",
            "Total Intercepts/sec",
            "Hypercalls/sec",
            "Long Spin Wait Hypercalls/sec",
            "Pending Interrupts/sec",
        ],
    );
    object(
        "Hyper-V Hypervisor Root Virtual Processor",
        &["Root VP 0", "Root VP 1", "Root VP elsewhere"],
        &[
            "% Guest Run Time",
            "% Hypervisor Run Time",
            "% Total Run Time",
        ],
    );
    assert_eq!(pdh.names, expected);
}

#[test]
fn rows_hold_what_was_counted_since_the_snapshot_before() {
    let manifest = manifest("host", vec![experiment("one", 2, &[("g", 2)], &[])]);
    let vps = [("g", 0), ("g", 1)];
    let snapshots = [S, 2 * S, 4 * S].map(|wall| ("one", 1, snapshot(wall, 2, &vps, 2)));
    let pdh = recorded(&manifest, &snapshots);
    assert_eq!(pdh.rows.len(), 2);
    assert_eq!(pdh.rows[0][0], "01/02/2026 03:04:07.678");
    assert_eq!(pdh.rows[1][0], "01/02/2026 03:04:09.678");
    for row in 0..2 {
        let values = pdh.values(row);
        let of = |path: &str| number(&values, path);
        let lp = |counter| {
            of(&format!(
                r"Hyper-V Hypervisor Logical Processor(Hv LP 1)\{counter}"
            ))
        };
        assert_eq!(lp("% Guest Run Time"), 53.333333);
        assert_eq!(lp("% Idle Time"), 30.0);
        assert_eq!(lp("% Root Run Time"), 5.0);
        assert_eq!(lp("% Others Run Time"), 2.5);
        assert_eq!(lp("% Steal Time"), 2.5);
        // So many times per ms.
        assert_eq!(lp("Context Switches/sec"), 2000.0);
        let vp = |counter| {
            of(&format!(
                r"Hyper-V Hypervisor Virtual Processor(g:Hv VP 1)\{counter}"
            ))
        };
        assert_eq!(vp("% Guest Run Time"), 5.0);
        assert_eq!(vp("Logical Processor Dispatches/sec"), 2000.0);
        assert_eq!(vp("Logical Processor Migrations/sec"), 1000.0);
        assert_eq!(vp("Hypercalls/sec"), 500.0);
        assert_eq!(vp("Long Spin Wait Hypercalls/sec"), 250.0);
        assert_eq!(vp("Pending Interrupts/sec"), 400.0);
        assert_eq!(vp("Total Intercepts/sec"), 500.0);
        // Ready for a fifth of the time, between 2000 dispatches a second.
        assert_eq!(vp("CPU Wait Time Per Dispatch"), 100_000.0);
        let root = |counter| {
            of(&format!(
                r"Hyper-V Hypervisor Root Virtual Processor(Root VP 1)\{counter}"
            ))
        };
        assert_eq!(root("% Guest Run Time"), 20.0);
        assert_eq!(root("% Hypervisor Run Time"), 0.0);
        // Total is guest and hypervisor, for everything that has the three.
        for path in values.keys().filter(|it| it.ends_with("% Total Run Time")) {
            let instance = path.strip_suffix("% Total Run Time").unwrap();
            let parts = of(&format!("{instance}% Guest Run Time"))
                + of(&format!("{instance}% Hypervisor Run Time"));
            assert!((of(path) - parts).abs() < 2e-6, "{path}");
        }
    }
    // Of all time since the run's start, in ns.
    let ready = r"Hyper-V Hypervisor Virtual Processor(g:Hv VP 0)\Total Ready Time";
    assert_eq!(pdh.values(0)[ready], "400000000");
    assert_eq!(pdh.values(1)[ready], "800000000");
}

#[test]
fn who_is_not_there_has_blanks_and_every_run_counts_from_its_own_first_snapshot() {
    let manifest = manifest(
        "host",
        vec![
            experiment("one", 1, &[("same", 1)], &["same"]),
            experiment("two", 2, &[("other", 1), ("same", 1)], &[]),
        ],
    );
    let one = |wall, vps: &[(&str, u32)]| snapshot(wall, 1, vps, 1);
    let two = |wall| snapshot(wall, 2, &[("other", 0), ("same", 0)], 1);
    let pdh = recorded(
        &manifest,
        &[
            ("one", 1, one(S, &[("same", 0)])),
            ("one", 1, one(2 * S, &[("same", 0)])),
            ("one", 1, one(3 * S, &[("same", 0), ("same", 1)])),
            ("two", 1, two(S)),
            ("two", 1, two(2 * S)),
            // Another repetition, not a run that went back in time.
            ("two", 2, two(S)),
            ("two", 2, two(3 * S)),
        ],
    );
    assert_eq!(pdh.rows.len(), 4);
    let there = |row: usize| {
        let values = pdh.values(row);
        let mut there = Vec::new();
        for (path, value) in values {
            let instance = path.split(['(', ')']).nth(1).unwrap().to_owned();
            there.push((instance, value != " "));
        }
        // An instance is there with all its counters, or with none.
        there.sort();
        there.dedup();
        there
            .into_iter()
            .filter_map(|(instance, there)| there.then_some(instance))
            .collect::<Vec<_>>()
    };
    let of_root = ["Root VP 0", "Root VP elsewhere"];
    assert_eq!(
        there(0),
        [&["Hv LP 0"], &of_root[..], &["same:Hv VP 0"]].concat()
    );
    assert_eq!(
        there(1),
        [
            &["Hv LP 0"],
            &of_root[..],
            &["same:Hv VP 0", "same:Hv VP 1"]
        ]
        .concat()
    );
    let everybody_of_two = [
        "Hv LP 0",
        "Hv LP 1",
        "Root VP 0",
        "Root VP elsewhere",
        "other:Hv VP 0",
        "same:Hv VP 0",
    ];
    assert_eq!(there(2), everybody_of_two);
    assert_eq!(there(3), everybody_of_two);
    // A VP that was added counts from 0 over the whole interval.
    let added = r"Hyper-V Hypervisor Virtual Processor(same:Hv VP 1)\% Guest Run Time";
    assert_eq!(pdh.values(1)[added], "15");
}

#[test]
fn a_snapshot_without_time_since_the_one_before_writes_no_row_and_loses_nothing() {
    let manifest = manifest("host", vec![experiment("one", 1, &[("g", 1)], &[])]);
    let at = |wall| snapshot(wall, 1, &[("g", 0)], 1);
    let twice = Snapshot {
        wall_ns: S,
        ..at(2 * S)
    };
    let pdh = recorded(
        &manifest,
        &[("one", 1, at(S)), ("one", 1, twice), ("one", 1, at(3 * S))],
    );
    assert_eq!(pdh.rows.len(), 1);
    let dispatches =
        r"Hyper-V Hypervisor Virtual Processor(g:Hv VP 0)\Logical Processor Dispatches/sec";
    assert_eq!(pdh.values(0)[dispatches], "1000");
}

#[test]
fn an_engine_that_counts_nothing_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = manifest("host", vec![experiment("one", 1, &[("g", 1)], &[])]);
    let writer = Writer::create(dir.path(), &manifest).unwrap();
    writer.finish(&manifest, &[]).unwrap();
    assert!(!dir.path().join(files::COUNTERS).exists());
    assert!(!dir.path().join(files::METRICS).exists());
}
