use super::bursts::{Part, WHOLE};
use super::*;
use crate::traces::{Burst, Interval, TracedControls, TracedDemand};
use proptest::prelude::*;

fn s(seconds: u64) -> Nanos {
    Nanos::from_millis(1_000 * seconds)
}

fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// Replays 10 s on two LPs as they are, after 2 s of warm-up.
fn way() -> Way {
    Way {
        speed: 1.0,
        burst_length: ms(5),
        random: true,
        seed: 1,
        stream: 0,
        warm_up: s(2),
        duration: s(10),
        lps: 2,
        vps: None,
        overcommit: None,
    }
}

fn vm(id: &str, vps: u32, demand: TracedDemand) -> TracedVm {
    TracedVm {
        id: id.to_owned(),
        vps,
        controls: TracedControls::default(),
        demand,
    }
}

/// One reading per 4 s.
fn means(vps: u32, lps: &[f64]) -> TracedVm {
    let intervals = lps.iter().zip(0..).map(|(&lps, index)| Interval {
        from: s(4 * index),
        length: s(4),
        lps,
    });
    vm("m", vps, TracedDemand::Means(intervals.collect()))
}

fn total(work: &[Piece]) -> u64 {
    work.iter().map(|it| it.run.0).sum()
}

#[test]
fn nothing_falls_due_where_nothing_is_demanded_though_a_fraction_is_left_over() {
    let mut way = way();
    way.speed = 1.02;
    // Measuring begins in the gap.
    let interval = |from, lps| Interval {
        from: s(from),
        length: s(1),
        lps,
    };
    let demand = TracedDemand::Means(vec![interval(0, 1.0 / 3.0), interval(8, 0.7)]);
    let replayed = replay(&[vm("m", 1, demand)], s(20), &way).unwrap();
    let work = &replayed.vms[0].work.vps[0];
    let gap = way.in_run(s(1))..way.in_run(s(8));
    assert!(work.iter().all(|it| !gap.contains(&it.at)));
    assert!(work.iter().any(|it| it.at >= gap.end));
}

#[test]
fn a_trace_that_ends_with_idleness_lasts_to_its_end() {
    let demand = TracedDemand::Means(vec![Interval {
        from: Nanos::ZERO,
        length: s(3),
        lps: 1.0,
    }]);
    let short = || [vm("m", 1, demand.clone())];
    assert!(matches!(
        replay(&short(), s(11), &way()),
        Err(ReplayError::TooShort { there, .. }) if there == s(11)
    ));
    assert!(replay(&short(), s(12), &way()).is_ok());
}

#[test]
fn constant_bursts_come_as_often_as_the_demand_says() {
    let way = Way {
        random: false,
        ..way()
    };
    let replayed = replay(&[means(1, &[0.5, 0.0, 0.25])], Nanos::ZERO, &way).unwrap();
    let work = &replayed.vms[0].work.vps[0];
    assert_eq!(total(work), s(3).0);
    // The first is shorter, for VPs do not keep step; then 5 ms each 10 ms.
    assert!(work[0].at == Nanos::ZERO && work[0].run <= ms(5));
    assert_eq!(work[2].at - work[1].at, ms(10));
    assert_eq!(work[2].run, ms(5));
    let none = |it: &Piece| (s(4)..s(8)).contains(&it.at);
    assert!(!work.iter().any(none), "nothing is wanted then");
    let last = &work[work.len() - 3..];
    assert_eq!(last[1].at - last[0].at, ms(20));
    // 0.5 over the 2 s before 4 s, and 0.25 over 4 s from 8 s on.
    assert_eq!(replayed.vms[0].demand, s(2));
    assert_eq!(replayed.factor, 1.0);
}

#[test]
fn a_vm_is_spread_over_its_guests_vps_and_wants_no_more_than_they_can_use() {
    let replayed = replay(&[means(8, &[6.0, 1.0, 1.0])], Nanos::ZERO, &way()).unwrap();
    let [vm] = &replayed.vms[..] else { panic!() };
    assert_eq!(vm.work.vps.len(), 2, "no more VPs than LPs");
    assert_eq!(total(&vm.work.vps[0]), s(4 + 4).0);
    assert_ne!(vm.work.vps[0], vm.work.vps[1]);
    // 2 LPs for 2 s, then 1 for 8 s; of 6 LPs 4 are cut off for 2 s.
    assert_eq!((vm.demand, vm.cut), (s(12), s(8)));
    let more = Way {
        vps: Some(3),
        ..way()
    };
    assert_eq!(
        replay(&[means(8, &[6.0; 3])], Nanos::ZERO, &more)
            .unwrap()
            .vms[0]
            .work
            .vps
            .len(),
        3
    );
}

