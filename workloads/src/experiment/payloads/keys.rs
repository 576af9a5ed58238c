//! Which payloads have which keys, and what to say where it is not so.

use std::ops::Range;

use apportion_abi::Attack;

use super::super::diagnostics::Problem;
use super::super::fields::Fields;
use super::super::keys::{Absent, Form, Key, key, within};
use crate::limits::{self, Limit};
use crate::schema::Bounded;
use crate::suggest::listed;
use crate::traces::Format;

/// A key that one payload has, or several, and the others have not.
pub(crate) struct OwnKey {
    pub(crate) payload: &'static str,
    pub(crate) key: Key,
    /// A line that would do, where the payload needs the key.
    example: Option<&'static str>,
}

const fn needed(payload: &'static str, key: Key, example: &'static str) -> OwnKey {
    OwnKey {
        payload,
        key,
        example: Some(example),
    }
}

const fn optional(payload: &'static str, key: Key) -> OwnKey {
    OwnKey {
        payload,
        key,
        example: None,
    }
}

const fn required<T: Bounded>(limit: &'static Limit<T>, meaning: &'static str) -> Key {
    within(limit, Absent::Refused, meaning)
}

pub(crate) const OWN_KEYS: &[OwnKey] = &[
    needed(
        "crash",
        required(
            &limits::AFTER_WORK,
            "the number of work units until the guest faults",
        ),
        "after_work = 1000000",
    ),
    needed(
        "periodic",
        required(
            &limits::PERIOD,
            "the time from one awakening of each VP to the next",
        ),
        "period = \"20ms\"",
    ),
    needed(
        "periodic",
        required(
            &limits::RUN,
            "the CPU time that each VP wants in every period",
        ),
        "run = \"1ms\"",
    ),
    needed(
        "on-off",
        required(
            &limits::ON,
            "the CPU time that each VP wants between two sleeps, on average",
        ),
        "on = \"5ms\"",
    ),
    needed(
        "on-off",
        required(
            &limits::OFF,
            "the time for which each VP sleeps, on average",
        ),
        "off = \"20ms\"",
    ),
    needed(
        "spin",
        required(
            &limits::CRITICAL,
            "the CPU time for which a VP holds the lock",
        ),
        "critical = \"50us\"",
    ),
    needed(
        "spin",
        required(
            &limits::THINK,
            "the CPU time from leaving the lock to wanting it again",
        ),
        "think = \"500us\"",
    ),
    optional(
        "spin",
        key(
            "hint",
            Form::Truth,
            Absent::Means("true"),
            "whether a spinning VP tells the hypervisor",
        ),
    ),
    optional(
        "spin",
        within(
            &limits::THRESHOLD,
            Absent::Means("2048"),
            "the number of spins after which, and at each multiple, it does",
        ),
    ),
    needed(
        "fixed-work",
        required(
            &limits::UNITS,
            "the number of work units, about 100 ns of CPU time each, after which each VP is done",
        ),
        "units = 10000000",
    ),
    optional(
        "fixed-work",
        within(
            &limits::BURST,
            Absent::Otherwise("no pauses"),
            "the number of work units from one pause to the next; it takes `pause`, too",
        ),
    ),
    optional(
        "fixed-work",
        within(
            &limits::PAUSE,
            Absent::Otherwise("no pauses"),
            "the time for which each VP sleeps after a burst; it takes `burst`, too",
        ),
    ),
    needed(
        "memory",
        required(
            &limits::WORKING_SET,
            "the size of the memory that each VP walks over",
        ),
        "working_set = \"1MiB\"",
    ),
    optional(
        "memory",
        within(
            &limits::STRIDE,
            Absent::Means("\"64B\""),
            "the size of a step from one access to the next",
        ),
    ),
    needed(
        "bursts",
        required(
            &limits::EVERY,
            "the time from one arrival of work at each VP to the next, on average",
        ),
        "every = \"10ms\"",
    ),
    needed(
        "bursts",
        required(
            &limits::RUN,
            "the CPU time that each arrival brings, on average",
        ),
        "run = \"1ms\"",
    ),
    optional(
        "bursts",
        key(
            "random",
            Form::Truth,
            Absent::Means("false"),
            "whether both times are exponentially distributed; else they are constant",
        ),
    ),
    needed(
        "probe",
        required(
            &limits::PERIOD,
            "the time from one awakening of each VP to the next",
        ),
        "period = \"10ms\"",
    ),
    needed(
        "probe",
        required(
            &limits::RUN,
            "the CPU time for which each VP works in every period",
        ),
        "run = \"50us\"",
    ),
    needed(
        "yield-loop",
        required(
            &limits::RUN,
            "the CPU time from one yield of each VP to the next",
        ),
        "run = \"100us\"",
    ),
    needed(
        "clock",
        required(
            &limits::PAUSE,
            "the time for which each VP sleeps between two readings",
        ),
        "pause = \"1ms\"",
    ),
    needed(
        "hostile",
        key(
            "attack",
            Form::Word(|| Attack::ALL.map(Attack::name).to_vec()),
            Absent::Refused,
            "the way in which the guest does its worst",
        ),
        "attack = \"tight-loop\"",
    ),
    needed(
        "replay",
        key(
            "trace",
            Form::Sentence,
            Absent::Refused,
            "the file that says how much CPU time VMs wanted, and when",
        ),
        "trace = \"shipped:fifty\"",
    ),
    optional(
        "replay",
        key(
            "format",
            Form::Word(|| Format::ALL.map(Format::name).to_vec()),
            Absent::Otherwise("what its beginning tells"),
            "how it is written",
        ),
    ),
    optional(
        "replay",
        key(
            "vms",
            Form::Words,
            Absent::Otherwise("those that come first"),
            "which of its VMs become guests, in this order",
        ),
    ),
    optional(
        "replay",
        within(
            &limits::FROM,
            Absent::Means("\"0s\""),
            "the time of the trace at which the guests are started",
        ),
    ),
    optional(
        "replay",
        within(
            &limits::SPEED,
            Absent::Means("1"),
            "trace time per time of the run",
        ),
    ),
    optional(
        "replay",
        within(
            &limits::OVERCOMMIT,
            Absent::Otherwise("as the trace has it"),
            "the mean demand of its guests together, as a multiple of the LPs",
        ),
    ),
    optional(
        "replay",
        within(
            &limits::BURST_LENGTH,
            Absent::Means("\"5ms\""),
            "the mean length of a burst",
        ),
    ),
    optional(
        "replay",
        key(
            "random",
            Form::Truth,
            Absent::Means("true"),
            "whether lengths of bursts are exponentially distributed; else they are constant",
        ),
    ),
    optional(
        "replay",
        key(
            "controls",
            Form::Word(|| vec!["trace"]),
            Absent::Otherwise("those of the file"),
            "takes weight, reserve and cap from the trace where the file does not name them",
        ),
    ),
];

