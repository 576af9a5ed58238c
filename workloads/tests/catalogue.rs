//! The shipped experiments: each one reads, and promises the shares its text claims.

use apportion_scheduler::{Cap, Nanos, WeightScope};
use apportion_workloads::expected::{Claim, ReserveModel, expected, guest_shares};
use apportion_workloads::{
    Action, Change, Experiment, Guest, LoadError, Payload, Processor, catalogue, find, load, suite,
};

/// Numbers of equal guests with the share of each in percent of the LPs, in the order of the file.
type Shares = [(usize, f64)];

/// Experiments with their LPs and guest shares.
///
/// All but those whose guests sleep or change: their shares are no constants.
const DOCUMENTED: [(&str, u32, &Shares); 30] = [
    ("production-test", 2, &[(2, 40.0), (2, 10.0)]),
    ("three-weights", 1, &[(1, 20.0), (1, 30.0), (1, 50.0)]),
    ("tlfs", 1, &[(1, 10.0), (1, 20.0), (1, 70.0)]),
    ("equal", 2, &[(5, 20.0)]),
    ("cap", 1, &[(1, 25.0), (2, 37.5)]),
    ("reserve", 1, &[(1, 62.5), (3, 12.5)]),
    ("reserve-floor", 1, &[(1, 50.0), (3, 50.0 / 3.0)]),
    // 8 : 4 : 2 : 1.
    (
        "sql-mix",
        2,
        &[
            (1, 800.0 / 15.0),
            (1, 400.0 / 15.0),
            (1, 200.0 / 15.0),
            (1, 100.0 / 15.0),
        ],
    ),
    ("three-on-two", 2, &[(3, 100.0 / 3.0)]),
    ("ten-one-one", 2, &[(1, 50.0), (2, 25.0)]),
    ("one-to-one", 2, &[(2, 50.0)]),
    ("one-to-ten", 2, &[(1, 100.0 / 11.0), (1, 1000.0 / 11.0)]),
    ("uneven-vps", 1, &[(1, 20.0), (1, 80.0)]),
    ("uneven-vps-guest", 1, &[(2, 50.0)]),
    (
        "cgroup-over",
        2,
        &[(1, 50.0 / 3.0), (1, 100.0 / 3.0), (1, 50.0)],
    ),
    // An LP for every VP, and one of four is idle.
    ("cgroup-under", 4, &[(3, 25.0)]),
    ("cgroup-nested-over", 2, &[(2, 50.0)]),
    ("cgroup-nested-under", 4, &[(1, 25.0), (1, 50.0)]),
    ("cgroup-max", 1, &[(1, 1.0)]),
    ("reserve-pair", 2, &[(2, 37.5), (2, 12.5)]),
    ("reserve-pair-floor", 2, &[(4, 25.0)]),
    ("cap-idle", 1, &[(1, 25.0)]),
    ("weight-under-cap", 1, &[(1, 10.0), (2, 45.0)]),
    ("overcommit", 2, &[(1, 50.0)]),
    ("ticks", 2, &[(4, 25.0)]),
    // LP 0 for three, LP 1 for two.
    ("affinity", 2, &[(3, 50.0 / 3.0), (2, 25.0)]),
    // 16 of 64 LPs for twelve, 48 for the other twelve.
    (
        "affinity-nodes",
        64,
        &[(12, 25.0 / 12.0), (12, 75.0 / 12.0)],
    ),
    (
        "numa",
        64,
        &[
            (1, 300.0 / 17.0),
            (8, 100.0 / 17.0),
            (16, 100.0 / 68.0),
            (32, 100.0 / 272.0),
        ],
    ),
    // Two thirds of the LPs for 1,024 VPs, one third for as many.
    (
        "numa-1024",
        1024,
        &[(256, 200.0 / 3.0 / 256.0), (1024, 100.0 / 3.0 / 1024.0)],
    ),
    ("hundred-to-one", 1, &[(1, 50.0), (100, 0.5)]),
];

