//! Recomputes shares.csv, demand.csv, and what the manifest says of each run, from the other files, by a path of its own:
//! no code of the harness, plain sums over the text of the CSV files.

mod claims;
mod demand;
mod formula;
pub(crate) mod idleness;
mod judge;
mod run;
mod service;
mod sums;
mod waits;

use judge::Judge;
use run::Run;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use sums::Book;

pub(crate) type Row = BTreeMap<String, String>;

/// What two computations may differ by, in percentage points.
const AGREEMENT: f64 = 0.01;

pub(crate) fn rows(dir: &Path, file: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(dir.join(file)).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

pub(crate) fn number(row: &Row, column: &str) -> f64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

/// Compares every row of shares.csv and every run of the manifest; returns how many rows there are.
pub(crate) fn check(dir: &Path) -> usize {
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("manifest.json")).unwrap()).unwrap();
    let (dispatches, events) = (rows(dir, "dispatches.csv"), rows(dir, "events.csv"));
    let shares = rows(dir, "shares.csv");
    let bursts = rows(dir, "bursts.csv");
    let replayed = dir.join("demand.csv").exists();
    let demand = if replayed {
        rows(dir, "demand.csv")
    } else {
        Vec::new()
    };
    let mut seen = 0;
    for entry in manifest["runs"].as_array().unwrap() {
        let name = entry["experiment"].as_str().unwrap();
        let repetition = entry["repetition"].to_string();
        let of_run = |rows: &[Row]| -> Vec<Row> {
            rows.iter()
                .filter(|row| row["experiment"] == name && row["repetition"] == repetition)
                .cloned()
                .collect()
        };
        let experiments = manifest["experiments"].as_array().unwrap();
        let experiment = experiments.iter().find(|it| it["name"] == name).unwrap();
        let (dispatches, events) = (of_run(&dispatches), of_run(&events));
        let bursts = of_run(&bursts);
        let run = Run::read(experiment, entry, &dispatches, &events, &bursts);
        let book = Book::new(&run);
        let mut judge = Judge::new(&book);
        let recorded = of_run(&shares);
        let mut keys = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for share in &recorded {
            let columns = ["scope", "guest", "vp", "window_ms", "window_start_ns"];
            let subject: Vec<String> = columns.map(|column| share[column].clone()).into();
            keys.insert((subject.clone(), share["check"].clone()));
            let checks = judge.check_row(share).into_iter();
            wanted.extend(checks.map(|check| (subject.clone(), check.to_owned())));
        }
        // Caps and reserves are checked where there are some, and nowhere else.
        assert_eq!(keys, wanted);
        waits::check(&book, entry);
        service::check(&run, entry);
        demand::check(&run, experiment, &bursts, &recorded, &of_run(&demand));
        seen += recorded.len();
    }
    if dir.join("claims.csv").exists() {
        claims::check(&manifest, &shares, &rows(dir, "claims.csv"));
    }
    assert_eq!(
        seen,
        shares.len(),
        "rows of runs that are not in the manifest"
    );
    seen
}
