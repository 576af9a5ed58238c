//! The payloads: one table of what a guest's VPs can do, for the experiment file, the host and the guest alike.

use core::fmt;

/// A time in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ns(pub u64);

/// A parameter of a payload as it travels: a word in the start page, a number with a name in a manifest.
pub trait Parameter: Sized {
    /// What its name ends in: the unit.
    const SUFFIX: &'static str;

    /// As a word.
    fn to_word(self) -> u64;

    /// From a word; `None` where no such parameter can be.
    fn from_word(word: u64) -> Option<Self>;
}

impl Parameter for u64 {
    const SUFFIX: &'static str = "";

    fn to_word(self) -> u64 {
        self
    }

    fn from_word(word: u64) -> Option<u64> {
        Some(word)
    }
}

impl Parameter for bool {
    const SUFFIX: &'static str = "";

    fn to_word(self) -> u64 {
        self.into()
    }

    fn from_word(word: u64) -> Option<bool> {
        (word < 2).then_some(word == 1)
    }
}

impl Parameter for Ns {
    const SUFFIX: &'static str = "_ns";

    fn to_word(self) -> u64 {
        self.0
    }

    fn from_word(word: u64) -> Option<Ns> {
        Some(Ns(word))
    }
}

impl Parameter for Attack {
    const SUFFIX: &'static str = "";

    fn to_word(self) -> u64 {
        self as u64
    }

    fn from_word(word: u64) -> Option<Attack> {
        Attack::ALL.into_iter().find(|it| *it as u64 == word)
    }
}

