//! What the manifest says of how guests were served.

use super::run::Run;
use super::sums::{inside, overlap};
use serde_json::Value;

pub(super) fn check(run: &Run, entry: &Value) {
    if run.measured.0 == run.measured.1 {
        return;
    }
    let entries = entry["service"].as_array().unwrap();
    assert_eq!(entries.len(), run.guests.len());
    for (guest, recorded) in entries.iter().enumerate() {
        assert_eq!(recorded["guest"], run.guests[guest].as_str());
        let of_guest = |vp: usize| run.vps[vp].0 == guest;
        let dispatches = run.dispatches.iter().filter(|it| of_guest(it.vp));
        let (mut begun, mut ready, mut on_lp, mut received, mut work) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for it in dispatches {
            let span = (it.start, it.end);
            if run.measured.0 <= it.start && it.start < run.measured.1 {
                begun += 1.0;
            }
            ready += overlap((it.ready, it.start), run.measured);
            on_lp += overlap(span, run.measured);
            received += inside(span, run.measured) * it.ran;
            work += inside(span, run.measured) * it.work;
        }
        let close = |name: &str, value: f64| {
            let told = recorded[name].as_f64().unwrap();
            assert!(
                (told - value).abs() <= 1.0 + 1e-6 * value,
                "{name}: {told}, recomputed {value}"
            );
        };
        close("dispatches", begun);
        close("ready_ns", ready);
        close("on_lp_ns", on_lp);
        close("received_ns", received);
        close("work", work);
        match begun {
            0.0 => assert!(recorded["wait_per_dispatch_ns"].is_null()),
            begun => close("wait_per_dispatch_ns", ready / begun),
        }
        match received {
            0.0 => assert!(recorded["stretch"].is_null()),
            received => close("stretch", (ready + on_lp) / received),
        }
    }
}
