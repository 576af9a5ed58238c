//! Defaults, settings, sweeps and claims: what one file stands for.

use apportion_workloads::{
    Axis, Experiment, ExperimentError, Measure, Ns, Overrides, Payload, Setting, SettingError,
};
use proptest::prelude::*;

const PAIR: &str = r#"schema = 1
name = "pair"
why = "A test."
lps = 1

[[guest]]
name = "heavy"
count = 2
weight = 200

[[guest]]
name = "light"
"#;

fn parse(body: &str) -> Experiment {
    Experiment::parse(&format!("{PAIR}{body}"), "pair.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn set(settings: &[&str]) -> Overrides {
    let settings = settings.iter().map(|text| Setting::parse(text).unwrap());
    Overrides::new(settings.collect(), Vec::new()).unwrap()
}

fn scan(axes: &[&str]) -> Overrides {
    let axes = axes.iter().map(|text| Axis::parse(text).unwrap());
    Overrides::new(Vec::new(), axes.collect()).unwrap()
}

fn names(experiments: &[Experiment]) -> Vec<&str> {
    let names = experiments
        .iter()
        .map(|experiment| experiment.name.as_str());
    names.collect()
}

#[test]
fn a_file_without_a_sweep_stands_for_itself() {
    let experiment = parse("");
    assert_eq!(
        experiment.points(&Overrides::default()).unwrap(),
        [experiment]
    );
}

#[test]
fn settings_reach_every_kind_of_key() {
    let change =
        "[[change]]\nat = '2s'\nguest = 'heavy'\nweight = 5\n[simulator]\noverhead = '1us'";
    let settings = [
        "slice=2ms",
        "guest.light.weight=7",
        "guest.light.affinity=[0]",
        "guest.heavy.count=3",
        "simulator.kick_latency=9us",
        "change.1.weight=6",
        "defaults.cap=90",
        "policy = stride",
    ];
    let [point] = &parse(change).points(&set(&settings)).unwrap()[..] else {
        panic!("nothing is swept");
    };
    assert_eq!(point.name, "pair");
    assert_eq!(point.settings.len(), settings.len());
    assert_eq!(point.slice.0, 2_000_000);
    assert_eq!(point.guests.len(), 4);
    assert_eq!(point.guests[3].controls.weight.get(), 7);
    assert_eq!(point.guests[3].affinity, Some(vec![0]));
    assert_eq!(point.guests[0].controls.cap.percent(), 90.0);
    assert_eq!(point.simulator.kick_latency.0, 9_000);
    assert_eq!(point.simulator.overhead.0, 1_000);
    assert_eq!(point.policy.to_string(), "stride");
    assert!(format!("{:?}", point.changes[0].action).contains("Weight(6)"));
}

#[test]
fn every_combination_is_a_point_but_those_excluded_and_those_included_come_last() {
    let sweep = r#"
        [sweep]
        slice = ["1ms", "5ms"]
        guest.light.weight = [50, 100]
        [[sweep.exclude]]
        slice = "5ms"
        guest.light.weight = 50
        [[sweep.include]]
        "guest.light.weight" = 1000
    "#;
    let experiment = parse(sweep);
    let points = experiment.points(&Overrides::default()).unwrap();
    assert_eq!(
        names(&points),
        [
            "pair[slice=1ms,guest.light.weight=50]",
            "pair[slice=1ms,guest.light.weight=100]",
            "pair[slice=5ms,guest.light.weight=100]",
            "pair[guest.light.weight=1000]",
        ]
    );
    assert!(points.iter().all(|point| point.family == "pair"));
    assert_eq!(points[2].slice.0, 5_000_000);
    assert_eq!(points[3].guests[2].controls.weight.get(), 1_000);
    // What the command line fixes is no axis any more.
    let fixed = experiment.points(&set(&["slice=3ms"])).unwrap();
    assert_eq!(
        names(&fixed),
        [
            "pair[guest.light.weight=50]",
            "pair[guest.light.weight=100]",
            "pair[guest.light.weight=1000]",
        ]
    );
    assert!(fixed.iter().all(|point| point.slice.0 == 3_000_000));
    // What it scans takes the place of the file's values.
    let scanned = experiment
        .points(&scan(&["guest.light.weight=1,2"]))
        .unwrap();
    assert_eq!(scanned.len(), 4);
    assert_eq!(scanned[3].name, "pair[slice=5ms,guest.light.weight=2]");
}

#[test]
fn a_scan_is_a_list_or_a_range_that_ends_where_it_says() {
    let values = |text| -> Vec<String> {
        let axis = Axis::parse(text).unwrap();
        axis.values().map(str::to_owned).collect()
    };
    assert_eq!(values("slice=1ms,5ms"), ["1ms", "5ms"]);
    assert_eq!(
        values("guest.a.weight=50..200:50"),
        ["50", "100", "150", "200"]
    );
    assert_eq!(values("guest.a.weight=50..199:50"), ["50", "100", "150"]);
    assert_eq!(values("guest.a.cap=0.1..0.3:0.1"), ["0.1", "0.2", "0.3"]);
    assert_eq!(
        values("guest.a.trace=../a.csv,../b.csv"),
        ["../a.csv", "../b.csv"]
    );
    assert_eq!(values("guest.a.affinity=[0],[0,1]"), ["[0]", "[0, 1]"]);
    let refused = |text| Axis::parse(text).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            refused("slice"),
            refused("=3"),
            refused("guest.a.weight=1..5"),
            refused("guest.a.weight=5..1:1"),
            refused("guest.a.weight=1..x:1"),
            refused("guest.a.weight=1..100000:1"),
            refused("slice=1ms,,2ms"),
            refused("slice=1ms,2ms,1ms"),
            refused("guest.a.reserve=0..1:25e-2"),
            refused("guest..weight=1"),
        ]
        .join("\n")
    );
    let twice = Overrides::new(
        vec![Setting::parse("slice=1ms").unwrap()],
        vec![Axis::parse("slice=1ms,2ms").unwrap()],
    );
    assert_eq!(twice.unwrap_err(), SettingError::Twice("slice".to_owned()));
}

