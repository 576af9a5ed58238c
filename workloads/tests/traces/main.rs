//! Traces of demand: known answers of the fixtures, messages of broken ones, and what holds for all.

mod errors;
mod known;
mod own;
mod rows;
mod selected;
mod summary;
mod synthesis;

use apportion_scheduler::Nanos;
use apportion_workloads::traces::{
    Format, Loaded, Selection, Source, TraceError, TracedDemand, TracedVm, load,
};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A fixture.
fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("traces")
        .join(path)
}

/// The fixture of a format: the file to break, and the one beside it.
const FIXTURES: [(Format, &str, Option<&str>); 8] = [
    (
        Format::Azure,
        "azure-v1/vm_cpu_readings-file-1-of-2.csv",
        Some("azure-v1/vmtable.csv"),
    ),
    (
        Format::Google,
        "google/instance_usage-000000000000.json",
        None,
    ),
    (
        Format::Alibaba,
        "alibaba/container_usage.csv",
        Some("alibaba/container_meta.csv"),
    ),
    (Format::Bitbrains, "bitbrains/2.csv", None),
    (
        Format::PlanetLab,
        "planetlab/146-179_surfsnel_dsl_internl_net_root",
        None,
    ),
    (Format::RtApp, "rt-app/video.json", None),
    (Format::Timehist, "timehist/two-tasks.txt", None),
    (Format::Own, "own/mixed.csv", None),
];

fn text(path: &str) -> String {
    fs::read_to_string(fixture(path)).unwrap()
}

/// A trace of this content, with what stands beside it in its fixture.
fn written(folder: &Path, format: Format, content: &[u8]) -> Source {
    let (_, file, table) = FIXTURES.into_iter().find(|it| it.0 == format).unwrap();
    let path = folder.join(file.rsplit('/').next().unwrap());
    fs::write(&path, content).unwrap();
    Source {
        format: Some(format),
        vmtable: table.map(fixture),
        machine_lps: Some(64.0),
        ..source(&[path])
    }
}

/// A trace of these files.
fn source(files: &[PathBuf]) -> Source {
    Source {
        files: files.to_vec(),
        ..Source::default()
    }
}

fn try_load(source: &Source, selection: &Selection) -> Result<Loaded, TraceError> {
    load(source, selection, &mut |_| ControlFlow::Continue(()))
}

/// All of a fixture.
fn all(path: &str) -> Loaded {
    try_load(&source(&[fixture(path)]), &Selection::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded.vms.iter().map(|vm| vm.id.as_str()).collect()
}

/// Mean demand as (from, length, LPs), times in seconds, rounded to what floats can be relied on.
fn means(vm: &TracedVm) -> Vec<(f64, f64, f64)> {
    let TracedDemand::Means(means) = &vm.demand else {
        panic!("{vm:?}");
    };
    let lps = |it: f64| (it * 1e9).round() / 1e9;
    let plain = |it: &apportion_workloads::traces::Interval| {
        (it.from.as_secs_f64(), it.length.as_secs_f64(), lps(it.lps))
    };
    means.iter().map(plain).collect()
}

/// Bursts as (VP, due, CPU time), times in microseconds.
fn bursts(vm: &TracedVm) -> Vec<(u32, u64, u64)> {
    let TracedDemand::Bursts(bursts) = &vm.demand else {
        panic!("{vm:?}");
    };
    let micros = |it: Nanos| it.0 / 1000;
    bursts
        .iter()
        .map(|it| (it.vp, micros(it.at), micros(it.run)))
        .collect()
}
