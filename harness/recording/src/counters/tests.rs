use super::*;

/// Every number different, and in proportion to `n`.
fn snapshot(n: u64) -> Snapshot {
    Snapshot {
        unix_ms: 1_000_000 + n as i64,
        wall_ns: n * 1_000,
        lps: vec![LpCounters {
            lp: 3,
            guest_ns: n * 500,
            hypervisor_ns: n * 100,
            root_ns: n * 50,
            others_ns: n * 150,
            steal_ns: n * 20,
            idle_ns: n * 180,
            context_switches: n * 7,
        }],
        vps: vec![VpCounters {
            guest: "a".to_owned(),
            vp: 1,
            guest_ns: n * 400,
            hypervisor_ns: n * 30,
            ready_ns: n * 90,
            dispatches: n * 4,
            migrations: n * 2,
            hypercalls: n * 3,
            long_spin_waits: n,
            interrupts_posted: n * 11,
            interrupts_delivered: n * 10,
            interrupts_pending: n * 5,
            intercepts: Intercepts {
                hypercall: n * 3,
                port: n * 13,
                memory: n * 17,
                interrupt_window: n * 19,
                fault: n * 23,
                other: n * 29,
            },
        }],
        roots: vec![RootCounters {
            lp: Some(2),
            run_ns: n * 60,
        }],
    }
}

#[test]
fn counters_are_subtracted_and_gauges_are_not() {
    let mut expected = snapshot(7);
    expected.unix_ms = 1_000_010;
    expected.vps[0].interrupts_pending = 50;
    assert_eq!(snapshot(10).since(&snapshot(3)), expected);
    assert_eq!(snapshot(10).since(&Snapshot::default()), snapshot(10));
}

#[test]
fn nothing_is_ever_below_zero() {
    let mut expected = snapshot(0);
    expected.unix_ms = 1_000_003;
    expected.vps[0].interrupts_pending = 15;
    assert_eq!(snapshot(3).since(&snapshot(10)), expected);
}

#[test]
fn who_came_later_counts_from_zero_and_order_does_not_matter() {
    let of = |guest: &str, vp, guest_ns| VpCounters {
        guest: guest.to_owned(),
        vp,
        guest_ns,
        ..VpCounters::default()
    };
    let with = |vps: &[VpCounters]| Snapshot {
        vps: vps.to_vec(),
        ..Snapshot::default()
    };
    let earlier = with(&[of("a", 1, 5), of("b", 0, 7), of("gone", 0, 9)]);
    let later = with(&[of("b", 0, 17), of("a", 0, 3), of("a", 1, 25)]);
    assert_eq!(
        later.since(&earlier),
        with(&[of("b", 0, 10), of("a", 0, 3), of("a", 1, 20)])
    );
}

#[test]
fn rates_are_parts_of_wall_time() {
    let counted = snapshot(1_000_000);
    let lp = counted.lps[0].rates(counted.wall_ns);
    assert_eq!(
        lp,
        LpRates {
            guest_pct: 50.0,
            hypervisor_pct: 10.0,
            root_pct: 5.0,
            others_pct: 15.0,
            steal_pct: 2.0,
            idle_pct: 18.0,
            context_switches_per_second: 7e6,
        }
    );
    assert_eq!((lp.total_pct(), lp.sum_pct()), (60.0, 100.0));
    let vp = counted.vps[0].rates(counted.wall_ns);
    assert_eq!(
        vp,
        VpRates {
            guest_pct: 40.0,
            hypervisor_pct: 3.0,
            wait_ns_per_dispatch: 22.5,
            dispatches_per_second: 4e6,
            migrations_per_second: 2e6,
            intercepts_per_second: 104e6,
            hypercalls_per_second: 3e6,
            long_spin_waits_per_second: 1e6,
            interrupts_posted_per_second: 11e6,
        }
    );
    assert_eq!(vp.total_pct(), 43.0);
    assert_eq!(counted.roots[0].rates(counted.wall_ns).run_pct, 6.0);
}

#[test]
fn without_time_or_dispatches_rates_are_zero() {
    let counted = snapshot(5);
    assert_eq!(counted.lps[0].rates(0), LpRates::default());
    assert_eq!(counted.roots[0].rates(0), RootRates::default());
    let never = VpCounters {
        ready_ns: 77,
        ..VpCounters::default()
    };
    assert_eq!(never.rates(1_000), VpRates::default());
}
