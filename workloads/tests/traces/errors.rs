//! What is wrong with a trace is said with its place; the messages are part of the product.

use super::{FIXTURES, fixture, source, text, try_load, written};
use apportion_workloads::traces::{Format, Selection, Source, TraceError};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write as _;
use std::path::Path;

fn error_of(source: &Source, folder: &Path) -> String {
    let error = match try_load(source, &Selection::default()) {
        Err(error) => match error.option() {
            Some(option) => format!("{error}\n{option}"),
            None => error.to_string(),
        },
        Ok(loaded) => panic!("{loaded:?}"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    error
        .replace(&format!("{}/", folder.display()), "")
        .replace(&format!("{}/", root.display()), "")
}

#[test]
fn a_bad_line_is_named_with_its_column_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    for (format, what, from, to) in [
        (
            Format::Azure,
            "not a number",
            "0,bbbb,5,20,12.5",
            "0,bbbb,5,20,much",
        ),
        (
            Format::Azure,
            "too few columns",
            "0,bbbb,5,20,12.5",
            "0,bbbb,5,20",
        ),
        (
            Format::Azure,
            "too many columns",
            "0,bbbb,5,20,12.5",
            "0,bbbb,5,20,12.5,",
        ),
        (
            Format::Azure,
            "negative",
            "0,bbbb,5,20,12.5",
            "0,bbbb,-5,20,12.5",
        ),
        (
            Format::Azure,
            "not a number in the sense of floats",
            "300,bbbb,5,20,20",
            "300,bbbb,5,20,NaN",
        ),
        (
            Format::Azure,
            "endless",
            "300,bbbb,5,20,20",
            "300,bbbb,5,inf,20",
        ),
        (
            Format::Azure,
            "above 100 %",
            "300,bbbb,5,20,20",
            "300,bbbb,5,20,101.5",
        ),
        (Format::Azure, "time going back", "300,cccc", "299,cccc"),
        (
            Format::Azure,
            "the same reading twice",
            "300,bbbb",
            "300,aaaa",
        ),
        (
            Format::Azure,
            "a VM that the table does not have",
            "300,cccc",
            "300,dddd",
        ),
        (
            Format::Azure,
            "bytes that are no text",
            "300,cccc",
            "300,\u{fffd}\u{7}",
        ),
        (
            Format::Google,
            "two readings for some of a time",
            "\"start_time\":\"900000000\"",
            "\"start_time\":\"899000000\"",
        ),
        (
            Format::Google,
            "no JSON",
            "{\"start_time\":\"900000000\"",
            "{start_time:",
        ),
        (
            Format::Google,
            "no time",
            "\"start_time\":\"600000000\"",
            "\"start\":\"600000000\"",
        ),
        (
            Format::Google,
            "a time that is no number",
            "\"600000000\"",
            "\"noon\"",
        ),
        (
            Format::Google,
            "ending before it begins",
            "\"end_time\":\"900000000\"",
            "\"end_time\":\"600000000\"",
        ),
        (
            Format::Google,
            "more than the largest machine",
            "\"cpus\":0.03125",
            "\"cpus\":1.5",
        ),
        (
            Format::Google,
            "a vector too short",
            "0,0.01,0.015,",
            "0.015,",
        ),
        (
            Format::Google,
            "a vector that falls",
            "0,0.01,0.015,",
            "0.01,0,0.015,",
        ),
        (
            Format::Alibaba,
            "101 stands for no reading",
            "c_1,m_10,10,150",
            "c_1,m_10,10,101",
        ),
        (
            Format::Alibaba,
            "more than the limit",
            "c_1,m_10,10,150",
            "c_1,m_10,10,250",
        ),
        (
            Format::Alibaba,
            "time going back",
            "c_1,m_10,30",
            "c_1,m_10,5",
        ),
        (
            Format::Alibaba,
            "a container without meta",
            "c_2,m_11",
            "c_9,m_11",
        ),
        (
            Format::Bitbrains,
            "no such column",
            "CPU usage [%]",
            "CPU [%]",
        ),
        (
            Format::Bitbrains,
            "other columns",
            "50.0;\t67108864.0;",
            "50.0;",
        ),
        (
            Format::Bitbrains,
            "time going back",
            "1376315447",
            "1376315146",
        ),
        (Format::Bitbrains, "no time", "1376315447", "2013-08-12"),
        (Format::PlanetLab, "not a number", "34", "34%"),
        (Format::PlanetLab, "above 100 %", "34", "134"),
        (
            Format::RtApp,
            "no JSON",
            "\"run\" : 4000,",
            "\"run\" : 4000",
        ),
        (
            Format::RtApp,
            "an event of which nobody knows how long it takes",
            "\"run\" : 4000",
            "\"mem\" : 4000",
        ),
        (
            Format::RtApp,
            "a negative time",
            "\"run\" : 4000",
            "\"run\" : -4000",
        ),
        (Format::RtApp, "no tasks", "\"tasks\"", "\"task\""),
        (
            Format::RtApp,
            "no end",
            "\"duration\" : 1",
            "\"duration\" : -1",
        ),
        (
            Format::Timehist,
            "no head",
            "---------------",
            "===============",
        ),
        (
            Format::Timehist,
            "no times",
            "5.000      0.500      2.000",
            "awakened: make[51]",
        ),
        (
            Format::Timehist,
            "no run time",
            "0.500      2.000",
            "0.500      ",
        ),
        (
            Format::Timehist,
            "no CPU",
            "[0001]  make[50]                            5",
            "0001  make[50]    5",
        ),
        (
            Format::Timehist,
            "longer than the clock",
            "5.000      0.500      2.000",
            "5.000 0.500 2000000.000",
        ),
        (
            Format::Own,
            "another version",
            "apportion-trace 1",
            "apportion-trace 2",
        ),
        (
            Format::Own,
            "other columns",
            "demand_lps,bursts",
            "demand_pct,bursts",
        ),
        (Format::Own, "more than its VPs", "0.5 1.25 0", "0.5 2.25 0"),
        (Format::Own, "neither means nor bursts", "0.5 1.25 0", ""),
        (
            Format::Own,
            "a burst of a VP that is none",
            "3@0.0005",
            "4@0.0005",
        ),
        (
            Format::Own,
            "an interval without length",
            "1200,60",
            "1200,0",
        ),
        (Format::Own, "a cap of nothing", "200,10,80", "200,10,0"),
        (
            Format::Own,
            "means and bursts of one VM",
            "editor,4",
            "web,4",
        ),
        (
            Format::Own,
            "two readings for one time",
            "1200,60",
            "840,60",
        ),
        (
            Format::Own,
            "a name that is not escaped",
            "batch%2c",
            "batch%",
        ),
    ] {
        let (_, file, _) = FIXTURES.into_iter().find(|it| it.0 == format).unwrap();
        let whole = text(file);
        assert!(whole.contains(from), "{format}: {from}");
        let source = written(
            folder.path(),
            format,
            whole.replacen(from, to, 1).as_bytes(),
        );
        let error = error_of(&source, folder.path());
        said.push_str(&format!("{format}, {what}:\n{error}\n\n"));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_bad_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        source(&[path])
    };
    let alone = |name: &str, content: &str| file(name, content.as_bytes());
    let mut archive = vec![b'c'; 600];
    archive[257..262].copy_from_slice(b"ustar");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let readings = text("azure-v1/vm_cpu_readings-file-1-of-2.csv");
    let google = text("google/instance_usage-000000000000.json");
    let said: Vec<String> = [
        source(&[folder.path().join("absent.csv")]),
        source(&[folder.path().join("empty")]),
        alone("nothing.csv", ""),
        alone("words.txt", "some words\n"),
        alone("vmtable-alone.csv", &text("azure-v1/vmtable.csv")),
        alone("no-table.csv", &readings),
        alone("usage.csv", &text("alibaba/container_usage.csv")),
        alone("google.json", &google),
        file("archive.tar", &archive),
        Source {
            vmtable: Some(fixture("alibaba/container_meta.csv")),
            ..alone("wrong-table.csv", &readings)
        },
    ]
    .iter()
    .map(|source| error_of(source, folder.path()))
    .collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_known_by_its_content_and_said_to_be_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file, _) in FIXTURES {
        let plain = written(folder.path(), format, text(file).as_bytes());
        let plain = try_load(&plain, &Selection::default()).unwrap();
        let packed = gzip(text(file).as_bytes());
        // Under the same name: it is the content that tells.
        let source = written(folder.path(), format, &packed);
        assert_eq!(
            try_load(&source, &Selection::default()).unwrap(),
            plain,
            "{format}"
        );

        let cut = written(folder.path(), format, &packed[..packed.len() - 20]);
        match try_load(&cut, &Selection::default()) {
            Err(TraceError::Truncated { bytes, .. }) => assert_eq!(bytes, packed.len() as u64 - 20),
            other => panic!("{format}: {other:?}"),
        }
        // No flag makes a file whole.
        let cut = Source {
            skip_bad: true,
            ..cut
        };
        assert!(matches!(
            try_load(&cut, &Selection::default()),
            Err(TraceError::Truncated { .. })
        ));
    }
    let readings = text("azure-v1/vm_cpu_readings-file-1-of-2.csv");
    let packed = gzip(readings.as_bytes());
    let cut = written(folder.path(), Format::Azure, &packed[..packed.len() / 2]);
    insta::assert_snapshot!(error_of(&cut, folder.path()));
}
