//! Predictions: the documented answers under every reading, demand, and phases.

use apportion_scheduler::{ReserveModel, WeightScope};
use apportion_workloads::expected::guest_shares;
use apportion_workloads::predict::{Basis, Forecast, Reading, phases, predict};
use apportion_workloads::{Experiment, Payload, catalogue, find};

/// The experiment with these entries, on so many LPs.
fn experiment(lps: u32, entries: &str) -> Experiment {
    let text = format!("schema = 1\nname = \"x\"\nwhy = \"y\"\nlps = {lps}\n{entries}");
    Experiment::parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// `[[guest]]` entries with these keys each, named `a`, `b` and so on.
fn guests(keys: &[&str]) -> String {
    let letters = 'a'..='z';
    let entry = |(name, keys): (char, &&str)| format!("[[guest]]\nname = \"{name}\"\n{keys}\n");
    letters.zip(keys).map(entry).collect()
}

fn only(experiment: &Experiment) -> Forecast {
    let lps = experiment.lps.expect("a number of LPs");
    let [phase] = &predict(experiment, lps).expect("few affinities")[..] else {
        panic!("{} has several phases", experiment.name)
    };
    phase.clone()
}

/// Each guest's LPs under one reading.
fn received(phase: &Forecast, model: ReserveModel, scope: WeightScope) -> Vec<f64> {
    let reading = Reading {
        reserve_model: model,
        weight_scope: scope,
    };
    let guests = phase.guests.iter();
    guests.map(|guest| guest.received(reading)).collect()
}

#[track_caller]
fn assert_near(found: &[f64], wanted: &[f64]) {
    let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(
        near && found.len() == wanted.len(),
        "{found:?} for {wanted:?}"
    );
}

/// What both readings of a reserve and both scopes agree on.
#[track_caller]
fn assert_always(lps: u32, keys: &[&str], wanted: &[f64]) {
    let phase = only(&experiment(lps, &guests(keys)));
    for reading in Reading::ALL {
        assert_near(
            &received(&phase, reading.reserve_model, reading.weight_scope),
            wanted,
        );
    }
}

#[test]
fn the_documented_answers_hold() {
    assert_always(
        1,
        &["weight = 100", "weight = 200", "weight = 700"],
        &[0.1, 0.2, 0.7],
    );
    assert_always(
        1,
        &["weight = 100", "weight = 150", "weight = 250"],
        &[0.2, 0.3, 0.5],
    );
    let production = [
        "weight = 200\nvps = 2",
        "weight = 200\nvps = 2",
        "weight = 50\nvps = 2",
        "weight = 50\nvps = 2",
    ];
    assert_always(2, &production, &[0.8, 0.8, 0.2, 0.2]);
    assert_always(1, &[""; 5], &[0.2; 5]);
    assert_always(
        2,
        &["weight = 10", "weight = 1", "weight = 1"],
        &[1.0, 0.5, 0.5],
    );
    let seven = [&["weight = 10000"][..], &["weight = 1"; 7]].concat();
    let sevenths = [&[1.0][..], &[3.0 / 7.0; 7]].concat();
    assert_always(4, &seven, &sevenths);
    assert_always(2, &[""; 3], &[2.0 / 3.0; 3]);
    assert_always(
        1,
        &["cap = 25\nweight = 1000", "", ""],
        &[0.25, 0.375, 0.375],
    );
}

#[test]
fn the_two_readings_of_a_reserve_differ_as_documented() {
    for (lps, keys, additive, floor) in [
        (
            1,
            &["reserve = 50", "", "", ""],
            [0.625, 0.125, 0.125, 0.125],
            [0.5, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0],
        ),
        (
            4,
            &[
                "vps = 2\nreserve = 50",
                "vps = 2\nreserve = 50",
                "vps = 2",
                "vps = 2",
            ],
            [1.5, 1.5, 0.5, 0.5],
            [1.0; 4],
        ),
    ] {
        let phase = only(&experiment(lps, &guests(keys)));
        for scope in WeightScope::ALL {
            assert_near(&received(&phase, ReserveModel::Additive, scope), &additive);
            assert_near(&received(&phase, ReserveModel::Floor, scope), &floor);
        }
    }
}

#[test]
fn the_two_scopes_of_a_weight_differ_where_guests_have_different_numbers_of_vps() {
    let phase = only(&experiment(
        4,
        &guests(&["vps = 4", "vps = 1", "vps = 1\nweight = 300"]),
    ));
    let model = ReserveModel::Additive;
    // Of 4 : 1 : 3 parts on 4 LPs the last is worth more than one LP.
    assert_near(&received(&phase, model, WeightScope::Vp), &[2.4, 0.6, 1.0]);
    // Of 1 : 1 : 3 the last two are.
    assert_near(
        &received(&phase, model, WeightScope::Guest),
        &[2.0, 1.0, 1.0],
    );
    let claims: Vec<[u64; 2]> = phase
        .guests
        .iter()
        .map(|guest| WeightScope::ALL.map(|scope| guest.claim(scope)))
        .collect();
    assert_eq!(claims, [[400, 100], [100, 100], [300, 300]]);
}

#[test]
fn friedmans_tables_come_out() {
    let production = find("production-test").expect("it ships");
    let phase = only(&production);
    for reading in Reading::ALL {
        let lps = received(&phase, reading.reserve_model, reading.weight_scope);
        let shares: Vec<f64> = lps.iter().map(|lps| 50.0 * lps).collect();
        assert_near(&shares, &[40.0, 40.0, 10.0, 10.0]);
    }
}

#[test]
fn a_prediction_is_what_a_run_is_judged_by_where_nobody_sleeps() {
    let burns = |experiment: &&Experiment| {
        experiment.changes.is_empty()
            && experiment
                .guests
                .iter()
                .all(|guest| guest.payload == Payload::Burn)
    };
    let all: Vec<&Experiment> = catalogue().iter().filter(burns).collect();
    assert!(all.len() > 12);
    for experiment in all {
        let (phase, lps) = (only(experiment), experiment.lps.expect("a number of LPs"));
        for Reading {
            reserve_model,
            weight_scope,
        } in Reading::ALL
        {
            let judged = guest_shares(lps, &experiment.guests, weight_scope, reserve_model)
                .expect("no affinities");
            let judged: Vec<f64> = judged
                .iter()
                .map(|share| share * f64::from(lps) / 100.0)
                .collect();
            assert_near(&received(&phase, reserve_model, weight_scope), &judged);
        }
    }
}

#[test]
fn who_sleeps_is_due_what_he_wants_and_the_rest_is_the_others() {
    let sleeper = "payload = \"periodic\"\nperiod = \"100ms\"\nrun = \"1ms\"";
    assert_always(1, &[sleeper, "", ""], &[0.01, 0.495, 0.495]);
    let bursts = "payload = \"on-off\"\non = \"5ms\"\noff = \"20ms\"\ncap = 10";
    assert_always(1, &[bursts, ""], &[0.1, 0.9]);
    let phase = only(&experiment(1, &guests(&[sleeper, bursts, ""])));
    let bases: Vec<Basis> = phase
        .guests
        .iter()
        .map(|guest| guest.demand.basis)
        .collect();
    assert_eq!(bases, [Basis::Declared, Basis::Mean, Basis::Endless]);
    assert!((phase.usable() - 1.11).abs() < 1e-9);
}

#[test]
fn pinned_guests_share_the_lps_that_they_may_use() {
    let keys = [
        "affinity = [0]\nweight = 1000",
        "affinity = [0]",
        "affinity = [1]",
    ];
    assert_always(2, &keys, &[10.0 / 11.0, 1.0 / 11.0, 1.0]);
}

#[test]
fn changes_split_a_run_and_what_changes_nothing_does_not() {
    let grow = find("grow").expect("it ships");
    let phases_of = phases(&grow, 2);
    let times: Vec<(String, u32)> = phases_of
        .iter()
        .map(|phase| (phase.from.to_string(), phase.lps()))
        .collect();
    let wanted = [("0ns", 2), ("3s", 2), ("6s", 1), ("8s", 2)];
    assert_eq!(times, wanted.map(|(at, lps)| (at.to_owned(), lps)));
    let shares: Vec<f64> = predict(&grow, 2)
        .expect("no affinities")
        .iter()
        .map(|phase| 100.0 * phase.guests[0].received(Reading::of(&grow)) / f64::from(phase.lps))
        .collect();
    assert_near(&shares, &[100.0 / 3.0, 50.0, 50.0, 50.0]);

    let change = |keys: &str| format!("{}[[change]]\nat = \"2s\"\n{keys}\n", guests(&["", ""]));
    for keys in [
        "guest = \"a\"\ninterrupts = 3",
        "guest = \"a\"\nweight = 100",
        "lp_on = 1",
    ] {
        assert_eq!(phases(&experiment(2, &change(keys)), 2).len(), 1, "{keys}");
    }
}

#[test]
fn reserves_add_up_over_vps() {
    let phase = only(&experiment(
        4,
        &guests(&["vps = 2\nreserve = 50", "reserve = 12.5", ""]),
    ));
    assert!((phase.reserved() - 1.125).abs() < 1e-12);
}
