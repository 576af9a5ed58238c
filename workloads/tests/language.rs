//! Payloads and changes as files give them, and what is checked after the command line had its say.

use apportion_scheduler::{Cap, Nanos, Reserve, Weight};
use apportion_workloads::{
    Action, Attack, Change, Experiment, Misfit, NewControls, Ns, Payload, Processor,
};

fn parse(body: &str) -> Experiment {
    let text = format!("schema = 1\nname = \"test\"\nwhy = \"A test.\"\n{body}");
    Experiment::parse(&text, "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

/// What a guest with these lines runs.
fn payload(lines: &str) -> Payload {
    parse(&format!("[[guest]]\nname = \"one\"\n{lines}")).guests[0].payload
}

const MS: Ns = Ns(1_000_000);

#[test]
fn each_payload_has_its_keys() {
    let spin = |threshold| Payload::Spin {
        critical: Ns(50_000),
        think: MS,
        threshold,
    };
    let work = |burst, pause| Payload::FixedWork {
        units: 7,
        burst,
        pause,
    };
    let memory = |stride| Payload::Memory {
        working_set: 4_096,
        stride,
    };
    let bursts = |random| Payload::Bursts {
        every: Ns(10_000_000),
        run: MS,
        random,
    };
    let periodic = Payload::Periodic {
        period: Ns(20_000_000),
        run: MS,
    };
    let on_off = Payload::OnOff {
        on: Ns(10_000),
        off: Ns(60_000_000_000),
    };
    let probe = Payload::Probe {
        period: MS,
        run: Ns(20_000),
    };
    let cases = [
        ("burn", "", Payload::Burn),
        ("crash", "after_work = 5", Payload::Crash { after_work: 5 }),
        ("periodic", "period = '20ms'\nrun = '1ms'", periodic),
        ("on-off", "on = '10us'\noff = '60s'", on_off),
        ("spin", "critical = '50us'\nthink = '1ms'", spin(2_048)),
        (
            "spin",
            "critical = '50us'\nthink = '1ms'\nhint = true\nthreshold = 4294967294",
            spin(4_294_967_294),
        ),
        (
            "spin",
            "critical = '50us'\nthink = '1ms'\nhint = false",
            spin(0),
        ),
        ("fixed-work", "units = 7", work(0, Ns(0))),
        (
            "fixed-work",
            "units = 7\nburst = 2\npause = '1ms'",
            work(2, MS),
        ),
        ("memory", "working_set = '4KiB'", memory(64)),
        (
            "memory",
            "working_set = '4096B'\nstride = '4KiB'",
            memory(4_096),
        ),
        ("bursts", "every = '10ms'\nrun = '1ms'", bursts(false)),
        (
            "bursts",
            "every = '10ms'\nrun = '1ms'\nrandom = true",
            bursts(true),
        ),
        ("probe", "period = '1ms'\nrun = '20us'", probe),
        ("yield-loop", "run = '1ms'", Payload::YieldLoop { run: MS }),
        ("clock", "pause = '1ms'", Payload::Clock { pause: MS }),
        ("vector", "", Payload::Vector),
    ];
    for (name, lines, expected) in cases {
        let parsed = payload(&format!("payload = '{name}'\n{lines}"));
        assert_eq!(parsed, expected, "{lines}");
        assert_eq!(parsed.to_string(), name);
    }
    for attack in Attack::ALL {
        let lines = format!("payload = 'hostile'\nattack = '{}'", attack.name());
        assert_eq!(payload(&lines), Payload::Hostile { attack });
    }
}

#[test]
fn memory_processor_and_ticks_have_defaults_and_keys() {
    let experiment = parse(
        r#"
        [[guest]]
        name = "plain"
        [[guest]]
        name = "furnished"
        memory = "16GiB"
        processor = "compatible"
        ticks = 10_000
        [[guest]]
        name = "wide"
        payload = "vector"
        processor = "host"
        "#,
    );
    let told: Vec<_> = experiment
        .guests
        .iter()
        .map(|guest| (guest.memory, guest.processor, guest.ticks))
        .collect();
    assert_eq!(
        told,
        [
            (4 << 20, Processor::Host, 0),
            (16 << 30, Processor::Compatible, 10_000),
            (4 << 20, Processor::Host, 0),
        ]
    );
}

#[test]
fn memory_is_sized_for_all_working_sets_that_there_will_be() {
    let experiment = parse(
        r#"
        [[guest]]
        name = "least"
        payload = "memory"
        working_set = "1MiB"
        [[guest]]
        name = "brim"
        vps = 3
        payload = "memory"
        working_set = "1MiB"
        [[guest]]
        name = "over"
        payload = "memory"
        working_set = "1032KiB"
        [[guest]]
        name = "growing"
        count = 2
        payload = "memory"
        working_set = "1MiB"
        [[guest]]
        name = "roomy"
        memory = "6MiB"
        payload = "memory"
        working_set = "1MiB"
        [[change]]
        at = "1s"
        guest = "growing"
        add_vps = 1
        [[change]]
        at = "2s"
        guest = "growing-2"
        add_vps = 62
        [[change]]
        at = "3s"
        guest = "roomy"
        add_vps = 2
        "#,
    );
    let mib: Vec<u64> = experiment.guests.iter().map(|g| g.memory >> 20).collect();
    // 3 MiB below the heap and 1 MiB for each VP, in steps of 2 MiB.
    assert_eq!(mib, [4, 6, 6, 6, 68, 6]);
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
    [[guest]]
    name = "late"
    count = 2
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
    at = "2.5s"
    guest = "production"
    interrupts = 1_000
    [[change]]
    at = "2.5s"
    guest = "test"
    stop = true
    [[change]]
    at = "2.5s"
    guest = "late"
    start = true
    [[change]]
    at = "3s"
    guest = "late-2"
    cap = 20
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
                controls: NewControls {
                    weight: Weight::new(200).ok(),
                    reserve: Reserve::from_percent(50.0).ok(),
                    cap: None,
                },
            },
        ),
        (
            1_000,
            Action::Controls {
                guest: "production-2".to_owned(),
                guests: vec![1],
                controls: NewControls {
                    weight: None,
                    reserve: None,
                    cap: Cap::from_percent(62.5).ok(),
                },
            },
        ),
        (
            2_500,
            Action::AddVps {
                guests: vec![2],
                vps: 63,
            },
        ),
        (
            2_500,
            Action::PostInterrupts {
                guests: vec![0, 1],
                interrupts: 1_000,
            },
        ),
        (2_500, Action::StopGuests { guests: vec![2] }),
        (2_500, Action::StartGuests { guests: vec![3, 4] }),
        (
            3_000,
            Action::Controls {
                guest: "late-2".to_owned(),
                guests: vec![4],
                controls: NewControls {
                    weight: None,
                    reserve: None,
                    cap: Cap::from_percent(20.0).ok(),
                },
            },
        ),
        (3_000, Action::LpOff { lp: 1, force: true }),
        (4_000, Action::LpOn { lp: 1 }),
    ];
    let numbered = actions.into_iter().enumerate();
    let expected = numbered.map(|(entry, (ms, action))| Change {
        entry,
        at: Nanos::from_millis(ms),
        action,
    });
    assert_eq!(parse(CHANGING).changes, expected.collect::<Vec<_>>());
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

#[test]
fn whole_numbers_may_stand_in_any_base_that_toml_has() {
    let of = |number: &str| {
        let experiment = parse(&format!(
            "tolerance_pp = {number}\nseed = {number}\n[[guest]]\nname = \"one\"\nreserve = {number}\nweight = {number}\n"
        ));
        let controls = experiment.guests[0].controls;
        let told = [f64::from(controls.weight.get()), experiment.seed as f64];
        assert_eq!(told, [experiment.tolerance_pp; 2], "{number}");
        assert_eq!(
            controls.reserve.percent(),
            experiment.tolerance_pp,
            "{number}"
        );
        experiment.tolerance_pp
    };
    assert_eq!(of("0x10"), 16.0);
    assert_eq!(of("0x1_F"), 31.0);
    assert_eq!(of("0o17"), 15.0);
    assert_eq!(of("0b1010"), 10.0);
    assert_eq!(of("1_0"), 10.0);
    assert_eq!(of("+7"), 7.0);
    let decimals = parse("tolerance_pp = 1_0.2_5\n[[guest]]\nname = \"one\"\n");
    assert_eq!(decimals.tolerance_pp, 10.25);
}
