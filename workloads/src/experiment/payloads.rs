//! `payload` and the keys that only some payloads have.

use std::ops::Range;

use apportion_scheduler::Nanos;
use toml::Spanned;

use super::Payload;
use super::diagnostics::Problem;
use super::fields::Fields;
use crate::limits;

/// A key that one payload has and the others have not.
struct OwnKey {
    key: &'static str,
    payload: &'static str,
    /// A line that would do; `None` where the key may be left out.
    example: Option<&'static str>,
    /// To follow "it is".
    meaning: &'static str,
}

const fn needed(
    payload: &'static str,
    key: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> OwnKey {
    OwnKey {
        key,
        payload,
        example: Some(example),
        meaning,
    }
}

const OWN_KEYS: [OwnKey; 8] = [
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
    OwnKey {
        key: "hint",
        payload: "spin",
        example: None,
        meaning: "whether a spinning VP says so to the hypervisor",
    },
];

/// Every payload, its numbers still to be filled in.
const KINDS: [Payload; 5] = [
    Payload::Burn,
    Payload::Crash { after_work: 0 },
    Payload::Periodic {
        period: Nanos::ZERO,
        run: Nanos::ZERO,
    },
    Payload::OnOff {
        on: Nanos::ZERO,
        off: Nanos::ZERO,
    },
    Payload::Spin {
        critical: Nanos::ZERO,
        think: Nanos::ZERO,
        hint: true,
    },
];

/// The payload, with stand-ins for what is missing or wrong.
pub(super) fn read_payload(fields: &mut Fields<'_, '_>) -> Payload {
    let given = fields.span_of_key("payload").is_some();
    let kinds = KINDS.map(|payload| (payload.name(), payload));
    let kind = fields.choice("payload", &kinds);
    let written = OWN_KEYS.map(|own| (fields.span_of_key(own.key), own));

    let after_work = fields.integer(&limits::AFTER_WORK);
    let period = fields.located("period", |fields| fields.duration(&limits::PERIOD));
    let run = fields.located("run", |fields| fields.duration(&limits::RUN));
    let on = fields.duration(&limits::ON);
    let off = fields.duration(&limits::OFF);
    let critical = fields.duration(&limits::CRITICAL);
    let think = fields.duration(&limits::THINK);
    let hint = fields.boolean("hint");

    let (kind, place) = match kind {
        Some(kind) => (*kind.get_ref(), kind.span()),
        // Unknown and reported: no telling which keys it has.
        None if given => return Payload::Burn,
        None => (Payload::Burn, Range::default()),
    };
    for (key, own) in written {
        match (key, own.payload == kind.name()) {
            (Some(key), false) => fields.problems.push(own.refuse(key)),
            (None, true) => fields.problems.extend(own.demand(place.clone())),
            _ => {}
        }
    }
    if let (Payload::Periodic { .. }, Some(period), Some(run)) = (kind, &period, &run)
        && run.get_ref() >= period.get_ref()
    {
        fields.problems.push(never_sleeps(period, run));
    }

    // A number that is missing or wrong has been reported.
    let time = |given: Option<Nanos>| given.unwrap_or_default();
    match kind {
        Payload::Burn => Payload::Burn,
        Payload::Crash { .. } => Payload::Crash {
            after_work: after_work.unwrap_or_default(),
        },
        Payload::Periodic { .. } => Payload::Periodic {
            period: time(period.map(Spanned::into_inner)),
            run: time(run.map(Spanned::into_inner)),
        },
        Payload::OnOff { .. } => Payload::OnOff {
            on: time(on),
            off: time(off),
        },
        Payload::Spin { .. } => Payload::Spin {
            critical: time(critical),
            think: time(think),
            hint: hint.unwrap_or(true),
        },
    }
}

impl OwnKey {
    /// The complaint about the key in a guest with another payload.
    fn refuse(&self, key: Range<usize>) -> Problem {
        let title = format!("`{}` is for payload `{}` only", self.key, self.payload);
        let remedy = format!("remove this key, or write `payload = \"{}\"`", self.payload);
        Problem::at(key, title, remedy)
    }

    /// The complaint about a payload without the key, unless it may be left out.
    fn demand(&self, payload: Range<usize>) -> Option<Problem> {
        let title = format!("payload `{}` needs `{}`", self.payload, self.key);
        let remedy = format!("add a line such as `{}`", self.example?);
        Some(Problem::at(payload, title, remedy).help(format!("it is {}", self.meaning)))
    }
}

fn never_sleeps(period: &Spanned<Nanos>, run: &Spanned<Nanos>) -> Problem {
    let (of, wanted) = (period.get_ref(), run.get_ref());
    let title = format!("run {wanted} does not fit into period {of}");
    Problem::at(run.span(), title, "use a time below the period")
        .context(period.span(), "the period")
        .help("a guest that never sleeps has payload `burn`")
}
