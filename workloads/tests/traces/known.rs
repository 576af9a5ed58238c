//! Each fixture, read by hand.

use super::{all, bursts, fixture, ids, means, source, try_load};
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{Format, Selection, Source, TracedControls, load};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn azure_v1() {
    let loaded = all("azure-v1");
    assert_eq!(
        (loaded.scanned.format, loaded.scanned.rows),
        (Format::Azure, 7)
    );
    assert_eq!(ids(&loaded), ["aaaa", "bbbb", "cccc"]);
    let [a, b, c] = &loaded.vms[..] else { panic!() };
    assert_eq!((a.vps, b.vps, c.vps), (2, 1, 4));
    assert_eq!(a.controls, TracedControls::default());
    assert_eq!(
        means(a),
        [(0.0, 300.0, 0.5), (300.0, 300.0, 1.0), (600.0, 300.0, 0.03)]
    );
    assert_eq!(means(b), [(0.0, 300.0, 0.125), (300.0, 300.0, 0.2)]);
    assert_eq!(means(c), [(300.0, 300.0, 4.0), (600.0, 300.0, 0.0)]);
    assert_eq!(c.cpu_seconds(), 1200.0);
    assert_eq!(c.end().as_secs_f64(), 900.0);
}

#[test]
fn azure_v2_has_buckets_and_folders_and_files_in_order_of_their_numbers() {
    let loaded = all("azure-v2/vm_cpu_readings");
    assert_eq!(ids(&loaded), ["v2-small", "v2-middle", "v2-large"]);
    let [small, middle, large] = &loaded.vms[..] else {
        panic!()
    };
    assert_eq!((small.vps, middle.vps, large.vps), (2, 24, 32));
    assert_eq!(means(small), [(0.0, 300.0, 0.5), (300.0, 300.0, 0.4)]);
    assert_eq!(means(middle), [(0.0, 300.0, 12.0)]);
    assert_eq!(means(large), [(0.0, 300.0, 3.2), (300.0, 300.0, 2.0)]);
}

#[test]
fn google() {
    let source = Source {
        machine_lps: Some(64.0),
        ..source(&[fixture("google")])
    };
    let loaded = try_load(&source, &Selection::default()).unwrap();
    assert_eq!((loaded.scanned.rows, loaded.scanned.gaps), (5, 2));
    assert_eq!(ids(&loaded), ["394921929841-3"]);
    let vm = &loaded.vms[0];
    // The highest percentile is 0.1875 of 64 LPs.
    assert_eq!(vm.vps, 12);
    assert_eq!(
        means(vm),
        [
            (600.0, 300.0, 2.0),
            (900.0, 300.0, 8.0),
            (1200.0, 60.0, 1.0)
        ]
    );
}

#[test]
fn alibaba() {
    let loaded = all("alibaba/container_usage.csv");
    assert_eq!((loaded.scanned.rows, loaded.scanned.gaps), (6, 1));
    assert_eq!(ids(&loaded), ["c_1", "c_2"]);
    let [first, second] = &loaded.vms[..] else {
        panic!()
    };
    let controls = |reserve, cap| TracedControls {
        weight: None,
        reserve_pct: Some(reserve),
        cap_pct: Some(cap),
    };
    assert_eq!((first.vps, first.controls), (8, controls(50.0, 100.0)));
    assert_eq!(
        means(first),
        [
            (0.0, 10.0, 1.0),
            (10.0, 20.0, 6.0),
            (30.0, 20.0, 2.0),
            (1000.0, 20.0, 0.0)
        ]
    );
    assert_eq!((second.vps, second.controls), (1, controls(50.0, 50.0)));
    assert_eq!(means(second), [(10.5, 10.0, 0.5)]);
}

#[test]
fn bitbrains() {
    let loaded = all("bitbrains");
    assert_eq!(loaded.scanned.rows, 6);
    assert_eq!(ids(&loaded), ["2", "10"]);
    let [first, second] = &loaded.vms[..] else {
        panic!()
    };
    assert_eq!((first.vps, second.vps), (4, 1));
    assert_eq!(
        means(first),
        [
            (300.0, 300.0, 1.0),
            (600.0, 301.0, 2.0),
            (901.0, 301.0, 0.0),
            (1800.0, 301.0, 0.4)
        ]
    );
    assert_eq!(means(second), [(0.0, 300.0, 0.0), (300.0, 300.0, 0.8)]);
}

#[test]
fn planetlab() {
    let loaded = all("planetlab");
    assert_eq!(
        ids(&loaded),
        [
            "146-179_surfsnel_dsl_internl_net_root",
            "planetlab1_fixture_org_uw_oneswarm"
        ]
    );
    assert_eq!(loaded.vms[0].vps, 1);
    assert_eq!(
        means(&loaded.vms[0]),
        [
            (0.0, 300.0, 0.24),
            (300.0, 300.0, 0.34),
            (600.0, 300.0, 0.0),
            (900.0, 300.0, 1.0)
        ]
    );
}

#[test]
fn rt_app() {
    let loaded = all("rt-app/video.json");
    assert_eq!(ids(&loaded), ["decoder", "buffer-1", "buffer-2", "late"]);
    let [decoder, first, second, late] = &loaded.vms[..] else {
        panic!()
    };
    assert_eq!(
        bursts(decoder),
        [(0, 0, 4000), (0, 20_000, 4000), (0, 40_000, 4000)]
    );
    // 20 periods of 50 ms in the second that `global` grants.
    let filled: Vec<_> = (0..20)
        .flat_map(|it| [1000, 11_000].map(|at| (0, it * 50_000 + at, 1500)))
        .collect();
    assert_eq!(bursts(first), filled);
    assert_eq!(first.demand, second.demand);
    // The timer had gone off by the time that it was asked for: its next period begins there.
    assert_eq!(bursts(late), [(0, 0, 30_000), (0, 35_000, 30_000)]);
}