#[test]
fn time_is_compressed_and_demand_stays() {
    let fast = Way {
        speed: 4.0,
        warm_up: s(1),
        duration: s(2),
        ..way()
    };
    let replayed = replay(&[means(1, &[0.5, 0.0, 1.0])], Nanos::ZERO, &fast).unwrap();
    let vm = &replayed.vms[0];
    assert_eq!(total(&vm.work.vps[0]), ms(1_500).0);
    assert_eq!(vm.demand, s(1));
    let at = vm.work.vps[0].iter().map(|it| it.at);
    assert!(!at.clone().any(|at| (s(1)..s(2)).contains(&at)));
    assert!(at.max().unwrap() < s(3));
}

#[test]
fn bursts_of_the_trace_are_kept_and_compressed_like_time() {
    let burst = |vp, at, run| Burst {
        vp,
        at: ms(at),
        run: ms(run),
    };
    let all = [
        burst(0, 100, 20),
        burst(1, 110, 30),
        burst(0, 200, 500),
        burst(2, 220, 10),
        burst(0, 24_000, 1),
    ];
    let traced = vm("b", 3, TracedDemand::Bursts(all.to_vec()));
    let way = Way {
        speed: 2.0,
        ..way()
    };
    let replayed = replay(&[traced], Nanos::ZERO, &way).unwrap();
    let work = |at, run| Piece {
        at: ms(at),
        run: ms(run),
    };
    // VP 2 shares VP 0 of the guest, which has no more than 10 ms before it comes.
    let expected = [
        vec![work(50, 10), work(100, 10), work(110, 5)],
        vec![Piece {
            at: ms(55),
            run: ms(15),
        }],
    ];
    assert_eq!(replayed.vms[0].work.vps, expected);
}

#[test]
fn bursts_of_the_trace_last_as_long_as_their_longest_pause_behind_the_last() {
    let burst = |vp, at, run| Burst {
        vp,
        at: s(at),
        run: s(run),
    };
    let ends_at = |all: &[Burst], seconds: u64| {
        let traced = [vm("b", 2, TracedDemand::Bursts(all.to_vec()))];
        let way = |until| Way {
            duration: until - way().warm_up,
            ..way()
        };
        replay(&traced, Nanos::ZERO, &way(s(seconds))).unwrap();
        let error = replay(&traced, Nanos::ZERO, &way(s(seconds) + Nanos(1))).unwrap_err();
        assert!(matches!(error, ReplayError::TooShort { there, .. } if there == s(seconds)));
    };
    // 5 s of sleep between the two, and no more after them.
    ends_at(&[burst(0, 0, 5), burst(0, 10, 5)], 20);
    // It did not sleep while its other VP had something to do, nor before its first piece of work.
    ends_at(&[burst(0, 1, 8), burst(1, 2, 1), burst(0, 10, 5)], 16);
    ends_at(&[burst(0, 8, 4)], 12);
}

#[test]
fn bursts_of_the_trace_are_cut_where_measuring_begins_and_ends() {
    let burst = |vp, at, run| Burst {
        vp,
        at: s(at),
        run: s(run),
    };
    // One reaches into the measured time, one out of it; and one is a hog's.
    let all = [burst(0, 1, 2), burst(1, 0, 100), burst(0, 11, 5)];
    let traced = [vm("b", 2, TracedDemand::Bursts(all.to_vec()))];
    let work = |at, run| Piece {
        at: s(at),
        run: s(run),
    };
    let replayed = replay(&traced, Nanos::ZERO, &way()).unwrap();
    let expected = [
        vec![work(1, 1), work(2, 1), work(11, 1)],
        vec![work(0, 2), work(2, 10)],
    ];
    assert_eq!(replayed.vms[0].work.vps, expected);
    // 12 s of the 20 s that two LPs have.
    assert_eq!((replayed.vms[0].demand, replayed.vms[0].cut), (s(12), s(0)));
    let packed = |overcommit| {
        let way = Way {
            overcommit: Some(overcommit),
            ..way()
        };
        replay(&traced, Nanos::ZERO, &way)
    };
    let half = packed(0.3).unwrap();
    assert!((half.factor - 0.5).abs() < 1e-9, "{}", half.factor);
    assert_eq!(half.vms[0].demand, s(6));
    // What begins a second before the end has no more than that; nor can the hog want more.
    let more = packed(0.65).unwrap();
    assert_eq!(more.vms[0].work.vps[1], expected[1]);
    assert_eq!(more.vms[0].demand, s(13));
    assert!(packed(0.99).is_ok());
    assert!(matches!(packed(1.1), Err(ReplayError::TooIdle { most, .. }) if most <= 1.0));
}