#[test]
fn what_is_wrong_with_a_setting_points_to_where_it_was_given() {
    let experiment = parse("[sweep]\nslice = [\"1ms\", \"2ms\"]");
    let refused =
        |overrides: &Overrides| -> String { experiment.points(overrides).unwrap_err().to_string() };
    insta::assert_snapshot!(
        [
            refused(&set(&["guest.light.weight=0"])),
            refused(&set(&["guest.lihgt.weight=10"])),
            refused(&set(&["guest.light.wieght=10"])),
            refused(&set(&["guest.light.name=dark"])),
            refused(&set(&["slice=never"])),
            refused(&set(&["schema=2"])),
            refused(&set(&["change.1.weight=2"])),
            refused(&scan(&["guest.light.cap=10,200"])),
            // Both places, each in its own text.
            refused(&set(&["guest.heavy.reserve=50", "guest.heavy.cap=40"])),
            refused(&scan(&[
                "guest.light.weight=1..900:1",
                "guest.heavy.weight=1..9:1"
            ])),
        ]
        .join("\n\n")
    );
}

#[test]
fn defaults_are_what_entries_do_not_say_and_keys_of_payloads_go_where_they_belong() {
    let text = r#"
        schema = 1
        name = "defaults"
        why = "A test."
        [defaults]
        vps = 2
        weight = 300
        payload = "periodic"
        period = "20ms"
        run = "5ms"
        critical = "1ms"
        think = "2ms"
        [[guest]]
        name = "plain"
        [[guest]]
        name = "own"
        weight = 50
        run = "1ms"
        [[guest]]
        name = "spins"
        payload = "spin"
        [[guest]]
        name = "burns"
        payload = "burn"
        vps = 1
    "#;
    let guests = Experiment::parse(text, "defaults.toml").unwrap().guests;
    let told: Vec<_> = guests
        .iter()
        .map(|guest| (guest.vps, guest.controls.weight.get(), guest.payload.name()))
        .collect();
    assert_eq!(
        told,
        [
            (2, 300, "periodic"),
            (2, 50, "periodic"),
            (2, 300, "spin"),
            (1, 300, "burn")
        ]
    );
    assert!(matches!(guests[0].payload, Payload::Periodic { run, .. } if run.0 == 5_000_000));
    assert!(matches!(guests[1].payload, Payload::Periodic { run, .. } if run.0 == 1_000_000));
}

#[test]
fn an_entry_with_no_guests_is_left_out_with_what_concerns_it() {
    let change = "[[change]]\nat = '2s'\nguest = 'light'\nweight = 5";
    let [alone] = &parse(change)
        .points(&set(&["guest.light.count=0"]))
        .unwrap()[..]
    else {
        panic!("nothing is swept");
    };
    assert_eq!((alone.guests.len(), alone.changes.len()), (2, 0));
}