#[test]
fn what_never_sleeps_in_rt_app_wants_all_of_an_lp_for_as_long_as_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hog.json");
    let text =
        r#"{"tasks": {"hog": {"run": 1000}, "once": {"loop": 1, "run": 1000, "sleep": 4000}}}"#;
    std::fs::write(&path, text).unwrap();
    let part = |from, span| {
        let selection = Selection {
            from: Nanos::from_millis(from),
            span: Some(Nanos::from_millis(span)),
            ..Selection::default()
        };
        try_load(&source(std::slice::from_ref(&path)), &selection).unwrap()
    };
    let loaded = part(0, 10_000);
    assert_eq!(bursts(&loaded.vms[0]), [(0, 0, 10_000_000)]);
    assert_eq!(loaded.vms[0].end(), Nanos::from_millis(10_000));
    let loaded = part(3_000, 2_000);
    assert_eq!(ids(&loaded), ["hog"]);
    assert_eq!(bursts(&loaded.vms[0]), [(0, 0, 2_000_000)]);
    assert_eq!(loaded.scanned.until, Nanos::from_millis(5_000));

    // Who sleeps at last is known to want nothing until then.
    std::fs::write(&path, text.replace(r#""hog": {"run": 1000}, "#, "")).unwrap();
    assert_eq!(part(0, 10_000).scanned.until, Nanos::from_millis(5));
}

#[test]
fn timehist() {
    let loaded = all("timehist/two-tasks.txt");
    let scanned = loaded.scanned;
    assert_eq!((scanned.format, scanned.rows), (Format::Timehist, 7));
    // Of a CPU with nothing to do, and of a task that was running as the recording began.
    assert_eq!((scanned.used, scanned.gaps), (5, 2));
    assert_eq!(
        ids(&loaded),
        ["make[50]", "Web Content[41/40]", "kworker/0:1-eve[7]"]
    );
    let [make, web, kworker] = &loaded.vms[..] else {
        panic!()
    };
    // Preempted once, and no less one piece of work.
    assert_eq!(bursts(make), [(0, 1000, 4000), (0, 8900, 1000)]);
    assert_eq!(bursts(web), [(0, 750, 3000)]);
    assert_eq!(bursts(kworker), [(0, 10_488, 10)]);
}

#[test]
fn timehist_begins_with_what_fell_due_first_and_not_with_what_was_printed_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.txt");
    let head = "time cpu task name wait time sch delay run time\n------\n";
    // The second had been running for long when the first came and went, and is printed after it.
    let lines =
        "7.001000 [0001] short[2] 0.000 0.400 0.500\n7.100000 [0000] long[1] 0.000 1.000 99.000\n";
    std::fs::write(&path, [head, lines].concat()).unwrap();
    let mut seen = Vec::new();
    let loaded = load(&source(&[path]), &Selection::default(), &mut |it| {
        seen.push((it.bytes, it.of));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(ids(&loaded), ["long[1]", "short[2]"]);
    assert_eq!(bursts(&loaded.vms[0]), [(0, 0, 99_000)]);
    assert_eq!(bursts(&loaded.vms[1]), [(0, 100, 500)]);
    // It is read twice.
    assert!(
        seen.is_sorted() && seen.last().is_some_and(|(bytes, of)| bytes == of),
        "{seen:?}"
    );
}

#[test]
fn timehist_is_read_ahead_both_times_and_not_from_a_pipe() {
    static AHEAD: AtomicU32 = AtomicU32::new(0);
    let text = std::fs::read(fixture("timehist/two-tasks.txt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.gz");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&text).unwrap();
    std::fs::write(&path, packed.finish().unwrap()).unwrap();
    let packed = Source {
        format: Some(Format::Timehist),
        ahead: Some(|it| {
            AHEAD.fetch_add(1, Ordering::Relaxed);
            it
        }),
        ..source(&[path])
    };
    let loaded = try_load(&packed, &Selection::default()).unwrap();
    assert_eq!((loaded.scanned.rows, AHEAD.load(Ordering::Relaxed)), (7, 2));

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&text).unwrap();
    drop(writer);
    let piped = Source {
        format: Some(Format::Timehist),
        ..source(&[format!("/proc/self/fd/{}", reader.as_raw_fd()).into()])
    };
    let error = try_load(&piped, &Selection::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("save it to a file first"), "{error}");
    // Nothing has been taken out of it.
    let mut left = Vec::new();
    { reader }.read_to_end(&mut left).unwrap();
    assert_eq!(left, text);
}

#[test]
fn own() {
    let loaded = all("own/mixed.csv");
    assert_eq!(loaded.scanned.rows, 4);
    assert_eq!(ids(&loaded), ["web", "batch, night", "editor"]);
    let [web, batch, editor] = &loaded.vms[..] else {
        panic!()
    };
    let controls = TracedControls {
        weight: Some(200),
        reserve_pct: Some(10.0),
        cap_pct: Some(80.0),
    };
    assert_eq!((web.vps, web.controls), (2, controls));
    assert_eq!(
        means(web),
        [
            (0.0, 300.0, 0.5),
            (300.0, 300.0, 1.25),
            (600.0, 300.0, 0.0),
            (1200.0, 60.0, 2.0)
        ]
    );
    assert_eq!(means(batch), [(0.5, 0.25, 1.0), (0.75, 0.25, 0.125)]);
    assert_eq!(editor.vps, 4);
    assert_eq!(
        bursts(editor),
        [(3, 500, 250_000), (0, 1000, 2000), (0, 7_000_000, 0)]
    );
}
