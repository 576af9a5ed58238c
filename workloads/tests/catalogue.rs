//! The shipped experiments: each one reads, and promises the shares its text claims.

use apportion_workloads::expected::{ReserveModel, guest_shares};
use apportion_workloads::{Experiment, LoadError, Payload, catalogue, find, load, names, suite};

/// Guest shares in percent of the LPs, in the order of the file.
const DOCUMENTED: [(&str, u32, &[f64]); 4] = [
    ("production-test", 2, &[40.0, 40.0, 10.0, 10.0]),
    ("three-weights", 1, &[20.0, 30.0, 50.0]),
    ("tlfs", 1, &[10.0, 20.0, 70.0]),
    ("equal", 2, &[20.0; 5]),
];

#[test]
fn every_shipped_experiment_promises_the_documented_shares() {
    assert_eq!(
        names().collect::<Vec<_>>(),
        DOCUMENTED.map(|(name, ..)| name)
    );
    for (name, lps, shares) in DOCUMENTED {
        let experiment = find(name).unwrap();
        assert_eq!(experiment.lps, Some(lps), "{name}");
        for model in [ReserveModel::Additive, ReserveModel::Floor] {
            let expected = guest_shares(lps, &experiment.guests, model);
            assert_eq!(expected.len(), shares.len(), "{name}");
            for (expected, share) in expected.iter().zip(shares) {
                assert!(
                    (expected - share).abs() < 1e-10,
                    "{name}: {expected} for {share}"
                );
            }
        }
    }
}

#[test]
fn shipped_files_bear_their_name_and_say_why() {
    for experiment in catalogue() {
        assert_eq!(
            experiment.source,
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
    assert_eq!(suite()[0].name, "production-test");
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
    assert_eq!(
        (least.text.as_str(), least.source.as_str()),
        (text, "least.toml")
    );
    let one = &least.guests[0];
    assert_eq!(
        (one.name.as_str(), one.group.as_str(), one.vps),
        ("one", "one", 1)
    );
    assert_eq!(one.controls.weight.get(), 100);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        schema = 1
        name = "all-keys"
        why = "Each key once."
        lps = 0x10
        duration = "2min"
        warm_up = "0s"
        slice = "2.5ms"
        policy = "round-robin"
        repetitions = 3
        tolerance_pp = 1

        [[guest]]
        name = "bomb"
        count = 1
        vps = 4
        weight = 1_000
        payload = "crash"
        after_work = 5_000_000
    "#;
    let all = Experiment::parse(text, "all.toml").unwrap();
    assert_eq!(all.lps, Some(16));
    assert_eq!(all.duration.to_string(), "120s");
    assert_eq!(all.warm_up.to_string(), "0ns");
    assert_eq!(all.slice.to_string(), "2.500ms");
    assert_eq!(all.policy.to_string(), "round-robin");
    assert_eq!((all.repetitions, all.tolerance_pp), (3, 1.0));
    let bomb = &all.guests[0];
    assert_eq!((bomb.name.as_str(), bomb.vps), ("bomb", 4));
    assert_eq!(bomb.controls.weight.get(), 1_000);
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
    shipped are: `production-test`, `three-weights`, `tlfs`, `equal`
    a file is named by an argument that ends in `.toml` or contains `/`
    ");
    insta::assert_snapshot!(load("friedman").unwrap_err(), @r"
    no shipped experiment is called `friedman`
    shipped are: `production-test`, `three-weights`, `tlfs`, `equal`
    a file is named by an argument that ends in `.toml` or contains `/`
    ");
}

#[test]
fn paths_are_files_and_everything_else_is_a_name() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let path = format!("{folder}/experiments/equal.toml");
    let loaded = load(&path).unwrap();
    assert_eq!(loaded.source, path);
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
