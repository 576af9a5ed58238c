//! Rows that were read, left out or came twice: they add up, and every command sees the same ones.

use super::{FIXTURES, text, try_load, written};
use apportion_workloads::traces::{
    Format, Scanned, Selection, Source, TraceError, TracedDemand, convert, load, summarise,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

#[test]
fn bad_lines_can_be_left_out_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let readings =
        "0,aaaa,1,1,50\nnonsense\n0,bbbb,1,1,NaN\n300,aaaa,1,1,50\n0,aaaa,1,1,50\n300,dddd,1,1,1\n";
    let source = Source {
        skip_bad: true,
        ..written(folder.path(), Format::Azure, readings.as_bytes())
    };
    let loaded = try_load(&source, &Selection::default()).unwrap();
    assert_eq!(loaded.scanned.skipped, 4);
    assert_eq!(loaded.vms.len(), 1);
    assert_eq!(loaded.vms[0].cpu_seconds(), 600.0);

    let twice = text("own/mixed.csv").replace("1200,60", "840,60");
    let source = Source {
        skip_bad: true,
        ..written(folder.path(), Format::Own, twice.as_bytes())
    };
    let loaded = try_load(&source, &Selection::default()).unwrap();
    assert_eq!(loaded.scanned.skipped, 1);
    let TracedDemand::Means(means) = &loaded.vms[0].demand else {
        panic!()
    };
    assert_eq!(means.len(), 3);
}

/// Reads in all ways, which have to agree on what was read.
fn scanned(source: &Source, selection: &Selection) -> Scanned {
    let go_on = &mut |_| ControlFlow::Continue(());
    let scanned = load(source, selection, go_on).unwrap().scanned;
    let summary = summarise(source, selection, go_on).unwrap();
    assert_eq!(summary.scanned, scanned);
    let (_, converted) = convert(source, selection, go_on, Vec::new()).unwrap();
    assert_eq!(converted.scanned, scanned);
    scanned
}

#[test]
fn rows_add_up_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file, _) in FIXTURES {
        let content = text(file);
        let good = written(folder.path(), format, content.as_bytes());
        let all = scanned(&good, &Selection::default());
        assert_eq!((all.skipped, all.elsewhere()), (0, 0), "{format}: {all:?}");
        assert!(all.used > 0 && all.rows == all.used + all.gaps, "{all:?}");

        // Of one VM and of the others.
        let loaded = try_load(&good, &Selection::default()).unwrap();
        let ids: BTreeSet<String> = loaded.vms.iter().map(|vm| vm.id.clone()).collect();
        let used = |ids: BTreeSet<String>| {
            let part = scanned(
                &good,
                &Selection {
                    ids: Some(ids),
                    ..Selection::default()
                },
            );
            assert_eq!((part.rows, part.gaps), (all.rows, all.gaps), "{format}");
            assert_eq!(part.elsewhere(), all.used - part.used, "{format}");
            part.used
        };
        let sum: u64 = ids
            .iter()
            .map(|id| used(BTreeSet::from([id.clone()])))
            .sum();
        assert_eq!(sum, all.used, "{format}");

        // One line that is bad, or one event.
        let (bad, lost) = match format {
            Format::RtApp => (content.replacen("\"run\" : 4000", "\"mem\" : 4000", 1), 3),
            _ => (format!("{content}\nnonsense\n"), 0),
        };
        let source = Source {
            skip_bad: true,
            ..written(folder.path(), format, bad.as_bytes())
        };
        let part = scanned(&source, &Selection::default());
        assert_eq!((part.skipped, part.gaps), (1, all.gaps), "{format}");
        assert_eq!(part.used, all.used - lost, "{format}");
        assert_eq!(part.rows, all.rows - lost + 1, "{format}");
    }
}

#[test]
fn readings_that_come_twice_are_noticed_by_all_and_what_is_left_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let google = text("google/instance_usage-000000000000.json");
    let again = google
        .lines()
        .find(|it| it.contains("\"cpus\":0.03125"))
        .unwrap();
    let own = text("own/mixed.csv");
    let azure = text("azure-v1/vm_cpu_readings-file-1-of-2.csv");
    for (format, content, line) in [
        (Format::Google, google.clone(), again),
        (Format::Own, own, "web,2,200,10,80,450,300,0.25,"),
        (Format::Azure, azure, "300,bbbb,5,20,20"),
    ] {
        let plain = written(folder.path(), format, content.as_bytes());
        let once = try_load(&plain, &Selection::default()).unwrap();
        let content = format!("{}\n{line}\n", content.trim_end());
        let twice = written(folder.path(), format, content.as_bytes());
        let go_on = &mut |_| ControlFlow::Continue(());
        let all = Selection::default();
        let last = content.lines().count() as u64;
        for error in [
            load(&twice, &all, go_on).map(drop).unwrap_err(),
            summarise(&twice, &all, go_on).map(drop).unwrap_err(),
            convert(&twice, &all, go_on, Vec::new())
                .map(drop)
                .unwrap_err(),
        ] {
            match error {
                TraceError::BadLine(bad) => assert_eq!(bad.line, last, "{bad}"),
                other => panic!("{other}"),
            }
        }
        let skipping = Source {
            skip_bad: true,
            ..twice
        };
        assert_eq!(scanned(&skipping, &all).skipped, 1, "{format}");
        // The first one counts.
        assert_eq!(try_load(&skipping, &all).unwrap().vms, once.vms, "{format}");
        let (converted, _) = convert(&skipping, &all, go_on, Vec::new()).unwrap();
        let converted = written(folder.path(), Format::Own, &converted);
        assert_eq!(scanned(&converted, &all).skipped, 0, "{format}");
    }
}
