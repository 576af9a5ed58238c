//! What a random script is made of, and how it is drawn.

use apportion_scheduler::{Cap, Controls, PolicyKind, Reserve, ReserveModel, Weight, WeightScope};
use proptest::prelude::*;

/// A machine and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) lps: u32,
    pub(crate) nodes: u32,
    pub(crate) policy: PolicyKind,
    pub(crate) model: ReserveModel,
    pub(crate) scope: WeightScope,
    /// The time in ns at which it begins.
    pub(crate) begin: u64,
    /// Of the overshoots.
    pub(crate) seed: u64,
    pub(crate) ops: Vec<Op>,
}

/// Weight, reserve and cap, in percent with the reserve as a part of the cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) weight: u32,
    pub(crate) reserve: f64,
    pub(crate) cap: f64,
}

impl Terms {
    pub(crate) fn controls(self) -> Controls {
        Controls::new(
            Weight::new(i64::from(self.weight)).unwrap(),
            Reserve::from_percent(self.reserve).unwrap(),
            Cap::from_percent(self.cap).unwrap(),
        )
        .unwrap()
    }
}

/// One step. Guests, VPs and LPs are named by numbers that count modulo how
/// many there are, so that any script makes sense and shrinks well.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Adds a guest and starts it. Each VP runs for `burst`, then sleeps for `pause`, both in µs; a burst of 0 never ends.
    Guest {
        vps: u32,
        terms: Terms,
        /// Bits by LP; `None` is everywhere.
        affinity: Option<u64>,
        burst: u32,
        pause: u32,
    },
    /// Makes a guest of one VP known that is let in later.
    Define(Terms),
    /// Lets a guest in that was defined, and starts it.
    Admit(u8),
    StopGuest(u8),
    StopVp(u8),
    StartVp(u8),
    AddVp(u8),
    /// A VP that runs sleeps, for so many µs or until woken.
    Sleep(u8, Option<u32>),
    Wake(u8),
    Controls(u8, Terms),
    /// The controls it has already.
    SameControls(u8),
    Affinity(u8, Option<u64>),
    LpOff(u8, bool),
    LpOn(u8),
    /// The dispatch on an LP ends so many µs later than it would.
    Late(u8, u32),
    /// What runs on an LP spins.
    Spin(u8),
    /// So many µs of an LP's time are lost.
    Lose(u8, u32),
    /// Nothing happens anywhere for so many µs, as on a host that was suspended.
    Jump(u32),
    /// So many µs go by.
    Run(u32),
}

/// What may happen in a script.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    pub(crate) affinity: bool,
    /// Any policy, any time to begin at.
    pub(crate) anything: bool,
}

pub(crate) fn terms() -> impl Strategy<Value = Terms> {
    let weight = prop_oneof![
        3 => 1u32..=10_000,
        1 => Just(100),
        1 => prop::sample::select(vec![1, 10, 50, 200, 1_000, 10_000]),
    ];
    let reserve = prop_oneof![3 => Just(0.0), 1 => (0u32..=100).prop_map(|r| f64::from(r) / 100.0)];
    let cap = prop_oneof![
        3 => Just(100.0),
        1 => (1u32..=99).prop_map(f64::from),
        1 => (1u32..=100_000).prop_map(|parts| f64::from(parts) / 1_000.0),
    ];
    (weight, reserve, cap).prop_map(|(weight, reserve, cap)| Terms {
        weight,
        // Small enough for some to be admitted beside each other.
        reserve: (cap * reserve * 500.0).round() / 1_000.0,
        cap,
    })
}

fn affinity(kind: Kind) -> BoxedStrategy<Option<u64>> {
    if !kind.affinity {
        return Just(None).boxed();
    }
    let few = prop::collection::vec(0u32..64, 1..4)
        .prop_map(|bits| bits.iter().fold(0, |set, bit| set | 1u64 << bit));
    prop_oneof![2 => Just(None), 1 => any::<u64>().prop_map(Some), 1 => few.prop_map(Some)].boxed()
}

fn guest(kind: Kind) -> impl Strategy<Value = Op> {
    let burst = prop_oneof![2 => Just(0), 1 => 20u32..5_000];
    (1u32..=4, terms(), affinity(kind), burst, 20u32..8_000).prop_map(
        |(vps, terms, affinity, burst, pause)| Op::Guest {
            vps,
            terms,
            affinity,
            burst,
            pause,
        },
    )
}

fn op(kind: Kind) -> impl Strategy<Value = Op> {
    let any_one = any::<u8>;
    let affinities = if kind.affinity { 4 } else { 1 };
    prop_oneof![
        5 => guest(kind),
        2 => terms().prop_map(Op::Define),
        3 => any_one().prop_map(Op::Admit),
        1 => any_one().prop_map(Op::StopGuest),
        1 => any_one().prop_map(Op::StopVp),
        1 => any_one().prop_map(Op::StartVp),
        1 => any_one().prop_map(Op::AddVp),
        6 => (any_one(), prop::option::of(0u32..5_000)).prop_map(|(vp, time)| Op::Sleep(vp, time)),
        6 => any_one().prop_map(Op::Wake),
        3 => (any_one(), terms()).prop_map(|(guest, terms)| Op::Controls(guest, terms)),
        1 => any_one().prop_map(Op::SameControls),
        affinities => (any_one(), affinity(kind)).prop_map(|(guest, set)| Op::Affinity(guest, set)),
        2 => (any_one(), any::<bool>()).prop_map(|(lp, force)| Op::LpOff(lp, force)),
        2 => any_one().prop_map(Op::LpOn),
        2 => (any_one(), 1u32..5_000).prop_map(|(lp, late)| Op::Late(lp, late)),
        3 => any_one().prop_map(Op::Spin),
        3 => (any_one(), 1u32..2_000).prop_map(|(lp, lost)| Op::Lose(lp, lost)),
        1 => prop_oneof![1u32..10_000, 1u32..10_000_000].prop_map(Op::Jump),
        14 => (1u32..6_000).prop_map(Op::Run),
    ]
}

/// Scripts of a kind.
pub(crate) fn scripts(kind: Kind) -> impl Strategy<Value = Script> {
    let lps = prop_oneof![
        4 => Just((1, 1)),
        4 => Just((2, 1)),
        3 => Just((4, 1)),
        2 => Just((4, 4)),
        1 => Just((64, 1)),
        1 => Just((64, 4)),
    ];
    let (policy, begin) = if kind.anything {
        (
            prop_oneof![3 => Just(PolicyKind::Fair), 1 => prop::sample::select(PolicyKind::ALL.to_vec())].boxed(),
            // The last one lies near the middle of what 64 bits hold.
            prop::sample::select(vec![0, 1, 1 << 40, (1 << 60) - 1, 1 << 62, (1 << 63) - 5_000_000]).boxed(),
        )
    } else {
        (Just(PolicyKind::Fair).boxed(), Just(0).boxed())
    };
    let how = (
        policy,
        begin,
        prop::sample::select(ReserveModel::ALL.to_vec()),
        prop::sample::select(WeightScope::ALL.to_vec()),
        any::<u64>(),
    );
    let ops = prop::collection::vec(op(kind), 1..60);
    (lps, how, ops).prop_map(
        |((lps, nodes), (policy, begin, model, scope, seed), ops)| Script {
            lps,
            nodes,
            policy,
            model,
            scope,
            begin,
            seed,
            ops,
        },
    )
}

/// For all LPs to be busy on a large machine there must be many guests: each counts so many times.
pub(crate) fn copies(lps: u32) -> u32 {
    lps.div_ceil(8)
}
