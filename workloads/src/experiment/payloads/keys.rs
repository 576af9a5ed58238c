//! Which payloads have which keys, and what to say where it is not so.

use std::ops::Range;

use super::super::diagnostics::Problem;
use super::super::fields::Fields;
use crate::suggest::listed;

/// A key that one payload has, or several, and the others have not.
struct OwnKey {
    payload: &'static str,
    key: &'static str,
    /// A line that would do and what the key means, to follow "it is"; `None` where it may be left out.
    needed: Option<(&'static str, &'static str)>,
}

const fn needed(
    payload: &'static str,
    key: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> OwnKey {
    OwnKey {
        payload,
        key,
        needed: Some((example, meaning)),
    }
}

const fn optional(payload: &'static str, key: &'static str) -> OwnKey {
    OwnKey {
        payload,
        key,
        needed: None,
    }
}

const OWN_KEYS: [OwnKey; 22] = [
    needed(
        "crash",
        "after_work",
        "after_work = 1000000",
        "the number of work units until the guest faults",
    ),
    needed(
        "periodic",
        "period",
        "period = \"20ms\"",
        "the time from one awakening of each VP to the next",
    ),
    needed(
        "periodic",
        "run",
        "run = \"1ms\"",
        "the CPU time that each VP wants in every period",
    ),
    needed(
        "on-off",
        "on",
        "on = \"5ms\"",
        "the CPU time that each VP wants between two sleeps, on average",
    ),
    needed(
        "on-off",
        "off",
        "off = \"20ms\"",
        "the time for which each VP sleeps, on average",
    ),
    needed(
        "spin",
        "critical",
        "critical = \"50us\"",
        "the CPU time for which a VP holds the lock",
    ),
    needed(
        "spin",
        "think",
        "think = \"500us\"",
        "the CPU time from leaving the lock to wanting it again",
    ),
    optional("spin", "hint"),
    optional("spin", "threshold"),
    needed(
        "fixed-work",
        "units",
        "units = 10000000",
        "the number of work units, about 100 ns of CPU time each, after which each VP is done",
    ),
    optional("fixed-work", "burst"),
    optional("fixed-work", "pause"),
    needed(
        "memory",
        "working_set",
        "working_set = \"1MiB\"",
        "the size of the memory that each VP walks over",
    ),
    optional("memory", "stride"),
    needed(
        "bursts",
        "every",
        "every = \"10ms\"",
        "the time from one arrival of work at each VP to the next, on average",
    ),
    needed(
        "bursts",
        "run",
        "run = \"1ms\"",
        "the CPU time that each arrival brings, on average",
    ),
    optional("bursts", "random"),
    needed(
        "probe",
        "period",
        "period = \"10ms\"",
        "the time from one awakening of each VP to the next",
    ),
    needed(
        "probe",
        "run",
        "run = \"50us\"",
        "the CPU time for which each VP works in every period",
    ),
    needed(
        "yield-loop",
        "run",
        "run = \"100us\"",
        "the CPU time from one yield of each VP to the next",
    ),
    needed(
        "clock",
        "pause",
        "pause = \"1ms\"",
        "the time for which each VP sleeps between two readings",
    ),
    needed(
        "hostile",
        "attack",
        "attack = \"tight-loop\"",
        "the way in which the guest does its worst",
    ),
];

/// Whether guests with `payload` may have `key`, as far as keys of payloads go.
pub(crate) fn suits(key: &str, payload: &str) -> bool {
    let mut owners = OWN_KEYS.iter().filter(|own| own.key == key).peekable();
    owners.peek().is_none() || owners.any(|own| own.payload == payload)
}

/// The keys of some payloads that one guest has, and where they stand.
pub(super) struct Written(Vec<(&'static str, Range<usize>)>);

impl Written {
    pub(super) fn of(fields: &Fields<'_, '_>) -> Written {
        let mut written = Written(Vec::new());
        for own in &OWN_KEYS {
            if written.place(own.key).is_none()
                && let Some(place) = fields.span_of_key(own.key)
            {
                written.0.push((own.key, place));
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
            own.any(|own| own.key == key && own.payload == payload)
        };
        let foreign = self.0.iter().filter(|(key, _)| !has(*key));
        let foreign = foreign.map(|(key, at)| refuse(key, at.clone()));
        let missing = OWN_KEYS
            .iter()
            .filter(|own| own.payload == payload && self.place(own.key).is_none())
            .filter_map(|own| own.demand(place.clone()));
        foreign.chain(missing).collect()
    }
}

/// The complaint about a key in a guest with another payload.
fn refuse(key: &str, at: Range<usize>) -> Problem {
    let owners = OWN_KEYS.iter().filter(|own| own.key == key);
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
        let (example, meaning) = self.needed?;
        let title = format!("payload `{}` needs `{}`", self.payload, self.key);
        let remedy = format!("add a line such as `{example}`");
        Some(Problem::at(payload, title, remedy).help(format!("it is {meaning}")))
    }
}
