//! Which LPs guests are at home on, and who is called for a VP that is Ready.

use apportion_scheduler::{
    Config, Controls, GuestId, LpId, Nanos, NewGuest, PolicyKind, Scheduler, Topology, VpId,
};

const SLICE: Nanos = Nanos::from_millis(1);

/// An empty machine.
fn machine(lps: u32, nodes: u32) -> Scheduler {
    let mut config = Config::new(lps, SLICE, PolicyKind::Fair);
    config.topology = Topology::even(lps, nodes);
    Scheduler::new(config)
}

/// A guest that may use these LPs; none of its VPs has started.
fn add(scheduler: &mut Scheduler, vps: u32, lps: Option<&[u32]>) -> GuestId {
    let new = NewGuest {
        name: "g".to_owned(),
        vps,
        controls: Controls::default(),
        affinity: lps.map(|lps| lps.iter().copied().map(LpId).collect()),
    };
    scheduler.add_guest(Nanos::ZERO, &new).unwrap()
}

/// Where its VPs are at home, in order.
fn homes(scheduler: &Scheduler, guest: GuestId) -> Vec<u32> {
    let machine = scheduler.machine();
    let vps = machine.guest(guest).vps.iter();
    let mut homes: Vec<u32> = vps.map(|&vp| machine.vp(vp).home.0).collect();
    homes.sort_unstable();
    homes
}

fn placed(scheduler: &mut Scheduler, vps: u32, lps: Option<&[u32]>) -> Vec<u32> {
    let guest = add(scheduler, vps, lps);
    homes(scheduler, guest)
}

#[test]
fn a_guest_is_placed_on_the_emptiest_node_that_it_fits_on() {
    let scheduler = &mut machine(6, 3);
    assert_eq!(placed(scheduler, 2, None), [0, 1]);
    assert_eq!(placed(scheduler, 1, None), [2]);
    assert_eq!(placed(scheduler, 2, None), [4, 5]);
    // A half on the second node, one on the others.
    assert_eq!(placed(scheduler, 1, None), [3]);
    // All alike: the first.
    assert_eq!(placed(scheduler, 1, None), [0]);
    assert_eq!(placed(scheduler, 2, None), [2, 3]);
}

#[test]
fn a_guest_larger_than_any_node_is_spread_over_the_emptiest_lps() {
    let scheduler = &mut machine(6, 3);
    assert_eq!(placed(scheduler, 2, None), [0, 1]);
    assert_eq!(placed(scheduler, 4, None), [2, 3, 4, 5]);
    assert_eq!(placed(scheduler, 3, None), [0, 1, 2]);
    assert_eq!(placed(scheduler, 7, None), [0, 1, 2, 3, 3, 4, 5]);
}

#[test]
fn only_lps_that_the_guest_may_use_make_a_node_large_enough_or_empty() {
    let scheduler = &mut machine(6, 2);
    // It fits on the second node only.
    assert_eq!(placed(scheduler, 2, Some(&[0, 3, 4])), [3, 4]);
    assert_eq!(placed(scheduler, 3, None), [0, 1, 2]);
    // Where it may run there is nobody yet.
    assert_eq!(placed(scheduler, 1, Some(&[0, 5])), [5]);
    scheduler.lp_off(Nanos::ZERO, LpId(1), false).unwrap();
    // Its VP has gone elsewhere, and the node has two LPs left.
    assert_eq!(placed(scheduler, 3, None), [3, 4, 5]);
}

#[test]
fn nodes_are_compared_by_vps_per_lp() {
    // By how far there are more VPs than LPs the other node would be taken.
    let scheduler = &mut machine(6, 2);
    for lp in [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4] {
        add(scheduler, 1, Some(&[lp]));
    }
    // 8 on three LPs, 6 on two.
    assert_eq!(placed(scheduler, 1, Some(&[0, 1, 2, 3, 4])), [2]);
}

#[test]
fn a_stopped_guest_takes_no_room() {
    let scheduler = &mut machine(4, 2);
    let first = add(scheduler, 2, None);
    assert_eq!(homes(scheduler, first), [0, 1]);
    let second = add(scheduler, 2, None);
    assert_eq!(homes(scheduler, second), [2, 3]);
    scheduler.stop_guest(Nanos::ZERO, first);
    // Once only.
    scheduler.stop_guest(Nanos::ZERO, first);
    assert_eq!(placed(scheduler, 1, None), [0]);
    assert_eq!(placed(scheduler, 1, None), [1]);
    // Nor where it is moved to.
    scheduler.lp_off(Nanos::ZERO, LpId(1), false).unwrap();
    assert_eq!(homes(scheduler, first), [0, 0]);
    scheduler.lp_on(Nanos::ZERO, LpId(1)).unwrap();
    // Both that are left have gone to LP 0.
    assert_eq!(placed(scheduler, 2, None), [1, 1]);
}

#[test]
fn a_vp_takes_room_where_it_has_been_moved_to() {
    let scheduler = &mut machine(3, 1);
    assert_eq!(placed(scheduler, 2, None), [0, 1]);
    scheduler.lp_off(Nanos::ZERO, LpId(1), false).unwrap();
    assert_eq!(homes(scheduler, GuestId(0)), [0, 2]);
    scheduler.lp_on(Nanos::ZERO, LpId(1)).unwrap();
    assert_eq!(placed(scheduler, 1, None), [1]);
    assert_eq!(placed(scheduler, 1, None), [0]);
}

#[test]
fn a_guest_goes_to_the_node_on_which_its_new_affinity_fits() {
    let scheduler = &mut machine(4, 2);
    let guest = add(scheduler, 2, None);
    scheduler.start(Nanos::ZERO, &[VpId(0), VpId(1)]);
    let bound = [1, 2, 3].map(LpId).into_iter().collect();
    scheduler
        .set_affinity(Nanos::ZERO, guest, Some(bound))
        .unwrap();
    assert_eq!(scheduler.machine().guest(guest).node, Some(1));
    // Only who may not stay leaves.
    assert_eq!(homes(scheduler, guest), [1, 2]);
}
