//! `metrics.prom`, read back by a parser that knows nothing but the format, and by promtool where it is there.

mod common;

use apportion_recording::{Snapshot, Writer, files};
use common::{S, experiment, manifest, snapshot};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;

/// A sample's name and its labels, by label.
type Series = (String, BTreeMap<String, String>);

/// The file as a reader of the text exposition format has it.
#[derive(Default)]
struct Metrics {
    kinds: HashMap<String, String>,
    samples: HashMap<Series, f64>,
}

impl Metrics {
    /// Of a file's text; fails where anything breaks the format's rules.
    fn parse(text: &str) -> Metrics {
        assert!(text.ends_with('\n'), "the last line is ended, too");
        let mut metrics = Metrics::default();
        let mut helped = "";
        let mut current = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped = help.split_once(' ').expect("a help text").0;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, helped, "help comes first");
                let kind = metrics.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(kind, None, "{name} has two blocks");
                current = name;
            } else {
                let (series, value) = sample(line);
                assert_eq!(series.0, current, "outside of its block");
                let twice = metrics.samples.insert(series, value);
                assert_eq!(twice, None, "twice: {line}");
            }
        }
        for (name, kind) in &metrics.kinds {
            let counter = match kind.as_str() {
                "counter" => true,
                "gauge" => false,
                other => panic!("{other}"),
            };
            assert_eq!(name.ends_with("_total"), counter, "{name}");
            assert!(name.starts_with("apportion_"), "{name}");
        }
        metrics
    }

    fn read(dir: &Path) -> Metrics {
        Metrics::parse(&fs::read_to_string(dir.join(files::METRICS)).unwrap())
    }

    fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let series = (name.to_owned(), labels.collect());
        self.samples.get(&series).copied()
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> (Series, f64) {
    let (name, rest) = line.split_once('{').unwrap();
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (label, after) = rest.split_once("=\"").unwrap();
        let (value, after) = quoted(after);
        assert_eq!(labels.insert(label.to_owned(), value), None);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                let value = after.strip_prefix("} ").unwrap();
                return ((name.to_owned(), labels), value.parse().unwrap());
            }
        }
    }
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().expect("a closing quote") {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('"' | '\\')) => c,
                other => panic!("escaped {other:?}"),
            }),
            c => value.push(c),
        }
    }
}

/// A recording of two runs, the first of them looked at twice.
fn record(dir: &Path) {
    let manifest = manifest(
        "host",
        vec![
            experiment("one", 1, &[("g", 1)], &[]),
            experiment("two", 1, &[("g", 1)], &[]),
        ],
    );
    let mut writer = Writer::create(dir, &manifest).unwrap();
    let at = |wall| snapshot(wall, 1, &[("g", 0)], 1);
    for (experiment, wall) in [("one", S), ("one", 3 * S), ("two", 2 * S)] {
        writer.counters(experiment, 1, &at(wall)).unwrap();
    }
    writer.finish(&manifest, &[]).unwrap();
}

#[test]
fn every_run_has_its_last_snapshot_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let metrics = Metrics::read(dir.path());
    for (experiment, seconds) in [("one", 3.0), ("two", 2.0)] {
        let get = |name: &str, own: &[(&str, &str)]| {
            let run = [("experiment", experiment), ("repetition", "1")];
            let labels: Vec<_> = run.iter().chain(own).copied().collect();
            let name = format!("apportion_{name}");
            metrics
                .get(&name, &labels)
                .unwrap_or_else(|| panic!("{name}"))
        };
        let lp = [("lp", "0")];
        let vp = [("guest", "g"), ("vp", "0")];
        assert_eq!(get("run_wall_seconds_total", &[]), seconds);
        assert_eq!(
            get("run_snapshot_timestamp_seconds", &[]),
            1_767_323_045.678 + seconds
        );
        assert_eq!(get("lp_idle_seconds_total", &lp), 3.0 * seconds / 10.0);
        assert_eq!(get("lp_context_switches_total", &lp), 1000.0 * seconds);
        assert_eq!(get("vp_guest_seconds_total", &vp), seconds / 10.0);
        assert_eq!(get("vp_ready_seconds_total", &vp), seconds / 5.0);
        assert_eq!(get("vp_dispatches_total", &vp), 1000.0 * seconds);
        assert_eq!(get("vp_interrupts_pending", &vp), 1.0);
        assert_eq!(
            get("root_run_seconds_total", &[("root", "0")]),
            seconds / 10.0
        );
        let intercepts = |kind| get("vp_intercepts_total", &[vp[0], vp[1], ("kind", kind)]);
        let kinds = ["port", "memory", "interrupt_window", "fault", "other"];
        assert_eq!(kinds.map(intercepts), [3.0, 2.0, 1.0, 0.0, 5.0]);
        assert_eq!(intercepts("hypercall"), 250.0 * seconds);
    }
    assert_eq!(metrics.kinds["apportion_vp_interrupts_pending"], "gauge");
    assert_eq!(metrics.kinds["apportion_lp_guest_seconds_total"], "counter");
    // Per run: 2 of its own, 7 of its LP, 10 of its VP and 6 kinds of intercepts, 2 of the root.
    assert_eq!(metrics.samples.len(), 2 * (2 + 7 + 10 + 6 + 2));
}

#[test]
fn nanoseconds_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = manifest("host", vec![experiment("one", 1, &[("g", 1)], &[])]);
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    let odd = Snapshot {
        wall_ns: 12_345_000_000_007,
        ..Snapshot::default()
    };
    writer.counters("one", 1, &odd).unwrap();
    let text = fs::read_to_string(dir.path().join(files::METRICS)).unwrap();
    assert!(text.contains("} 12345.000000007\n"), "{text}");
}

#[test]
fn labels_come_back_as_they_were_whatever_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let strange = "a \"b\"\\n\n{c},d=\"\u{e9}\"";
    let manifest = manifest("host", vec![experiment(strange, 1, &[(strange, 1)], &[])]);
    let mut writer = Writer::create(dir.path(), &manifest).unwrap();
    let counted = snapshot(S, 1, &[(strange, 0)], 0);
    writer.counters(strange, 12, &counted).unwrap();
    let labels = [
        ("experiment", strange),
        ("repetition", "12"),
        ("guest", strange),
        ("vp", "0"),
    ];
    let metrics = Metrics::read(dir.path());
    assert_eq!(
        metrics.get("apportion_vp_dispatches_total", &labels),
        Some(1000.0)
    );
}

#[test]
fn the_file_is_replaced_whole_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let names = fs::read_dir(dir.path()).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    let hidden: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn promtool_has_nothing_to_say() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path());
    let text = File::open(dir.path().join(files::METRICS)).unwrap();
    let mut promtool = Command::new("promtool");
    let output = match promtool.args(["check", "metrics"]).stdin(text).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Past the test's capture: a test that did not run says so.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: promtool is not on this host (Debian's package prometheus has it)"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success() && told.is_empty(), "{told}");
}