#[test]
fn a_claim_is_a_threshold_or_a_factor_of_what_another_run_gives() {
    let claims = r#"
        [[guest]]
        name = "probe"
        reserve = 20
        payload = "probe"
        period = "10ms"
        run = "100us"

        [[claim]]
        guest = "probe"
        measure = "lateness_p99"
        at_most = "8ms"

        [[claim]]
        guest = "probe"
        measure = "lateness_p99"
        at_most = 0.7
        of = { guest.probe.reserve = 0, slice = "2ms" }
        why = "A reserve keeps it from waiting."

        [[claim]]
        guest = "heavy"
        measure = "share"
        at_least = 50
    "#;
    let experiment = parse(claims);
    let [late, relative, share] = &experiment.claims[..] else {
        panic!("{:?}", experiment.claims);
    };
    assert_eq!((late.at_most, late.at_least), (Some(8e6), None));
    assert_eq!(
        (share.guests.as_slice(), share.at_least),
        (&[0, 1][..], Some(50.0))
    );
    assert_eq!(experiment.reference(late).unwrap(), None);
    let reference = experiment.reference(relative).unwrap().unwrap();
    assert_eq!(reference.name, "pair[guest.probe.reserve=0,slice=2ms]");
    assert_eq!(reference.guests[3].controls.reserve.percent(), 0.0);
    assert_eq!(reference.slice.0, 2_000_000);
    assert!(reference.claims.is_empty());
    // A swept key has the value of the other run there.
    let swept = parse(&format!("[sweep]\nslice = ['1ms', '2ms']\n{claims}"));
    let points = swept.points(&Overrides::default()).unwrap();
    let other = points[0].reference(&points[0].claims[1]).unwrap().unwrap();
    assert_eq!(other.name, "pair[slice=2ms,guest.probe.reserve=0]");
}

#[test]
fn a_point_that_is_what_others_are_compared_with_is_not_compared_with_itself() {
    let experiment = parse(
        "[sweep]\nguest.light.weight = [10, 20]\n[[claim]]\nguest = 'light'\nmeasure = 'share'\n\
         at_least = 1.1\nof = { guest.light.weight = 10 }",
    );
    let points = experiment.points(&Overrides::default()).unwrap();
    let others = points.iter().map(|point| point.references().unwrap().len());
    assert_eq!(others.collect::<Vec<_>>(), [0, 1]);
    assert_eq!(experiment.runs(), 2);
}

#[test]
fn what_concerns_nobody_is_left_out_and_the_rest_keeps_its_number() {
    let experiment = parse(
        "[[claim]]\nguest = 'light'\nmeasure = 'share'\nat_least = 1\n\
         [[claim]]\nguest = 'heavy'\nmeasure = 'share'\nat_least = 1\n\
         [[change]]\nat = '1s'\nguest = 'light'\nweight = 5\n\
         [[change]]\nat = '2s'\nguest = 'heavy'\nweight = 5",
    );
    let [alone] = &experiment.points(&set(&["guest.light.count=0"])).unwrap()[..] else {
        panic!("nothing is swept");
    };
    assert_eq!((alone.claims.len(), alone.claims[0].number), (1, 2));
    assert_eq!((alone.changes.len(), alone.changes[0].entry), (1, 1));
}

#[test]
fn what_other_runs_expect_by_hand_is_not_what_they_are_compared_for() {
    let experiment = parse(
        "[[guest]]\nname = 'own'\nexpected = 50\n[[claim]]\nguest = 'own'\nmeasure = 'share'\n\
         at_least = 1\nof = { guest.own.weight = 10 }",
    );
    let others = experiment.references().unwrap();
    assert_eq!(others[0].guests[3].expected, None);
}

#[test]
fn rows_and_options_go_together() {
    let only_rows = parse(
        "[[sweep.include]]\nguest.light.weight = 50\n[[sweep.include]]\nguest.light.weight = 70",
    );
    let plain = Overrides::default();
    assert_eq!(only_rows.points(&plain).unwrap().len(), 2);
    // What is set takes the place of what the rows say: the file itself is left.
    let fixed = only_rows.points(&set(&["guest.light.weight=60"])).unwrap();
    assert_eq!(names(&fixed), ["pair"]);
    let scanned = only_rows.points(&scan(&["slice=1ms,2ms"])).unwrap();
    assert_eq!(scanned.len(), 4);
    let excluded = parse(
        "[sweep]\nslice = ['1ms', '5ms']\nguest.heavy.count = [1, 8]\n\
         [[sweep.exclude]]\nslice = '5ms'\nguest.heavy.count = 8",
    );
    let fixed = excluded.points(&set(&["slice=5ms"])).unwrap();
    assert_eq!(names(&fixed), ["pair[guest.heavy.count=1]"]);
}

#[test]
fn a_long_file_can_be_set_something_of() {
    let long = format!("# {}\n", "x".repeat(70_000));
    let points = parse(&long).points(&set(&["slice=2ms"])).unwrap();
    assert_eq!(points[0].slice.0, 2_000_000);
}

