//! Payloads and changes as files give them, and what is checked after the command line had its say.

use apportion_scheduler::{Cap, Nanos, Reserve, Weight};
use apportion_workloads::{Action, Change, Experiment, Misfit, Payload};

fn parse(body: &str) -> Experiment {
    let text = format!("schema = 1\nname = \"test\"\nwhy = \"A test.\"\n{body}");
    Experiment::parse(&text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

const MS: Nanos = Nanos::from_millis(1);

#[test]
fn each_payload_has_its_keys() {
    let experiment = parse(
        r#"
        [[guest]]
        name = "a"
        payload = "burn"
        [[guest]]
        name = "b"
        payload = "periodic"
        period = "20ms"
        run = "1ms"
        [[guest]]
        name = "c"
        payload = "on-off"
        on = "10us"
        off = "60s"
        [[guest]]
        name = "d"
        payload = "spin"
        critical = "50us"
        think = "1ms"
        [[guest]]
        name = "e"
        payload = "spin"
        critical = "50us"
        think = "1ms"
        hint = false
        "#,
    );
    let spin = |hint| Payload::Spin {
        critical: Nanos::from_micros(50),
        think: MS,
        hint,
    };
    let payloads: Vec<Payload> = experiment.guests.iter().map(|g| g.payload).collect();
    assert_eq!(
        payloads,
        [
            Payload::Burn,
            Payload::Periodic {
                period: Nanos::from_millis(20),
                run: MS
            },
            Payload::OnOff {
                on: Nanos::from_micros(10),
                off: Nanos::from_millis(60_000)
            },
            spin(true),
            spin(false),
        ]
    );
    let names: Vec<String> = payloads.iter().map(Payload::to_string).collect();
    assert_eq!(names, ["burn", "periodic", "on-off", "spin", "spin"]);
}

/// Two production guests, one test guest, and every kind of change.
const CHANGING: &str = r#"
    lps = 2
    [[guest]]
    name = "production"
    count = 2
    cap = 50
    [[guest]]
    name = "test"
    [[change]]
    at = "1s"
    guest = "production"
    weight = 200
    reserve = 50
    [[change]]
    at = "1s"
    guest = "production-2"
    cap = 62.5
    [[change]]
    at = "2.5s"
    guest = "test"
    add_vps = 63
    [[change]]
    at = "3s"
    lp_off = 1
    force = true
    [[change]]
    at = "4s"
    lp_on = 1
"#;

#[test]
fn each_change_has_its_form() {
    let actions = [
        (
            1_000,
            Action::Controls {
                guest: "production".to_owned(),
                guests: vec![0, 1],
                weight: Weight::new(200).ok(),
                reserve: Reserve::from_percent(50.0).ok(),
                cap: None,
            },
        ),
        (
            1_000,
            Action::Controls {
                guest: "production-2".to_owned(),
                guests: vec![1],
                weight: None,
                reserve: None,
                cap: Cap::from_percent(62.5).ok(),
            },
        ),
        (
            2_500,
            Action::AddVps {
                guests: vec![2],
                vps: 63,
            },
        ),
        (3_000, Action::LpOff { lp: 1, force: true }),
        (4_000, Action::LpOn { lp: 1 }),
    ];
    let expected = actions.map(|(ms, action)| Change {
        at: Nanos::from_millis(ms),
        action,
    });
    assert_eq!(parse(CHANGING).changes, expected);
}

#[test]
fn a_change_applies_to_what_earlier_changes_have_made() {
    // Cap 20 goes below the first reserve, but not below the one it has by then.
    let experiment = parse(
        r#"
        [[guest]]
        name = "one"
        reserve = 50
        [[change]]
        at = "1s"
        guest = "one"
        reserve = 10
        [[change]]
        at = "2s"
        guest = "one"
        cap = 20
        "#,
    );
    assert_eq!(experiment.changes.len(), 2);
}

#[test]
fn overrides_that_leave_a_change_out_are_named() {
    let mut experiment = parse(CHANGING);
    assert_eq!(experiment.check_changes(), Ok(()));

    experiment.duration = Nanos::from_millis(4_000);
    let error = experiment.check_changes().unwrap_err();
    assert!(matches!(error, Misfit::TooLate { .. }));
    assert_eq!(
        error.to_string(),
        "the change at 4s would come too late: measuring ends after 4s, use a longer duration"
    );
    experiment.duration += Nanos(1);
    assert_eq!(experiment.check_changes(), Ok(()));

    experiment.lps = Some(1);
    assert_eq!(
        experiment.check_changes().unwrap_err().to_string(),
        "the change at 3s concerns LP 1: use at least 2 LPs, not 1"
    );
    experiment.lps = None;
    assert_eq!(experiment.check_changes(), Ok(()));
}

#[test]
fn overrides_that_leave_no_room_for_nodes_or_affinities_are_named() {
    let mut experiment = parse(
        "lps = 8\nnodes = 4\n[[guest]]\nname = \"free\"\n\
         [[guest]]\nname = \"pinned\"\naffinity = [7, 2]",
    );
    assert_eq!(experiment.check_placement(), Ok(()));
    experiment.lps = Some(7);
    assert_eq!(
        experiment.check_placement().unwrap_err().to_string(),
        "the affinity of guest pinned names LP 7: use at least 8 LPs, not 7"
    );
    experiment.lps = Some(3);
    assert_eq!(
        experiment.check_placement().unwrap_err().to_string(),
        "4 nodes are more than there are LPs: use at least 4 LPs, not 3"
    );
}
