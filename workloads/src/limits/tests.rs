use super::*;

#[test]
fn borders_are_allowed_and_their_neighbours_refused() {
    assert!(SLICE.check(Nanos::from_micros(100)).is_ok());
    assert!(SLICE.check(Nanos(99_999)).is_err());
    assert!(SLICE.check(Nanos(1_000_000_001)).is_err());
    assert!(DURATION.check(Nanos::ZERO).is_err());
    assert!(DURATION.check(DAY).is_ok());
    assert!(WARM_UP.check(Nanos::ZERO).is_ok());
    assert!(TOLERANCE_PP.check(0.0).is_err());
    assert!(TOLERANCE_PP.check(f64::NAN).is_err());
    assert!(TOLERANCE_PP.check(100.0).is_ok());
    assert!(LPS.check(0).is_err());
    assert!(SEED.check(0).is_ok());
    assert!(SEED.check(1 << 63).is_err());
    assert!(OVERHEAD.check(Nanos::ZERO).is_ok());
    assert!(KICK_LATENCY.check(Nanos(1_000_001)).is_err());
    assert!(RESERVE.check(0.0).is_ok());
    assert!(CAP.check(0.0).is_err());
    assert!(CAP.check(0.001).is_ok());
    assert!(AFFINITY.check(4_096).is_err());
    assert!(AT.check(Nanos::ZERO).is_err());
    assert!(RUN.check(Nanos(9_999)).is_err());
    assert!(OFF.check(Nanos::from_millis(60_000)).is_ok());
    assert!(MEMORY.check(Bytes(4 << 20)).is_ok());
    assert!(MEMORY.check(Bytes((16 << 30) + 1)).is_err());
    assert!(WORKING_SET.check(Bytes(4_095)).is_err());
    assert!(WORKING_SET.check(Bytes(8 << 30)).is_ok());
    assert!(THRESHOLD.check(0).is_err());
    assert!(THRESHOLD.check(u64::from(u32::MAX)).is_err());
    assert!(UNITS.check(0).is_err());
}

#[test]
fn words_and_numbers_agree() {
    fn named<T: Display>(limit: Limit<T>) {
        let words = format!("from {} to {}", limit.lowest, limit.highest);
        let after = limit.allowed.split_once(&words).map(|(_, after)| after);
        // The number must end there: 60s is not 600s, 100 not 1000.
        assert!(
            after.is_some_and(|after| after.is_empty() || after.starts_with(' ')),
            "{}: {words}",
            limit.key
        );
    }
    named(LPS);
    named(REPETITIONS);
    named(COUNT);
    named(VPS);
    named(WEIGHT);
    named(SLICE);
    named(NODES);
    named(SEED);
    named(RESERVE);
    named(CAP);
    named(LP_OFF);
    named(ADD_VPS);
    named(PERIOD);
    named(PAUSE);
    named(EVERY);
    named(MEMORY);
    named(TICKS);
    named(INTERRUPTS);
    named(THRESHOLD);
    named(WORKING_SET);
    named(STRIDE);
    let page = Bytes(layout::LARGE_PAGE);
    let multiple = format!("a multiple of {page} ");
    assert!(MEMORY.allowed.starts_with(&multiple));
    assert!(ALL_VPS.allowed.contains(&ALL_VPS.highest.to_string()));
}

#[test]
fn a_refusal_says_what_where_and_what_to_do() {
    assert_eq!(
        SLICE.check(Nanos::from_micros(10)).unwrap_err().to_string(),
        "slice 10us is out of range: use a time from 100us to 1s (default 1ms)"
    );
}
