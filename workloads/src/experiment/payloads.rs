//! `payload` and the keys that only some payloads have.

mod keys;
mod sense;

use std::ops::Range;

use apportion_abi::{Attack, Ns, Payload};
use apportion_scheduler::Nanos;
use toml::Spanned;

pub(super) use self::keys::OWN_KEYS;
pub(crate) use self::keys::OwnKey;
use self::keys::Written;
pub(super) use self::keys::suits;
use super::diagnostics::Problem;
use super::fields::Fields;
use super::replay::Draft;
use crate::limits;
use crate::size::Bytes;

/// Spins after which a VP tells the hypervisor, unless the file says otherwise.
const THRESHOLD: u64 = 2_048;

/// From one access to the next, unless the file says otherwise: a cache line.
const STRIDE: Bytes = Bytes(64);

/// Working sets lie one behind the other, and are accessed by words of this size.
const WORD: Bytes = Bytes(8);

/// What a guest runs, as its entry says it.
pub(super) struct Program {
    pub(super) payload: Payload,
    /// Where the payload is named; empty where it is not.
    pub(super) place: Range<usize>,
    /// What each VP of payload `memory` needs for itself.
    pub(super) working_set: Option<Spanned<Bytes>>,
    /// Whose demand a guest with payload `replay` does again.
    pub(super) replay: Option<Draft>,
}

impl Default for Program {
    fn default() -> Program {
        Program {
            payload: Payload::Burn,
            place: Range::default(),
            working_set: None,
            replay: None,
        }
    }
}

/// The payload, with stand-ins for what is missing or wrong.
pub(super) fn read_payload(fields: &mut Fields<'_, '_>) -> Program {
    let given = fields.span_of_key("payload").is_some();
    let kinds: Vec<(&'static str, Payload)> = kinds().map(|kind| (kind.name(), kind)).collect();
    let kind = fields.choice("payload", &kinds);
    let written = Written::of(fields);
    let values = Values::read(fields);
    let (kind, place) = match kind {
        Some(kind) => (*kind.get_ref(), kind.span()),
        // Unknown and reported: no telling which keys it has.
        None if given => return Program::default(),
        None => (Payload::Burn, Range::default()),
    };
    let replay = match kind {
        Payload::Replay => Draft::read(fields, values.random),
        _ => None,
    };
    let problems = written.check(kind.name(), &place);
    fields.problems.extend(problems);
    fields.problems.extend(values.nonsense(kind, &written));
    Program {
        payload: values.payload(kind),
        place,
        working_set: values
            .working_set
            .filter(|_| matches!(kind, Payload::Memory { .. })),
        replay,
    }
}

/// What every payload is called.
pub(super) fn names_of_payloads() -> Vec<&'static str> {
    kinds().map(Payload::name).collect()
}

/// Every payload, its numbers still to be filled in.
fn kinds() -> impl Iterator<Item = Payload> {
    // Their ids count from 1, and ones are right for numbers, truths and attacks alike.
    (1..).map_while(|id| Payload::from_words(id, &[1; Payload::WORDS]))
}

/// The keys of all payloads; `None` where one is not there, or wrong and reported.
struct Values {
    after_work: Option<u64>,
    period: Option<Spanned<Nanos>>,
    run: Option<Spanned<Nanos>>,
    on: Option<Nanos>,
    off: Option<Nanos>,
    critical: Option<Nanos>,
    think: Option<Nanos>,
    hint: Option<Spanned<bool>>,
    threshold: Option<u64>,
    units: Option<u64>,
    burst: Option<u64>,
    pause: Option<Nanos>,
    working_set: Option<Spanned<Bytes>>,
    stride: Option<Spanned<Bytes>>,
    every: Option<Spanned<Nanos>>,
    random: Option<bool>,
    attack: Option<Spanned<Attack>>,
}

