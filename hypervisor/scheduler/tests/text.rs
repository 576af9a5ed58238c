//! The names and numbers that options, files and people see.

use apportion_scheduler::{Nanos, PolicyKind, ReserveModel, UnknownPolicy, WeightScope};

#[test]
fn policies_are_written_and_read_by_name() {
    let names = ["fair", "round-robin", "stride", "lottery", "credit2"];
    assert_eq!(PolicyKind::ALL.map(PolicyKind::name), names);
    for policy in PolicyKind::ALL {
        assert_eq!(policy.to_string(), policy.name());
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    // In columns, too.
    assert_eq!(format!("{:>8}", PolicyKind::Fair), "    fair");
}

#[test]
fn an_unknown_policy_is_answered_with_those_there_are() {
    let unknown = "Fair".parse::<PolicyKind>();
    assert_eq!(unknown, Err(UnknownPolicy("Fair".to_owned())));
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "unknown policy `Fair`: use fair, round-robin, stride, lottery or credit2"
    );
}

#[test]
fn what_reserves_and_weights_mean_has_a_name() {
    let models = ReserveModel::ALL.map(|model| (model.name(), model));
    assert_eq!(
        models,
        [
            ("additive", ReserveModel::Additive),
            ("floor", ReserveModel::Floor)
        ]
    );
    let scopes = WeightScope::ALL.map(|scope| (scope.name(), scope));
    assert_eq!(
        scopes,
        [("vp", WeightScope::Vp), ("guest", WeightScope::Guest)]
    );
}

#[test]
fn times_are_shown_in_the_unit_that_suits_them() {
    for (nanos, text) in [
        (0, "0ns"),
        (999, "999ns"),
        (1_000, "1us"),
        (1_001, "1.001us"),
        (999_999, "999.999us"),
        (1_000_000, "1ms"),
        (1_500_000, "1.500ms"),
        (999_000_000, "999ms"),
        (1_000_000_000, "1s"),
        (90_250_000_000, "90.250s"),
    ] {
        assert_eq!(Nanos(nanos).to_string(), text);
    }
    assert_eq!(Nanos::from_millis(1_250).as_secs_f64(), 1.25);
}

#[test]
fn times_add_up_and_stop_at_the_ends() {
    let mut at = Nanos::from_micros(3);
    at += Nanos::from_millis(1);
    assert_eq!(at, Nanos(1_003_000));
    at += Nanos(u64::MAX);
    assert_eq!(at, Nanos(u64::MAX));
    assert_eq!(Nanos(1) - Nanos(2), Nanos::ZERO);
}
