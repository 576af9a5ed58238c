//! The rules, in one table.

use super::scene::Scene;
use super::{Rule, Severity, admission, inert, placement, promises, time, weights};
use crate::experiment::diagnostics::Problem;

/// Every rule, errors first.
pub const RULES: &[Rule] = &[
    error(
        "missing-lp",
        "an affinity, a change or `nodes` needs an LP that is not there",
        admission::missing_lp,
    ),
    error(
        "too-many-affinities",
        "so many different affinities that no shares can be expected",
        admission::too_many_affinities,
    ),
    error(
        "reserve-does-not-fit",
        "a reserve, at the start or by a change, that cannot be promised beside the others",
        admission::reserve_does_not_fit,
    ),
    error(
        "lp-needed",
        "an LP that cannot go off line, since reserves or a guest need it",
        admission::lp_needed,
    ),
    warning(
        "no-contention",
        "weights or reserves where everybody gets all it wants",
        inert::no_contention,
    ),
    warning(
        "inert-cap",
        "a cap above what weights or the payload leave a guest anyway",
        inert::cap,
    ),
    warning(
        "inert-reserve",
        "a reserve that changes nobody's share",
        inert::reserve,
    ),
    note(
        "idle-reserve",
        "a reserve above what the payload wants",
        inert::idle_reserve,
    ),
    note(
        "equal-weights",
        "weights other than the default that are all equal",
        inert::equal_weights,
    ),
    warning(
        "inert-change",
        "a change that alters nothing",
        inert::change,
    ),
    note(
        "inert-reading",
        "`reserve_model` or `weight_scope` where both readings are the same",
        inert::reading,
    ),
    warning(
        "inverted-claims",
        "a guest with the larger weight and the smaller claim, for want of VPs",
        weights::inverted_claims,
    ),
    note(
        "claims-per-vp",
        "weights of guests with different numbers of VPs, of which each counts",
        weights::claims_per_vp,
    ),
    note(
        "more-than-an-lp",
        "a weight worth more than one LP, which a VP cannot use",
        weights::more_than_an_lp,
    ),
    warning(
        "never-compared",
        "different weights of guests that have no LP in common",
        weights::never_compared,
    ),
    warning(
        "blind-policy",
        "controls under a policy that ignores them",
        weights::blind_policy,
    ),
    note(
        "little-by-weight",
        "reserves that leave hardly anything to be shared by weight",
        weights::little_by_weight,
    ),
    warning(
        "more-vps-than-lps",
        "a guest with more VPs than LPs that it may use",
        placement::more_vps_than_lps,
    ),
    note(
        "wider-than-a-node",
        "a guest with more VPs than a NUMA node has LPs",
        placement::wider_than_a_node,
    ),
    note(
        "needs-simulator",
        "NUMA nodes, which are simulated only",
        placement::needs_simulator,
    ),
    warning(
        "bound-above-tolerance",
        "a run or phase too short for its tolerance",
        time::bound_above_tolerance,
    ),
    warning(
        "tolerance-hides-guest",
        "a tolerance that a guest which gets nothing would still be within",
        time::tolerance_hides_guest,
    ),
    warning(
        "short-phase",
        "a phase too short to be judged",
        time::short_phase,
    ),
    warning(
        "claim-against-formula",
        "a claim about a share, or a factor of another run's, that the formula contradicts",
        promises::claim_against_formula,
    ),
    note(
        "expected-by-hand",
        "an `expected` share that is not the formula's, by more than the tolerance",
        promises::expected_by_hand,
    ),
    note(
        "no-warm-up",
        "no warm-up, so that the start of the guests is measured",
        time::no_warm_up,
    ),
    note(
        "short-bursts",
        "bursts of on-off shorter than a slice",
        time::short_bursts,
    ),
];

const fn error(
    id: &'static str,
    about: &'static str,
    look: fn(&Scene<'_>) -> Vec<Problem>,
) -> Rule {
    rule(Severity::Error, id, about, look)
}

const fn warning(
    id: &'static str,
    about: &'static str,
    look: fn(&Scene<'_>) -> Vec<Problem>,
) -> Rule {
    rule(Severity::Warning, id, about, look)
}

const fn note(id: &'static str, about: &'static str, look: fn(&Scene<'_>) -> Vec<Problem>) -> Rule {
    rule(Severity::Note, id, about, look)
}

const fn rule(
    severity: Severity,
    id: &'static str,
    about: &'static str,
    look: fn(&Scene<'_>) -> Vec<Problem>,
) -> Rule {
    Rule {
        id,
        severity,
        about,
        look,
    }
}

/// Finds nothing.
pub(super) fn nothing(_: &Scene<'_>) -> Vec<Problem> {
    Vec::new()
}