impl Values {
    fn read(fields: &mut Fields<'_, '_>) -> Values {
        let attacks = Attack::ALL.map(|attack| (attack.name(), attack));
        Values {
            after_work: fields.integer(&limits::AFTER_WORK),
            period: fields.located("period", |fields| fields.duration(&limits::PERIOD)),
            run: fields.located("run", |fields| fields.duration(&limits::RUN)),
            on: fields.duration(&limits::ON),
            off: fields.duration(&limits::OFF),
            critical: fields.duration(&limits::CRITICAL),
            think: fields.duration(&limits::THINK),
            hint: fields.located("hint", |fields| fields.boolean("hint")),
            threshold: fields.integer(&limits::THRESHOLD),
            units: fields.integer(&limits::UNITS),
            burst: fields.integer(&limits::BURST),
            pause: fields.duration(&limits::PAUSE),
            working_set: fields.located("working_set", |fields| {
                fields.size(&limits::WORKING_SET, WORD)
            }),
            stride: fields.located("stride", |fields| fields.size(&limits::STRIDE, WORD)),
            every: fields.located("every", |fields| fields.duration(&limits::EVERY)),
            random: fields.boolean("random"),
            attack: fields.choice("attack", &attacks),
        }
    }

    /// The complaint about values that do not go together.
    fn nonsense(&self, kind: Payload, written: &Written) -> Option<Problem> {
        match kind {
            Payload::Periodic { .. } | Payload::Probe { .. } => {
                sense::never_sleeps(self.period.as_ref(), self.run.as_ref())
            }
            Payload::Bursts { .. } => sense::never_done(self.every.as_ref(), self.run.as_ref()),
            Payload::Spin { .. } => sense::nothing_to_count(self.hint.as_ref(), written),
            Payload::FixedWork { .. } => sense::half_a_rhythm(written),
            Payload::Memory { .. } => {
                sense::long_stride(self.working_set.as_ref(), self.stride.as_ref())
            }
            _ => None,
        }
    }

    /// The payload with its numbers; one that is missing or wrong has been reported.
    fn payload(&self, kind: Payload) -> Payload {
        let time = |given: Option<Nanos>| Ns(given.unwrap_or_default().0);
        let placed = |given: &Option<Spanned<Nanos>>| time(given.as_ref().map(|at| *at.get_ref()));
        let size = |given: &Option<Spanned<Bytes>>| given.as_ref().map(|size| size.get_ref().0);
        match kind {
            Payload::Burn => Payload::Burn,
            Payload::Crash { .. } => Payload::Crash {
                after_work: self.after_work.unwrap_or_default(),
            },
            Payload::Periodic { .. } => Payload::Periodic {
                period: placed(&self.period),
                run: placed(&self.run),
            },
            Payload::OnOff { .. } => Payload::OnOff {
                on: time(self.on),
                off: time(self.off),
            },
            Payload::Spin { .. } => Payload::Spin {
                critical: time(self.critical),
                think: time(self.think),
                threshold: match &self.hint {
                    Some(hint) if !hint.get_ref() => 0,
                    _ => self.threshold.unwrap_or(THRESHOLD),
                },
            },
            Payload::FixedWork { .. } => Payload::FixedWork {
                units: self.units.unwrap_or_default(),
                burst: self.burst.unwrap_or_default(),
                pause: time(self.pause),
            },
            Payload::Memory { .. } => Payload::Memory {
                working_set: size(&self.working_set).unwrap_or_default(),
                stride: size(&self.stride).unwrap_or(STRIDE.0),
            },
            Payload::Bursts { .. } => Payload::Bursts {
                every: placed(&self.every),
                run: placed(&self.run),
                random: self.random.unwrap_or(false),
            },
            Payload::Probe { .. } => Payload::Probe {
                period: placed(&self.period),
                run: placed(&self.run),
            },
            Payload::YieldLoop { .. } => Payload::YieldLoop {
                run: placed(&self.run),
            },
            Payload::Clock { .. } => Payload::Clock {
                pause: time(self.pause),
            },
            Payload::Vector => Payload::Vector,
            Payload::Replay => Payload::Replay,
            Payload::Hostile { .. } => Payload::Hostile {
                attack: match &self.attack {
                    Some(attack) => *attack.get_ref(),
                    None => Attack::HypercallStorm,
                },
            },
        }
    }
}