#[test]
fn every_measure_has_its_name_once() {
    let names: Vec<&str> = Measure::all().map(Measure::name).collect();
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{name}");
    }
}

proptest! {
    #[test]
    fn whatever_is_set_is_read_or_reported_but_never_a_panic(
        key in "[a-z.\"']{1,12}|guest\\.(heavy|light)\\.[a-z]{2,6}|(change|claim)\\.[0-9]\\.[a-z]{2}",
        value in "\\PC{0,8}|[0-9.:]{1,6}|\\[[0-9,]{0,4}\\]|\\{[a-z=1]{0,5}\\}",
    ) {
        let experiment = parse("");
        let text = format!("{key}={value}");
        for overrides in [
            Setting::parse(&text).and_then(|it| Overrides::new(vec![it], Vec::new())),
            Axis::parse(&text).and_then(|it| Overrides::new(Vec::new(), vec![it])),
        ].into_iter().flatten() {
            if let Err(ExperimentError::Invalid { report }) = experiment.points(&overrides) {
                prop_assert!(report.contains("--> "), "{report}");
            }
        }
    }
}

/// A file whose one guest has `payload`, and a default that only `bursts` has, with these lines below.
fn with_default(payload: &str, lines: &str) -> String {
    format!(
        "schema = 1\nname = \"x\"\nwhy = \"y\"\n[defaults]\nrun = \"5ms\"\n[[guest]]\nname = \"one\"\npayload = \
         \"{payload}\"\n{lines}\n"
    )
}

#[test]
fn a_default_goes_to_those_points_whose_payload_has_the_key() {
    let every = "guest.one.every = \"20ms\"\n";
    let swept = with_default(
        "burn",
        &format!(
            "[[sweep.include]]\nguest.one.payload = \"burn\"\n[[sweep.include]]\nguest.one.payload = \"bursts\"\n{every}"
        ),
    );
    let experiment = Experiment::parse(&swept, "x.toml").unwrap_or_else(|error| panic!("{error}"));
    let points = experiment.points(&Overrides::default()).unwrap();
    let payloads: Vec<Payload> = points.iter().map(|it| it.guests[0].payload).collect();
    let bursts = Payload::Bursts {
        every: Ns(20_000_000),
        run: Ns(5_000_000),
        random: false,
    };
    assert_eq!(payloads, [Payload::Burn, bursts]);
    // The run that a claim compares with is one of those that may use it.
    let claimed = with_default(
        "burn",
        "[[claim]]\nguest = \"one\"\nmeasure = \"share\"\nat_least = 1\nof = { guest.one.payload = \"yield-loop\" }",
    );
    assert!(Experiment::parse(&claimed, "x.toml").is_ok());
}

#[test]
fn a_default_that_no_guest_of_any_point_can_have_is_a_mistake() {
    let title = "error: `run` is a default that no guest can have";
    for lines in [
        "",
        "[sweep]\nguest.one.payload = [\"burn\", \"vector\"]",
        "[[claim]]\nguest = \"one\"\nmeasure = \"share\"\nat_least = 1\nof = { guest.one.weight = 200 }",
    ] {
        let error = Experiment::parse(&with_default("burn", lines), "x.toml").unwrap_err();
        let told = error.to_string();
        assert_eq!(told.matches(title).count(), 1, "{told}");
        assert!(told.contains("x.toml:5:1"), "{told}");
    }
    // What the command line makes of the file is held to the same.
    let text = with_default("yield-loop", "");
    let experiment = Experiment::parse(&text, "x.toml").unwrap();
    let set = |payload: &str| {
        let set = Setting::parse(&format!("guest.one.payload={payload}")).unwrap();
        experiment.points(&Overrides::new(vec![set], Vec::new()).unwrap())
    };
    assert!(set("burn").unwrap_err().to_string().contains(title));
    assert!(set("yield-loop").is_ok());
}

#[test]
fn a_value_in_another_base_is_the_same_value() {
    let text = |values: &str| {
        format!(
            "schema = 1\nname = \"x\"\nwhy = \"y\"\n[[guest]]\nname = \"one\"\n[sweep]\nguest.one.weight = [{values}]\n"
        )
    };
    let experiment = Experiment::parse(&text("0x10, 1_000"), "x.toml").unwrap();
    let points = experiment.points(&Overrides::default()).unwrap();
    let names: Vec<&str> = points.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        ["x[guest.one.weight=16]", "x[guest.one.weight=1000]"]
    );
    let twice = Experiment::parse(&text("16, 0o20"), "x.toml").unwrap_err();
    assert!(
        twice.to_string().contains("has the value 16 twice"),
        "{twice}"
    );
}
