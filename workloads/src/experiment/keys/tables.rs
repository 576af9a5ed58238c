//! Every key of the language, by the table it belongs to, but for those that only some payloads have.

use apportion_abi::Processor;
use apportion_scheduler::{PolicyKind, ReserveModel, WeightScope};

use super::super::measure::Measure;
use super::super::payloads::{OWN_KEYS, names_of_payloads};
use super::Absent::{Means, Otherwise, Refused};
use super::{Absent, Form, Keys, key, within};
use crate::limits;

const AS_IT_IS: Absent = Otherwise("it stays as it is");
const NOT_DONE: Absent = Otherwise("not done");

/// The keys of a guest that cannot be a default.
pub(crate) const NO_DEFAULTS: &[&str] = &["name", "count"];

const TO_CLAIM: &str = "this is a key of a claim: move it below a [[claim]] header";
const TO_CHANGE: &str = "this is a key of a change: move it below a [[change]] header";
const TO_EXPERIMENT: &str =
    "this is a key of the experiment: move it above the first [[guest]] header";
const TO_GUEST: &str = "this is a key of a guest: move it below a [[guest]] header";
const TO_SIMULATOR: &str = "this is a key of the simulator: move it below a [simulator] header";

pub(crate) static EXPERIMENT: Keys = Keys {
    owner: "an experiment",
    keys: &[
        key(
            "schema",
            Form::Exactly(1),
            Refused,
            "the version of this format",
        ),
        key(
            "name",
            Form::Name,
            Refused,
            "what it is called; its recordings are named after it",
        ),
        key(
            "why",
            Form::Sentence,
            Refused,
            "the question that it answers, for people",
        ),
        within(
            &limits::LPS,
            Otherwise("every LP of the host"),
            "LPs given to the guests",
        ),
        within(
            &limits::NODES,
            Means("1"),
            "NUMA nodes that the LPs are divided into evenly, in order",
        ),
        within(&limits::DURATION, Means("\"10s\""), "measured time"),
        within(
            &limits::WARM_UP,
            Means("\"1s\""),
            "time before it, recorded and not measured",
        ),
        within(
            &limits::SLICE,
            Means("\"1ms\""),
            "the longest time for which a VP runs without a new decision",
        ),
        key(
            "policy",
            Form::Word(|| PolicyKind::ALL.map(PolicyKind::name).to_vec()),
            Means("\"fair\""),
            "who runs next; the last four are yardsticks",
        ),
        key(
            "weight_scope",
            Form::Word(|| WeightScope::ALL.map(WeightScope::name).to_vec()),
            Means("\"vp\""),
            "whose claim a weight is: each VP's, or the guest's, split over its VPs that want to run",
        ),
        key(
            "reserve_model",
            Form::Word(|| ReserveModel::ALL.map(ReserveModel::name).to_vec()),
            Means("\"additive\""),
            "reserves first and the rest by weight, or by weight but never below the reserve",
        ),
        within(&limits::REPETITIONS, Means("1"), "how often it is run"),
        within(
            &limits::TOLERANCE_PP,
            Means("0.5"),
            "allowed error of a share over the whole run, in percentage points",
        ),
        within(
            &limits::SEED,
            Means("1"),
            "where everything random in the run begins",
        ),
        key(
            "guest",
            Form::Tables(&GUEST),
            Refused,
            "the guests, each entry below [[guest]]",
        ),
        key(
            "change",
            Form::Tables(&CHANGE),
            Otherwise("nothing changes"),
            "what is altered during the run, each entry below [[change]], in order of time",
        ),
        key(
            "claim",
            Form::Tables(&CLAIM),
            Otherwise("nothing is claimed"),
            "what has to hold besides the shares, each entry below [[claim]]",
        ),
        key(
            "sweep",
            Form::Axes,
            Otherwise("one experiment"),
            "keys with a list of values each: every combination is an experiment",
        ),
        key(
            "defaults",
            Form::Some(&GUEST, NO_DEFAULTS),
            Otherwise("those of each key"),
            "keys of guests that every entry has unless it says otherwise",
        ),
        key(
            "simulator",
            Form::Table(&SIMULATOR),
            Otherwise("its defaults"),
            "what a simulated host costs",
        ),
    ],
    of_payloads: &[],
    instead: &[],
    elsewhere: &[
        (&GUEST, TO_GUEST),
        (&CHANGE, TO_CHANGE),
        (&CLAIM, TO_CLAIM),
        (&SIMULATOR, TO_SIMULATOR),
    ],
};