/// Whether guests with `payload` may have `key`, as far as keys of payloads go.
pub(crate) fn suits(key: &str, payload: &str) -> bool {
    let mut owners = OWN_KEYS.iter().filter(|own| own.key.name == key).peekable();
    owners.peek().is_none() || owners.any(|own| own.payload == payload)
}

/// The keys of some payloads that one guest has, and where they stand.
pub(super) struct Written(Vec<(&'static str, Range<usize>)>);

impl Written {
    pub(super) fn of(fields: &Fields<'_, '_>) -> Written {
        let mut written = Written(Vec::new());
        for key in OWN_KEYS.iter().map(|own| own.key.name) {
            if written.place(key).is_none()
                && let Some(place) = fields.span_of_key(key)
            {
                written.0.push((key, place));
            }
        }
        written
    }

    /// Where `key` stands.
    pub(super) fn place(&self, key: &str) -> Option<Range<usize>> {
        let (_, place) = self.0.iter().find(|(written, _)| *written == key)?;
        Some(place.clone())
    }

    /// The complaints about keys that `payload` has not, and about those that it needs; it stands at `place`.
    pub(super) fn check(&self, payload: &str, place: &Range<usize>) -> Vec<Problem> {
        let has = |key| {
            let mut own = OWN_KEYS.iter();
            own.any(|own| own.key.name == key && own.payload == payload)
        };
        let foreign = self.0.iter().filter(|(key, _)| !has(*key));
        let foreign = foreign.map(|(key, at)| refuse(key, at.clone()));
        let missing = OWN_KEYS
            .iter()
            .filter(|own| own.payload == payload && self.place(own.key.name).is_none())
            .filter_map(|own| own.demand(place.clone()));
        foreign.chain(missing).collect()
    }
}

/// The complaint about a key in a guest with another payload.
fn refuse(key: &str, at: Range<usize>) -> Problem {
    let owners = OWN_KEYS.iter().filter(|own| own.key.name == key);
    let owners: Vec<&str> = owners.map(|own| own.payload).collect();
    let (payloads, remedy) = match owners[..] {
        [only] => (
            format!("payload `{only}`"),
            format!("remove this key, or write `payload = \"{only}\"`"),
        ),
        [ref most @ .., last] => (
            format!("payloads {} and `{last}`", listed(most.iter().copied())),
            "remove this key, or choose one of these payloads".to_owned(),
        ),
        [] => ("no payload".to_owned(), "remove this key".to_owned()),
    };
    Problem::at(at, format!("`{key}` is for {payloads} only"), remedy)
}

impl OwnKey {
    /// The complaint about a payload without the key, unless it may be left out.
    fn demand(&self, payload: Range<usize>) -> Option<Problem> {
        let (example, meaning) = (self.example?, self.key.meaning);
        let title = format!("payload `{}` needs `{}`", self.payload, self.key.name);
        let remedy = format!("add a line such as `{example}`");
        Some(Problem::at(payload, title, remedy).help(format!("it is {meaning}")))
    }
}
