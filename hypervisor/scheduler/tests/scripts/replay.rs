//! Journals of random scripts, replayed from their text.

use super::driver::Driver;
use super::script::{Kind, Script, scripts};
use super::{cases, check};
use apportion_scheduler::{
    Answer, Call, Config, Decision, Divergence, Entry, LpId, Nanos, PolicyKind, Replay, UnknownCall,
};
use std::cell::Cell;

/// An entry as a file holds it.
#[derive(Clone, Debug)]
struct Line {
    sequence: u64,
    now: u64,
    call: String,
    arguments: String,
    answer: String,
}

impl Line {
    fn of(entry: &Entry) -> Line {
        Line {
            sequence: entry.sequence,
            now: entry.now.0,
            call: entry.call.name().to_owned(),
            arguments: entry.call.to_string(),
            answer: entry.answer.to_string(),
        }
    }
}

#[derive(Debug)]
enum Problem {
    Text(UnknownCall),
    Diverged(Divergence),
}

/// What was kept of a script.
struct Journal {
    config: Config,
    begin: Nanos,
    entries: Vec<Entry>,
}

impl Journal {
    fn of(script: &Script) -> Result<Journal, String> {
        let mut driver = Driver::of(script);
        driver.scheduler.keep_journal();
        driver.run(script)?;
        Ok(Journal {
            config: driver.scheduler.machine().config().clone(),
            begin: Nanos(script.begin),
            entries: driver.scheduler.take_journal(),
        })
    }

    fn lines(&self) -> Vec<Line> {
        self.entries.iter().map(Line::of).collect()
    }

    /// Leads a new scheduler through lines; where it stopped, and why.
    fn replay(&self, lines: &[Line]) -> Result<(), (u64, Problem)> {
        let mut replay = Replay::new(self.config.clone());
        // The driver's LPs have all gone idle before it was asked to keep a journal.
        for lp in (0..self.config.topology.lps()).map(LpId) {
            let idle = replay.step(0, self.begin, &Call::Pick { lp }, "idle calls=-");
            assert_eq!(idle, Ok(()));
        }
        for line in lines {
            let at = |problem| (line.sequence, problem);
            let call = Call::parse(&line.call, &line.arguments)
                .map_err(|error| at(Problem::Text(error)))?;
            replay
                .step(line.sequence, Nanos(line.now), &call, &line.answer)
                .map_err(|error| at(Problem::Diverged(error)))?;
        }
        Ok(())
    }
}

const ANYTHING: Kind = Kind {
    affinity: true,
    anything: true,
};

/// Each script, under each policy.
fn under_all_policies(scripts_each: u32, test: impl Fn(&Journal) -> Result<(), String>) {
    // Each script takes long: by default so many, else a hundredth of what is asked for.
    let scripts_each = cases(100 * scripts_each).div_ceil(100);
    check(scripts_each, scripts(ANYTHING), |script| {
        PolicyKind::ALL.into_iter().try_for_each(|policy| {
            let script = Script {
                policy,
                ..script.clone()
            };
            let journal = Journal::of(&script)?;
            if journal.entries.is_empty() {
                return Ok(());
            }
            test(&journal).map_err(|problem| format!("{policy}: {problem}"))
        })
    });
}

/// The first entry from the middle on, and if there is none from the beginning, for which `found` has something.
fn near_the_middle<T>(
    entries: &[Entry],
    found: impl Fn(&Entry) -> Option<T>,
) -> Option<(usize, T)> {
    let count = entries.len();
    let middle = count / 2;
    let at = |index: usize| index % count;
    (middle..middle + count).find_map(|index| Some((at(index), found(&entries[at(index)])?)))
}

/// That a replay of `lines` differs at the entry at `index`, in its answer.
fn differs_at(journal: &Journal, lines: &[Line], index: usize) -> Result<Divergence, String> {
    let sequence = journal.entries[index].sequence;
    match journal.replay(lines) {
        Err((at, Problem::Diverged(found))) if at == sequence && found.sequence == sequence => {
            Ok(found)
        }
        other => Err(format!("entry {sequence} was changed: {other:?}")),
    }
}

fn ran(entry: &Entry) -> Option<Decision> {
    match entry.answer {
        Answer::Decision(run @ Decision::Run { .. }, _) => Some(run),
        _ => None,
    }
}

#[test]
fn a_journal_replays_from_its_text() {
    let entries = Cell::new(0);
    under_all_policies(40, |journal| {
        entries.set(entries.get() + journal.entries.len());
        let counted = (0..).zip(&journal.entries);
        if let Some((count, entry)) = counted.clone().find(|(n, entry)| entry.sequence != *n) {
            return Err(format!("entry {count} has the number {}", entry.sequence));
        }
        for entry in &journal.entries {
            let read = Call::parse(entry.call.name(), &entry.call.to_string());
            if read.as_ref() != Ok(&entry.call) {
                return Err(format!("{:?} was read as {read:?}", entry.call));
            }
        }
        let replayed = journal.replay(&journal.lines());
        replayed.map_err(|(at, problem)| format!("entry {at}: {problem:?}"))
    });
    println!("{} entries", entries.get());
    assert!(entries.get() > 0);
}

#[test]
fn another_vp_in_a_decision_is_found_there() {
    under_all_policies(15, |journal| {
        let Some((index, Decision::Run { vp, .. })) = near_the_middle(&journal.entries, ran) else {
            return Ok(());
        };
        let mut lines = journal.lines();
        let (true_one, other) = (format!("run vp={} ", vp.0), format!("run vp={} ", vp.0 + 1));
        lines[index].answer = lines[index].answer.replace(&true_one, &other);
        let found = differs_at(journal, &lines, index)?;
        assert!(found.recorded.starts_with(&other), "{found}");
        assert!(found.replayed.starts_with(&true_one), "{found}");
        Ok(())
    });
}