#[test]
fn vms_are_packed_to_an_over_commitment_by_one_factor() {
    let vms = [means(1, &[0.2, 0.4, 0.2]), means(1, &[0.1, 0.1, 0.1])];
    let packed = |overcommit| {
        let way = Way {
            overcommit: Some(overcommit),
            ..way()
        };
        replay(&vms, Nanos::ZERO, &way)
    };
    // 2 s of 0.3, 4 s of 0.5 and 4 s of 0.3 LPs are 0.38 LPs.
    let some = packed(0.4).unwrap();
    assert!((some.factor - 0.8 / 0.38).abs() < 1e-9, "{}", some.factor);
    let demands = |it: &Replayed| it.vms.iter().map(|vm| vm.demand.0).sum::<u64>();
    assert!(demands(&some).abs_diff(s(8).0) < 10);
    // Some of it has to be cut off: the others get more.
    let more = packed(0.9).unwrap();
    assert!(more.vms[0].cut > Nanos::ZERO);
    assert!(demands(&more).abs_diff(s(18).0) < 10, "{}", demands(&more));
    let error = packed(1.5).unwrap_err();
    assert!(
        matches!(error, ReplayError::TooIdle { most, .. } if (most - 1.0).abs() < 1e-9),
        "{error}"
    );
    let idle = replay(
        &[means(1, &[0.0; 3])],
        Nanos::ZERO,
        &Way {
            overcommit: Some(1.0),
            ..way()
        },
    );
    assert!(matches!(idle, Err(ReplayError::TooIdle { most: 0.0, .. })));
}