macro_rules! payloads {
    ($(
        $(#[$about:meta])*
        $id:literal $name:literal $variant:ident $({
            $($(#[$meaning:meta])* $field:ident: $kind:ty),* $(,)?
        })?
    )*) => {
        /// What a guest's VPs do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Payload {
            $($(#[$about])* $variant $({ $($(#[$meaning])* $field: $kind),* })?,)*
        }

        impl Payload {
            /// The most parameters that any payload has.
            pub const WORDS: usize = 4;

            /// How it is told in the start page.
            pub const fn id(self) -> u32 {
                match self {
                    $(Payload::$variant { .. } => $id,)*
                }
            }

            /// Its name in an experiment file.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Payload::$variant { .. } => $name,)*
                }
            }

            /// Its parameters as words, the rest zero.
            pub fn words(self) -> [u64; Payload::WORDS] {
                let mut words = [0; Payload::WORDS];
                match self {
                    $(Payload::$variant $({ $($field),* })? => {
                        let given: &[u64] = &[$($($field.to_word()),*)?];
                        words[..given.len()].copy_from_slice(given);
                    })*
                }
                words
            }

            /// The payload of a start page; `None` where there is no such thing.
            pub fn from_words(id: u32, words: &[u64; Payload::WORDS]) -> Option<Payload> {
                let mut words = words.iter().copied();
                let words = &mut words;
                match id {
                    $($id => Some(Payload::$variant $({
                        $($field: Parameter::from_word(words.next()?)?),*
                    })?),)*
                    _ => None,
                }
            }

            /// Calls `tell` with each parameter's name, its unit's suffix, and its value.
            pub fn for_each_parameter(self, mut tell: impl FnMut(&'static str, &'static str, u64)) {
                match self {
                    $(Payload::$variant $({ $($field),* })? => {
                        $($(tell(stringify!($field), <$kind as Parameter>::SUFFIX, $field.to_word());)*)?
                        // A payload without parameters tells nothing.
                        let _ = &mut tell;
                    })*
                }
            }
        }
    };
}

payloads! {
    /// Counts work for ever.
    1 "burn" Burn
    /// Counts work, then faults on purpose.
    2 "crash" Crash {
        /// Units of work on each VP until the fault.
        after_work: u64,
    }
    /// Each VP wants `run` of CPU time every `period`, and sleeps in between. Paced by the host: the guest burns.
    3 "periodic" Periodic {
        /// From one awakening to the next.
        period: Ns,
        /// CPU time wanted in each.
        run: Ns,
    }
    /// Each VP wants bursts of CPU time and sleeps in between, both exponentially distributed. Paced by the host.
    4 "on-off" OnOff {
        /// Mean CPU time of a burst.
        on: Ns,
        /// Mean length of a sleep.
        off: Ns,
    }
    /// The VPs share a ticket lock: each thinks, then needs the lock, and spins while another holds it.
    5 "spin" Spin {
        /// CPU time with the lock.
        critical: Ns,
        /// CPU time from leaving the lock to wanting it again.
        think: Ns,
        /// Spins after which, and at each multiple, the VP notifies the
        /// hypervisor; 0 and 0xFFFF_FFFF are never, as in the TLFS.
        threshold: u64,
    }
    /// Each VP counts so much work and is done.
    6 "fixed-work" FixedWork {
        /// Units of work of each VP.
        units: u64,
        /// Units of work from one pause to the next; 0 without pauses.
        burst: u64,
        /// Length of a pause, in which it sleeps.
        pause: Ns,
    }
    /// Each VP walks over a working set of its own, one access per stride, again and again.
    7 "memory" Memory {
        /// Bytes of each VP's working set.
        working_set: u64,
        /// Bytes from one access to the next.
        stride: u64,
    }
    /// Each VP does the work that the host puts into its demand ring, each piece at its time, and sleeps in between.
    8 "bursts" Bursts {
        /// From one arrival to the next, on average.
        every: Ns,
        /// CPU time of each, on average.
        run: Ns,
        /// Whether both are exponentially distributed; else they are constant.
        random: bool,
    }
    /// Each VP wakes once in a period, notes how late it is, works for a little and sleeps.
    9 "probe" Probe {
        /// From one awakening to the next.
        period: Ns,
        /// CPU time of its work.
        run: Ns,
    }
    /// Each VP works for a little and gives its LP up without wanting to sleep, again and again.
    10 "yield-loop" YieldLoop {
        /// CPU time from one yield to the next.
        run: Ns,
    }
    /// Each VP reads the reference time by page, by hypercall and by page again, and notes all three.
    11 "clock" Clock {
        /// Time asleep between readings.
        pause: Ns,
    }
    /// Counts work in 256-bit registers for ever, which takes AVX2.
    12 "vector" Vector
    /// Does its worst.
    13 "hostile" Hostile {
        /// In which way.
        attack: Attack,
    }
    /// Each VP does again what was recorded elsewhere: the host puts it into its demand ring.
    14 "replay" Replay
}

impl Payload {
    /// Whether its VPs leave records, see [`crate::shared::Record`].
    pub const fn records(self) -> bool {
        matches!(
            self,
            Payload::Bursts { .. }
                | Payload::Probe { .. }
                | Payload::Clock { .. }
                | Payload::Replay
        )
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! attacks {
    ($($(#[$about:meta])* $id:literal $name:literal $variant:ident)*) => {
        /// What a guest with payload `hostile` does to its host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Attack {
            $($(#[$about])* $variant = $id,)*
        }

        impl Attack {
            /// Every attack.
            pub const ALL: [Attack; [$(Attack::$variant),*].len()] = [$(Attack::$variant),*];

            /// Its name in an experiment file.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Attack::$variant => $name,)*
                }
            }
        }
    };
}

attacks! {
    /// One hypercall after the other.
    1 "hypercall-storm" HypercallStorm
    /// Hypercalls with codes and arguments that mean nothing.
    2 "unknown-calls" UnknownCalls
    /// Lines for the log, as fast as it can.
    3 "log-flood" LogFlood
    /// Long-spin notifications, as fast as it can, each of which might end a dispatch.
    4 "notify-storm" NotifyStorm
    /// Reads from beyond its memory.
    5 "wild-read" WildRead
    /// Writes beyond its memory.
    6 "wild-write" WildWrite
    /// Writes to a port that nobody serves.
    7 "wild-port" WildPort
    /// Maps an address without memory and writes to it.
    8 "wild-mmio" WildMmio
    /// Jumps to where there is no code.
    9 "jump" Jump
    /// Faults with no handler and no stack to fault on.
    10 "triple-fault" TripleFault
    /// Spins with no exit at all.
    11 "tight-loop" TightLoop
    /// Writes to every page of its memory that it does not live on.
    12 "fill-memory" FillMemory
    /// Overwrites its page tables.
    13 "rewrite-tables" RewriteTables
    /// Overwrites its start page, its lines, its results and its rings with garbage, again and again.
    14 "rewrite-start" RewriteStart
    /// Sleeps that are over as soon as they begin, as fast as it can.
    15 "idle-storm" IdleStorm
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn a_payload_comes_back_from_its_words() {
        let spin = Payload::Spin {
            critical: Ns(1),
            think: Ns(2),
            threshold: 3,
        };
        let hostile = Payload::Hostile {
            attack: Attack::WildMmio,
        };
        for payload in [Payload::Burn, spin, hostile] {
            let words = payload.words();
            assert_eq!(Payload::from_words(payload.id(), &words), Some(payload));
        }
    }

    #[test]
    fn words_that_mean_nothing_are_no_payload() {
        assert_eq!(Payload::from_words(0, &[0; 4]), None);
        assert_eq!(Payload::from_words(13, &[0; 4]), None);
        assert_eq!(Payload::from_words(8, &[1, 1, 2, 0]), None);
    }

    #[test]
    fn parameters_are_told_with_their_units() {
        let mut told = Vec::new();
        let payload = Payload::Probe {
            period: Ns(10),
            run: Ns(1),
        };
        payload.for_each_parameter(|name, suffix, value| {
            told.push((String::from(name) + suffix, value));
        });
        assert_eq!(told, [("period_ns".into(), 10), ("run_ns".into(), 1)]);
    }

    #[test]
    fn attacks_have_numbers_and_names_of_their_own() {
        for (index, attack) in Attack::ALL.into_iter().enumerate() {
            assert_eq!(Attack::from_word(attack as u64), Some(attack));
            for other in &Attack::ALL[..index] {
                assert_ne!(other.name(), attack.name());
            }
        }
    }
}