/// What runs without arguments.
const SUITE: [&str; 7] = [
    "production-test",
    "three-weights",
    "tlfs",
    "equal",
    "cap",
    "reserve",
    "reserve-floor",
];

#[test]
fn every_shipped_experiment_promises_the_documented_shares() {
    for (name, lps, shares) in DOCUMENTED {
        let experiment = find(name).unwrap();
        assert_eq!(experiment.lps, Some(lps), "{name}");
        let reserved = |guest: &Guest| guest.controls.reserve.percent() > 0.0;
        for model in ReserveModel::ALL {
            if experiment.guests.iter().any(reserved) && model != experiment.reserve_model {
                continue;
            }
            assert_shares(&experiment, model, shares);
        }
    }
}

fn assert_shares(experiment: &Experiment, model: ReserveModel, shares: &Shares) {
    let name = &experiment.name;
    let (lps, scope) = (experiment.lps.unwrap(), experiment.weight_scope);
    let expected = guest_shares(lps, &experiment.guests, scope, model).unwrap();
    let shares: Vec<f64> = shares
        .iter()
        .flat_map(|(guests, share)| vec![*share; *guests])
        .collect();
    assert_eq!(expected.len(), shares.len(), "{name}");
    for (expected, share) in expected.iter().zip(shares) {
        assert!(
            (expected - share).abs() < 1e-10,
            "{name}: {expected} for {share}"
        );
    }
}

#[test]
fn from_two_guests_on_overcommit_divides_two_lps_evenly() {
    let points = find("overcommit").unwrap().points(&Default::default());
    let points = points.unwrap();
    assert_eq!(points.len(), 8);
    for point in points {
        let guests = point.guests.len();
        let share = 50.0_f64.min(100.0 / guests as f64);
        assert_shares(&point, ReserveModel::Additive, &[(guests, share)]);
    }
}

#[test]
fn whatever_neither_sleeps_nor_changes_is_documented() {
    let constant = |experiment: &&Experiment| {
        let burns = |guest: &Guest| guest.payload == Payload::Burn;
        experiment.changes.is_empty() && experiment.guests.iter().all(burns)
    };
    let constant: Vec<&str> = catalogue()
        .iter()
        .filter(constant)
        .map(|experiment| experiment.name.as_str())
        .collect();
    assert_eq!(constant, DOCUMENTED.map(|(name, ..)| name));
}

#[test]
fn the_phases_of_live_weight_and_grow_are_those_their_texts_claim() {
    let live = find("live-weight").unwrap();
    let thirds = [(1, 100.0 / 3.0), (1, 200.0 / 3.0)];
    assert_shares(&live, ReserveModel::Additive, &thirds);
    let [change] = &live.changes[..] else {
        panic!("{:?}", live.changes)
    };
    let Action::Controls {
        guests, controls, ..
    } = &change.action
    else {
        panic!("{change:?}")
    };
    assert_eq!(
        (change.at.to_string(), &guests[..]),
        ("5s".into(), &[0][..])
    );
    let mut after = live.clone();
    after.guests[0].controls.weight = controls.weight.unwrap();
    assert_shares(&after, ReserveModel::Additive, &[thirds[1], thirds[0]]);

    let grow = find("grow").unwrap();
    assert_shares(&grow, ReserveModel::Additive, &thirds);
    let actions: Vec<&Action> = grow.changes.iter().map(|change| &change.action).collect();
    assert_eq!(
        actions,
        [
            &Action::AddVps {
                guests: vec![0],
                vps: 1
            },
            &Action::LpOff {
                lp: 1,
                force: false
            },
            &Action::LpOn { lp: 1 },
        ]
    );
    let mut after = grow.clone();
    after.guests[0].vps += 1;
    for lps in [2, 1] {
        after.lps = Some(lps);
        assert_shares(&after, ReserveModel::Additive, &[(2, 50.0)]);
    }
}