#[test]
fn what_is_too_short_or_too_much_is_refused() {
    let refused = |way: Way| {
        replay(&[means(1, &[1.0; 3])], Nanos::ZERO, &way)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(refused(Way { duration: s(11), ..way() }), @"the run takes 13s of the trace, (warm_up + duration) x speed, and there are 12s");
    insta::assert_snapshot!(refused(Way { burst_length: Nanos(100), ..way() }), @"the replay has some 120000000 bursts, of which there can be 20000000");
    insta::assert_snapshot!(refused(Way { overcommit: Some(2.0), ..way() }), @"an over-commitment of 2 cannot be reached: with each VP wanting an LP whenever its VM wanted anything it is 0.500");
}

#[test]
fn seeds_and_streams_make_a_difference_and_nothing_else_does() {
    let of = |seed, stream| {
        let way = Way {
            seed,
            stream,
            ..way()
        };
        replay(&[means(1, &[0.3; 3])], Nanos::ZERO, &way).unwrap()
    };
    assert_eq!(of(1, 0), of(1, 0));
    assert_ne!(of(1, 0).vms[0].work, of(2, 0).vms[0].work);
    assert_ne!(of(1, 0).vms[0].work, of(1, 64).vms[0].work);
}

proptest! {
    #[test]
    fn what_is_demanded_is_what_falls_due_and_lps_of_ones_own_could_do_all_of_it(
        bursts in prop::collection::vec((0..3_u32, 0..14_000_u64, 1..3_000_u64), 1..20),
        speed in 0.5..3.0_f64,
        overcommit in prop::option::of(0.01..0.5_f64),
    ) {
        let way = Way { speed, overcommit, ..way() };
        let burst = |&(vp, at, run): &(u32, u64, u64)| Burst { vp, at: ms(at), run: ms(run) };
        let mut all: Vec<Burst> = bursts.iter().map(burst).collect();
        all.sort_by_key(|it| it.at);
        let traced = [vm("b", 3, TracedDemand::Bursts(all))];
        let replayed = match replay(&traced, s(1_000), &way) {
            Ok(replayed) => replayed,
            Err(error) => {
                prop_assert!(matches!(error, ReplayError::TooIdle { .. }), "{error}");
                return Ok(());
            }
        };
        let vm = &replayed.vms[0];
        let measured = |it: &&Piece| it.at >= way.warm_up;
        let due: u64 = vm.work.vps.iter().flatten().filter(measured).map(|it| it.run.0).sum();
        prop_assert_eq!(vm.demand.0, due);
        if let Some(wanted) = overcommit {
            let lps = due as f64 / way.duration.0 as f64 / 2.0;
            prop_assert!((lps - wanted).abs() <= 1e-6, "{lps} of {wanted}");
        }
        for of_vp in &vm.work.vps {
            for (index, it) in of_vp.iter().enumerate() {
                let next = of_vp.get(index + 1).map_or(way.length(), |next| next.at);
                prop_assert!(it.at + it.run <= next, "{it:?} before {next}");
                prop_assert!(it.at >= way.warm_up || it.at + it.run <= way.warm_up);
            }
        }
    }

    #[test]
    fn what_is_due_follows_what_is_demanded_within_one_burst_and_is_exact_where_it_is_cut(
        parts in prop::collection::vec((1..2_000_000_000_u64, prop_oneof![2 => 0..=WHOLE, 1 => Just(0)]), 1..20),
        length in 10_000..50_000_000_u64,
        random in any::<bool>(),
        seed in any::<u64>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let parts: Vec<Part> = parts
            .into_iter()
            .map(|(length, billionths)| Part { length: Nanos(length), billionths })
            .collect();
        let (before, after) = parts.split_at(cut.index(parts.len() + 1));
        let work = bursts::bursts(&[before, after], Nanos(length), random, Random::new(seed));
        let demanded: u128 = parts.iter().map(Part::work).sum();
        prop_assert_eq!(u128::from(total(&work)), demanded / u128::from(WHOLE));
        let longest = work.iter().map(|it| it.run.0).max().unwrap_or(0);
        let most = if random { 4 * length } else { length };
        prop_assert!(longest <= most);
        let length: Nanos = before.iter().fold(Nanos::ZERO, |sum, it| sum + it.length);
        let first: u128 = before.iter().map(Part::work).sum();
        let due: Vec<Piece> = work.iter().copied().filter(|it| it.at < length).collect();
        prop_assert_eq!(u128::from(total(&due)), first / u128::from(WHOLE), "where it is cut");
        // Up to the end of each interval.
        let (mut until, mut demanded) = (Nanos::ZERO, 0);
        for part in &parts {
            until += part.length;
            demanded += part.work();
            let due: u64 = work.iter().filter(|it| it.at < until).map(|it| it.run.0).sum();
            let due = u128::from(due) * u128::from(WHOLE);
            prop_assert!(due + u128::from(WHOLE) > demanded, "{due} of {demanded}");
            prop_assert!(due <= demanded + u128::from(longest) * u128::from(WHOLE));
        }
        // Each can be done before the next is due, and in the time there is.
        for pair in work.windows(2) {
            prop_assert!(pair[0].at + pair[0].run <= pair[1].at);
        }
        if let Some(last) = work.last() {
            prop_assert!(last.at + last.run <= until);
        }
    }

    #[test]
    fn all_that_a_trace_demands_is_replayed(
        lps in prop::collection::vec(prop_oneof![2 => 0.0..4.0_f64, 1 => Just(0.0)], 3..12),
        vps in 1..5_u32,
        speed in 1.0..3.0_f64,
    ) {
        let mut way = Way { speed, ..way() };
        let vm = means(vps, &lps);
        way.duration = Nanos((vm.end().0 as f64 / speed) as u64) - way.warm_up - Nanos(2);
        let replayed = replay(std::slice::from_ref(&vm), Nanos::ZERO, &way).unwrap();
        let vm_replayed = &replayed.vms[0];
        let from = way.warm_up.0 as f64 * speed;
        let inside = |it: usize| (4e9 * (it + 1) as f64 - from).clamp(0.0, 4e9);
        let guest = f64::from(vps.min(2));
        let wanted: f64 = lps.iter().enumerate().map(|(at, it)| it.min(guest) * inside(at) / speed).sum();
        let near = 1e-9 * wanted + 4.0 * lps.len() as f64 + 20.0;
        prop_assert!((vm_replayed.demand.0 as f64 - wanted).abs() <= near, "{} of {wanted}", vm_replayed.demand);
        let whole: f64 = lps.iter().map(|it| it.min(guest) * 4e9 / speed).sum();
        let work: u64 = replayed.vms[0].work.vps.iter().map(|it| total(it)).sum();
        // Parts are rounded to a billionth, times to a nanosecond.
        let near = 1e-9 * whole + 2.0 * lps.len() as f64 + 20.0;
        prop_assert!((work as f64 - whole).abs() <= near, "{work} of {whole}");
    }
}