pub(crate) static GUEST: Keys = Keys {
    owner: "a guest",
    keys: &[
        key(
            "name",
            Form::Name,
            Refused,
            "with a `count` of n its guests are `name-1` to `name-n`",
        ),
        within(&limits::COUNT, Means("1"), "how many such guests"),
        within(&limits::VPS, Means("1"), "virtual processors of each"),
        within(
            &limits::WEIGHT,
            Means("100"),
            "the claim of each VP (or guest, see `weight_scope`) under contention",
        ),
        within(
            &limits::RESERVE,
            Means("0"),
            "guaranteed to each VP whenever it wants it",
        ),
        within(&limits::CAP, Means("100"), "never exceeded by a VP"),
        within(
            &limits::EXPECTED,
            Otherwise("what the formula promises"),
            "the share that each guest of the entry is to receive over the whole run",
        ),
        key(
            "affinity",
            Form::List(&limits::AFFINITY),
            Otherwise("every LP"),
            "the LPs that its VPs may run on",
        ),
        within(
            &limits::MEMORY,
            Otherwise("what the payload needs, 4MiB at the least"),
            "memory of each; only what is touched costs the host any",
        ),
        key(
            "processor",
            Form::Word(|| Processor::ALL.map(Processor::name).to_vec()),
            Means("\"host\""),
            "which instructions it may use: the host's, or those of x86-64-v2 only",
        ),
        within(
            &limits::TICKS,
            Means("0"),
            "periodic timer interrupts that each VP gets in a second",
        ),
        key(
            "payload",
            Form::Word(names_of_payloads),
            Means("\"burn\""),
            "what runs inside",
        ),
    ],
    of_payloads: OWN_KEYS,
    instead: &[],
    elsewhere: &[
        (&EXPERIMENT, TO_EXPERIMENT),
        (&CHANGE, TO_CHANGE),
        (&CLAIM, TO_CLAIM),
        (&SIMULATOR, TO_SIMULATOR),
    ],
};

pub(crate) static CHANGE: Keys = Keys {
    owner: "a change",
    keys: &[
        within(
            &limits::AT,
            Refused,
            "when, counted from when measuring begins",
        ),
        key(
            "guest",
            Form::Name,
            Otherwise("no guest"),
            "a guest, or an entry for all its guests",
        ),
        within(
            &limits::WEIGHT,
            AS_IT_IS,
            "the weight of each VP from then on",
        ),
        within(
            &limits::RESERVE,
            AS_IT_IS,
            "the reserve of each VP from then on",
        ),
        within(&limits::CAP, AS_IT_IS, "the cap of each VP from then on"),
        key(
            "start",
            Form::Truth,
            NOT_DONE,
            "starts the guests that are named, which are not there before",
        ),
        key(
            "stop",
            Form::Truth,
            NOT_DONE,
            "stops the guests that are named",
        ),
        within(
            &limits::ADD_VPS,
            NOT_DONE,
            "so many more VPs for each guest that is named",
        ),
        within(
            &limits::INTERRUPTS,
            NOT_DONE,
            "so many interrupts to each VP of each guest that is named",
        ),
        within(&limits::LP_OFF, NOT_DONE, "takes an LP off line"),
        key(
            "force",
            Form::Truth,
            Means("false"),
            "takes it off line even where the reserves no longer fit",
        ),
        within(&limits::LP_ON, NOT_DONE, "brings an LP back"),
    ],
    of_payloads: &[],
    instead: &[("vps", "write `add_vps`: how many more VPs there shall be")],
    elsewhere: &[
        (&EXPERIMENT, TO_EXPERIMENT),
        (&GUEST, TO_GUEST),
        (&CLAIM, TO_CLAIM),
        (&SIMULATOR, TO_SIMULATOR),
    ],
};

pub(crate) static CLAIM: Keys = Keys {
    owner: "a claim",
    keys: &[
        key(
            "guest",
            Form::Name,
            Refused,
            "name of a guest, or of an entry for all its guests",
        ),
        key(
            "measure",
            Form::Word(|| Measure::all().map(Measure::name).collect()),
            Refused,
            "which figure",
        ),
        key(
            "at_least",
            Form::NumberOrTime(&limits::AT_LEAST, &limits::AT_LEAST_TIME),
            Otherwise("no bound"),
            "what the figure must not fall below; with `of` a factor",
        ),
        key(
            "at_most",
            Form::NumberOrTime(&limits::AT_MOST, &limits::AT_MOST_TIME),
            Otherwise("no bound"),
            "what the figure must not exceed; with `of` a factor",
        ),
        key(
            "of",
            Form::Settings,
            Otherwise("a threshold"),
            "settings of the run to compare with",
        ),
        key("why", Form::Sentence, Otherwise("nothing"), "for people"),
    ],
    of_payloads: &[],
    instead: &[],
    elsewhere: &[
        (&EXPERIMENT, TO_EXPERIMENT),
        (&GUEST, TO_GUEST),
        (&CHANGE, TO_CHANGE),
        (&SIMULATOR, TO_SIMULATOR),
    ],
};

pub(crate) static SIMULATOR: Keys = Keys {
    owner: "the simulator",
    keys: &[
        within(
            &limits::OVERHEAD,
            Means("\"2us\""),
            "what the host takes of an LP at each dispatch",
        ),
        within(
            &limits::KICK_LATENCY,
            Means("\"25us\""),
            "how late a dispatch ends at the most, uniformly distributed",
        ),
    ],
    of_payloads: &[],
    instead: &[],
    elsewhere: &[
        (
            &EXPERIMENT,
            "this is a key of the experiment: move it above the first header in brackets",
        ),
        (&GUEST, TO_GUEST),
        (&CHANGE, TO_CHANGE),
    ],
};
