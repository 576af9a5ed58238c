//! What the manifest says of wakes, convergence and idleness.

use super::run::{Run, quantile};
use super::sums::Book;
use super::{AGREEMENT, idleness};
use serde_json::Value;

pub(super) fn check(book: &Book<'_>, entry: &Value) {
    if book.run.measured.0 < book.run.measured.1 {
        check_idleness(book, entry);
    }
    check_wakes(book.run, entry);
    check_convergence(book, entry);
}

fn check_idleness(book: &Book<'_>, entry: &Value) {
    let run = book.run;
    let clip = |(from, to): (f64, f64)| (from.max(run.measured.0), to.min(run.measured.1));
    let waits = run.dispatches.iter().map(|it| clip((it.ready, it.start)));
    let idle = run.idle.iter().map(|&(_, from, to)| clip((from, to)));
    let mut edges: Vec<(f64, i32, i32)> = Vec::new();
    for (span, waiting, idling) in waits
        .map(|span| (span, 1, 0))
        .chain(idle.map(|span| (span, 0, 1)))
        .filter(|(span, ..)| span.0 < span.1)
    {
        edges.push((span.0, waiting, idling));
        edges.push((span.1, -waiting, -idling));
    }
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut waiting, mut idling) = (0, 0);
    let counts = edges.chunk_by(|a, b| a.0 == b.0).map(|at_once| {
        waiting += at_once.iter().map(|edge| edge.1).sum::<i32>();
        idling += at_once.iter().map(|edge| edge.2).sum::<i32>();
        (at_once[0].0, waiting.min(idling) as usize)
    });
    let intervals = idleness::intervals(counts);
    let lasting = idleness::compare(&entry["idleness"], &intervals, book.overshoot);
    let wall = book.totals(run.measured).wall;
    let recorded = entry["noise"]["idle_while_ready_pct"].as_f64().unwrap();
    assert!(
        (recorded - 100.0 * lasting / wall).abs() < AGREEMENT,
        "{recorded} {}",
        100.0 * lasting / wall
    );
}

fn check_wakes(run: &Run, entry: &Value) {
    let disturbed: Vec<(f64, f64)> = run
        .dispatches
        .iter()
        .filter(|it| {
            let length = it.end - it.start;
            length - it.ran > run.slice / 2.0 || length > run.slice + 1e6
        })
        .map(|it| (it.start, it.end))
        .collect();
    for wakes in entry["wakes"].as_array().unwrap() {
        let guest = run
            .guests
            .iter()
            .position(|name| wakes["guest"] == *name)
            .unwrap();
        let bound = wakes["bound_ns"].as_f64();
        let (mut all, mut undisturbed) = (Vec::new(), Vec::new());
        for &(vp, due) in run.wakes.iter().filter(|(vp, _)| run.vps[*vp].0 == guest) {
            if due < run.measured.0 || due >= run.measured.1 {
                continue;
            }
            let mut received = 0.0;
            let served = run
                .dispatches
                .iter()
                .filter(|it| it.vp == vp && it.start >= due)
                .find(|it| {
                    received += it.ran;
                    let used_up = ["slice", "capped", "idle"].contains(&it.reason.as_str());
                    used_up || received >= run.burst[guest].min(run.slice)
                })
                .map_or(f64::INFINITY, |it| it.end);
            // It waits no more once its guest is stopped.
            let stopped = run.ends(vp).filter(|end| *end < run.measured.1);
            if stopped.is_some_and(|end| served >= end) {
                continue;
            }
            let until = served.min(run.measured.1);
            if served > run.measured.1 && bound.is_none_or(|bound| until - due <= bound) {
                continue;
            }
            all.push(until - due);
            if !disturbed.iter().any(|span| span.0 < until && span.1 > due) {
                undisturbed.push(until - due);
            }
        }
        for (name, mut latencies) in [("all", all), ("undisturbed", undisturbed)] {
            let recorded = &wakes[name];
            assert_eq!(
                recorded["wakes"].as_u64().unwrap(),
                latencies.len() as u64,
                "{wakes}"
            );
            for (q, column) in [(0.5, "p50_ns"), (0.99, "p99_ns"), (1.0, "max_ns")] {
                let value = quantile(&mut latencies, q);
                assert!(
                    (recorded[column].as_f64().unwrap() - value).abs() <= 1.0,
                    "{column} {wakes}"
                );
            }
            if let (Some(bound), Some(within)) = (bound, recorded["within_pct"].as_f64()) {
                // The bound is told in whole ns.
                let inside = latencies.iter().filter(|it| **it <= bound + 0.5).count() as f64;
                let value = 100.0 * inside / latencies.len() as f64;
                assert!((within - value).abs() < AGREEMENT, "{within} {value}");
            }
        }
    }
}

fn check_convergence(book: &Book<'_>, entry: &Value) {
    let run = book.run;
    let entries = entry["convergence"].as_array().unwrap();
    let changes = run.changes.iter().filter(|at| **at < run.measured.1);
    assert_eq!(entries.len(), changes.clone().count() * run.guests.len());
    for (index, &at) in changes.enumerate() {
        let next = run.changes.get(index + 1).copied();
        let end = next.unwrap_or(f64::INFINITY).min(run.measured.1);
        let steps = (((end - at) / 1e7).floor() as usize).min(100);
        let sums: Vec<_> = (1..=steps)
            .map(|step| (step, at + step as f64 * 1e7))
            .map(|(step, until)| (step, until, book.totals((at, until))))
            .collect();
        for name in &run.guests {
            let recorded = entries
                .iter()
                .find(|it| it["change_ns"].as_f64() == Some(at) && it["guest"] == **name)
                .unwrap();
            let row = [("guest", name.as_str()), ("scope", "guest")];
            let row = row.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let row = row.into();
            let outside = sums.iter().rev().find(|(_, until, totals)| {
                let vps = run.subject(&row, *until);
                let error = |&vp: &usize| totals.vps[vp].received - totals.vps[vp].expected;
                vps.iter().map(error).sum::<f64>().abs() > book.bound_ns(vps.len())
            });
            let first = outside.map_or(1, |(step, ..)| step + 1);
            let expected = (first <= steps).then_some(first as u64 * 10);
            assert_eq!(recorded["converged_ms"].as_u64(), expected, "{recorded}");
            assert_eq!(recorded["looked_at_ms"].as_u64(), Some(steps as u64 * 10));
            let until = sums.last().map_or(at, |(_, until, _)| *until);
            let vps = run.subject(&row, until).len();
            let (bound, told) = (book.bound_ns(vps), recorded["bound_ns"].as_f64().unwrap());
            // The recorder's j is in whole ns, and up to 4 n of them are in the bound.
            let rounding = 2.0 * vps as f64 + 0.5;
            assert!((told - bound).abs() <= rounding, "{bound} {recorded}");
        }
    }
}