/// The experiment with these of its guests alone, in its order.
fn with(experiment: &Experiment, names: &[&str]) -> Experiment {
    let mut some = experiment.clone();
    let there = |guest: &Guest| names.contains(&guest.group.as_str());
    some.guests.retain(there);
    some
}

#[test]
fn guests_that_come_and_go_share_with_who_is_there() {
    let additive = ReserveModel::Additive;
    let visited = find("come-and-go").unwrap();
    assert_shares(&with(&visited, &["resident"]), additive, &[(2, 50.0)]);
    assert_shares(&visited, additive, &[(2, 25.0), (1, 50.0)]);
    let told = |change: &Change| (change.at.as_secs_f64(), change.action.clone());
    let guests = || vec![2];
    assert_eq!(
        visited.changes.iter().map(told).collect::<Vec<_>>(),
        [
            (3.0, Action::StartGuests { guests: guests() }),
            (7.0, Action::StopGuests { guests: guests() }),
        ]
    );

    let insured = find("cap-insurance").unwrap();
    // A quarter of an LP each, and the rest is idle.
    assert_shares(&with(&insured, &["test"]), additive, &[(2, 12.5)]);
    // 100 : 100 : 2·400 on two LPs.
    assert_shares(&insured, additive, &[(2, 10.0), (1, 80.0)]);
    let mut uncapped = insured.clone();
    for guest in &mut uncapped.guests {
        guest.controls.cap = Cap::default();
    }
    assert_shares(&uncapped, additive, &[(2, 10.0), (1, 80.0)]);
    let starts = Action::StartGuests { guests: vec![2] };
    assert_eq!(insured.changes[0].action, starts);
}

/// The parts of an LP that guests of one VP receive, none of which uses more than it declares to want.
fn parts(experiment: &Experiment) -> Vec<f64> {
    let claim = |guest: &Guest| {
        assert_eq!(guest.vps, 1);
        let demand = match guest.payload {
            Payload::Periodic { period, run } => run.0 as f64 / period.0 as f64,
            Payload::Bursts { every, run, .. } => run.0 as f64 / every.0 as f64,
            _ => 1.0,
        };
        let claim = Claim::scoped(&guest.controls, 1, experiment.weight_scope);
        Claim {
            upper: claim.upper.min(demand),
            ..claim
        }
    };
    let claims: Vec<Claim> = experiment.guests.iter().map(claim).collect();
    expected(experiment.lps.unwrap(), &claims, experiment.reserve_model)
}

#[test]
fn who_sleeps_is_expected_to_use_what_it_wants() {
    let near = |experiment: &Experiment, expected: &[f64]| {
        let parts = parts(experiment);
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10;
        assert_eq!(parts.len(), expected.len());
        assert!(parts.iter().zip(expected).all(near), "{parts:?}");
    };
    let cycles = find("duty-cycles").unwrap();
    near(&cycles, &[0.25, 0.5, 0.625, 0.625]);
    let reserved = find("reserve-above-demand").unwrap();
    near(&reserved, &[0.1, 0.3, 0.3, 0.3]);
    let idle = find("idle-reserve").unwrap();
    near(&idle, &[0.01, 0.495, 0.495]);

    // Beside the noise as before it.
    let tenant = find("noisy-neighbour").unwrap();
    near(&with(&tenant, &["tenant", "quiet"]), &[0.3, 0.1]);
    let mut noisy = tenant.clone();
    noisy.guests.iter_mut().for_each(|guest| guest.vps = 1);
    noisy.guests.extend(noisy.guests[2..].to_vec());
    near(&noisy, &[&[0.3, 0.1][..], &[0.2; 8]].concat());
}

#[test]
fn shipped_files_bear_their_name_and_say_why() {
    for experiment in catalogue() {
        assert_eq!(
            *experiment.source,
            format!("experiments/{}.toml", experiment.name)
        );
        assert!(
            experiment.why.len() > 40,
            "{}: {}",
            experiment.name,
            experiment.why
        );
        assert!(!experiment.why.contains('\n'), "{}", experiment.name);
    }
    let suite: Vec<&str> = suite().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(suite, SUITE);
}