#[test]
fn another_time_of_a_decision_is_found_there() {
    under_all_policies(15, |journal| {
        // A dispatch ends a slice after the decision, wherever time has got to.
        let Some((index, _)) = near_the_middle(&journal.entries, ran) else {
            return Ok(());
        };
        let mut lines = journal.lines();
        lines[index].now += 1;
        differs_at(journal, &lines, index).map(drop)
    });
}

#[test]
fn a_decision_that_is_missing_is_found_when_it_ends_at_the_latest() {
    under_all_policies(15, |journal| {
        // One that has ended: its LP is charged.
        let ends = |entry: &Entry| {
            let Call::Pick { lp } = entry.call else {
                return None;
            };
            ran(entry)?;
            let later = &journal.entries[entry.sequence as usize + 1..];
            let charged =
                |later: &&Entry| matches!(later.call, Call::Charge { lp: at, .. } if at == lp);
            later.iter().find(charged).map(|charge| charge.sequence)
        };
        let Some((index, charge)) = near_the_middle(&journal.entries, ends) else {
            return Ok(());
        };
        let mut lines = journal.lines();
        lines.remove(index);
        match journal.replay(&lines) {
            Err((at, Problem::Diverged(_))) if index as u64 <= at && at <= charge => Ok(()),
            other => Err(format!(
                "{index} is missing, charged at {charge}: {other:?}"
            )),
        }
    });
}

#[test]
fn a_missing_charge_makes_the_next_decision_impossible() {
    under_all_policies(15, |journal| {
        let charge = |entry: &Entry| match entry.call {
            Call::Charge { lp, .. } => Some(lp),
            _ => None,
        };
        let Some((index, lp)) = near_the_middle(&journal.entries, charge) else {
            return Ok(());
        };
        let mut lines = journal.lines();
        lines.remove(index);
        // The driver decides at once, after having told of what was lost.
        let picks = |entry: &Entry| entry.call == Call::Pick { lp };
        let next = journal.entries[index..].iter().position(picks);
        let next = index + next.expect("who was charged decides anew");
        let found = differs_at(journal, &lines, next)?;
        assert_eq!(found.replayed, "impossible in this state", "{found}");
        Ok(())
    });
}

#[test]
fn a_line_that_is_cut_off_is_found_there() {
    under_all_policies(15, |journal| {
        for index in [0, journal.entries.len() / 2, journal.entries.len() - 1] {
            let mut cut_off = journal.lines();
            // Its last argument is gone.
            let arguments = &mut cut_off[index].arguments;
            let last = arguments.rfind(' ').unwrap_or(0);
            arguments.truncate(last);
            let sequence = cut_off[index].sequence;
            match journal.replay(&cut_off) {
                Err((at, Problem::Text(error)))
                    if at == sequence && error.to_string().contains("is missing") => {}
                other => return Err(format!("entry {sequence} was cut off: {other:?}")),
            }
            let mut cut_off = journal.lines();
            cut_off[index].answer.pop();
            differs_at(journal, &cut_off, index)?;
        }
        Ok(())
    });
}

#[test]
fn a_garbled_line_is_found_there() {
    under_all_policies(15, |journal| {
        let index = journal.entries.len() / 2;
        let garbled = |garble: fn(&mut Line), words: &str| {
            let mut lines = journal.lines();
            garble(&mut lines[index]);
            let sequence = lines[index].sequence;
            match journal.replay(&lines) {
                Err((at, Problem::Text(error)))
                    if at == sequence && error.to_string().contains(words) =>
                {
                    Ok(())
                }
                other => Err(format!("entry {sequence} was garbled: {other:?}")),
            }
        };
        garbled(|line| line.call.push('x'), "there is no such call")?;
        garbled(
            |line| line.arguments = line.arguments.replace('=', "~"),
            "is missing",
        )?;
        garbled(
            |line| line.arguments = line.arguments.replace('=', "=\u{fffd}"),
            "is no call of the scheduler",
        )
    });
}

#[test]
fn a_call_to_what_is_not_there_is_impossible() {
    let config = Config::new(1, Nanos::from_millis(1), PolicyKind::Fair);
    let mut replay = Replay::new(config);
    let mut step = |name, arguments, recorded| {
        let call = Call::parse(name, arguments).unwrap();
        replay.step(0, Nanos::ZERO, &call, recorded)
    };
    // One LP, guest and VP.
    let guest = "name=one vps=1 weight=100 reserve=0 cap=100 affinity=-";
    let controls = "guest=0 weight=200 reserve=0 cap=100";
    assert_eq!(step("add-guest", guest, "added 0"), Ok(()));
    assert_eq!(step("set-controls", controls, "calls=-"), Ok(()));
    assert_eq!(step("start", "vps=0", "calls=-"), Ok(()));
    for (name, arguments) in [
        ("add-vp", "guest=1"),
        ("start", "vps=0,1"),
        ("stop", "vp=1"),
        ("wake", "vp=1"),
        ("tick", "lp=1"),
        ("pick", "lp=1"),
        ("charge", "lp=1 ran=1 after=run"),
        ("lost", "lp=1 span=1"),
    ] {
        let found = step(name, arguments, "").unwrap_err();
        assert_eq!(found.replayed, "impossible in this state", "{found}");
    }
}