#[test]
fn a_count_spreads_into_numbered_guests() {
    let experiment = find("production-test").unwrap();
    let names: Vec<_> = experiment
        .guests
        .iter()
        .map(|guest| guest.name.as_str())
        .collect();
    assert_eq!(names, ["production-1", "production-2", "test-1", "test-2"]);
    assert_eq!(experiment.guests[1].group, "production");
    assert_eq!(experiment.guests[1].vps, 2);
    assert_eq!(experiment.guests[1].controls.weight.get(), 200);
    assert_eq!(experiment.guests[1].payload, Payload::Burn);
}

#[test]
fn what_is_not_said_has_its_default() {
    let text = "schema = 1\nname = \"least\"\nwhy = \"Defaults.\"\n[[guest]]\nname = \"one\"\n";
    let least = Experiment::parse(text, "least.toml").unwrap();
    assert_eq!(least.lps, None);
    assert_eq!(least.duration.to_string(), "10s");
    assert_eq!(least.warm_up.to_string(), "1s");
    assert_eq!(least.slice.to_string(), "1ms");
    assert_eq!(least.policy.to_string(), "fair");
    assert_eq!(least.repetitions, 1);
    assert_eq!(least.tolerance_pp, 0.5);
    assert_eq!((least.nodes, least.seed), (1, 1));
    assert_eq!(least.reserve_model, ReserveModel::Additive);
    assert_eq!(least.weight_scope, WeightScope::Vp);
    assert_eq!(least.simulator.overhead.to_string(), "2us");
    assert_eq!(least.simulator.kick_latency.to_string(), "25us");
    assert_eq!(least.changes, []);
    assert_eq!((&*least.text, &*least.source), (text, "least.toml"));
    let one = &least.guests[0];
    assert_eq!(
        (one.name.as_str(), one.group.as_str(), one.vps),
        ("one", "one", 1)
    );
    assert_eq!(one.controls.weight.get(), 100);
    assert_eq!(one.controls.reserve.percent(), 0.0);
    assert_eq!(one.controls.cap.percent(), 100.0);
    assert_eq!(one.affinity, None);
    assert_eq!((one.memory, one.ticks), (4 << 20, 0));
    assert_eq!(one.processor, Processor::Host);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        schema = 1
        name = "all-keys"
        why = "Each key once."
        lps = 0x10
        nodes = 2
        duration = "2min"
        warm_up = "0s"
        slice = "2.5ms"
        policy = "round-robin"
        weight_scope = "guest"
        reserve_model = "floor"
        repetitions = 3
        tolerance_pp = 1
        seed = 9_223_372_036_854_775_807

        [[guest]]
        name = "bomb"
        count = 1
        vps = 4
        weight = 1_000
        reserve = 12.5
        cap = 75
        affinity = [3, 1, 15]
        memory = "6MiB"
        processor = "compatible"
        ticks = 250
        payload = "crash"
        after_work = 5_000_000

        [simulator]
        overhead = "0s"
        kick_latency = "1ms"
    "#;
    let all = Experiment::parse(text, "all.toml").unwrap();
    assert_eq!((all.lps, all.nodes), (Some(16), 2));
    assert_eq!(all.duration.to_string(), "120s");
    assert_eq!(all.warm_up.to_string(), "0ns");
    assert_eq!(all.slice.to_string(), "2.500ms");
    assert_eq!(all.policy.to_string(), "round-robin");
    assert_eq!(all.weight_scope, WeightScope::Guest);
    assert_eq!(all.reserve_model, ReserveModel::Floor);
    assert_eq!((all.repetitions, all.tolerance_pp), (3, 1.0));
    assert_eq!(all.seed, (1 << 63) - 1);
    assert_eq!(all.simulator.overhead, Nanos::ZERO);
    assert_eq!(all.simulator.kick_latency, Nanos::from_millis(1));
    let bomb = &all.guests[0];
    assert_eq!((bomb.name.as_str(), bomb.vps), ("bomb", 4));
    assert_eq!(bomb.controls.weight.get(), 1_000);
    assert_eq!(bomb.controls.reserve.percent(), 12.5);
    assert_eq!(bomb.controls.cap.percent(), 75.0);
    assert_eq!(bomb.affinity, Some(vec![1, 3, 15]));
    assert_eq!((bomb.memory, bomb.ticks), (6 << 20, 250));
    assert_eq!(bomb.processor, Processor::Compatible);
    assert_eq!(
        bomb.payload,
        Payload::Crash {
            after_work: 5_000_000
        }
    );
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest_and_all() {
    insta::assert_snapshot!(find("production").unwrap_err(), @r"
    no shipped experiment is called `production`: did you mean `production-test`?
    shipped are: `production-test`, `three-weights`, `tlfs`, `equal`, `cap`, `reserve`, `reserve-floor`, `sql-mix`, `three-on-two`, `ten-one-one`, `one-to-one`, `one-to-ten`, `uneven-vps`, `uneven-vps-guest`, `cgroup-over`, `cgroup-under`, `cgroup-nested-over`, `cgroup-nested-under`, `cgroup-max`, `reserve-pair`, `reserve-pair-floor`, `reserve-above-demand`, `idle-reserve`, `cap-idle`, `cap-insurance`, `weight-under-cap`, `wake`, `duty-cycles`, `overcommit`, `live-weight`, `grow`, `come-and-go`, `spin`, `spin-silent`, `probe`, `probe-reserve`, `noisy-neighbour`, `ticks`, `elapsed`, `elapsed-weights`, `elapsed-reserves`, `elapsed-bursts`, `elapsed-bursts-weights`, `elapsed-bursts-reserves`, `affinity`, `affinity-nodes`, `numa`, `numa-1024`, `hundred-to-one`, `replay`, `replay-half`
    a file is named by an argument that ends in `.toml` or contains `/`
    ");
    insta::assert_snapshot!(load("friedman").unwrap_err(), @r"
    no shipped experiment is called `friedman`
    shipped are: `production-test`, `three-weights`, `tlfs`, `equal`, `cap`, `reserve`, `reserve-floor`, `sql-mix`, `three-on-two`, `ten-one-one`, `one-to-one`, `one-to-ten`, `uneven-vps`, `uneven-vps-guest`, `cgroup-over`, `cgroup-under`, `cgroup-nested-over`, `cgroup-nested-under`, `cgroup-max`, `reserve-pair`, `reserve-pair-floor`, `reserve-above-demand`, `idle-reserve`, `cap-idle`, `cap-insurance`, `weight-under-cap`, `wake`, `duty-cycles`, `overcommit`, `live-weight`, `grow`, `come-and-go`, `spin`, `spin-silent`, `probe`, `probe-reserve`, `noisy-neighbour`, `ticks`, `elapsed`, `elapsed-weights`, `elapsed-reserves`, `elapsed-bursts`, `elapsed-bursts-weights`, `elapsed-bursts-reserves`, `affinity`, `affinity-nodes`, `numa`, `numa-1024`, `hundred-to-one`, `replay`, `replay-half`
    a file is named by an argument that ends in `.toml` or contains `/`
    ");
}

#[test]
fn paths_are_files_and_everything_else_is_a_name() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let path = format!("{folder}/experiments/equal.toml");
    let loaded = load(&path).unwrap();
    assert_eq!(*loaded.source, path);
    assert_eq!(loaded.guests, load("equal").unwrap().guests);

    let error = load("no/such/experiment").unwrap_err();
    assert!(matches!(error, LoadError::Unreadable { .. }));
    assert!(
        error
            .to_string()
            .contains("no/such/experiment: No such file"),
        "{error}"
    );
    assert!(matches!(
        load("equal.toml").unwrap_err(),
        LoadError::Unreadable { .. }
    ));
    let broken = format!("{folder}/tests/broken/syntax.toml");
    assert!(matches!(load(&broken).unwrap_err(), LoadError::Invalid(_)));
}
