//! Hill climbing on the error: mutates the worst mixes known into worse ones.

use super::generate;
use super::mix::{Kind, Mix};
use super::mutate::mutated;
use super::random::Dice;
use super::table::Tally;
use std::time::{Duration, Instant};

/// Mixes that are mutated further.
const POOL: usize = 8;

/// Mixes tried, where `APPORTION_SEARCH_SECONDS` does not say for how long.
const TRIES: u64 = 30;

/// Searches among some kinds. Every mix tried is held against its bounds.
pub(crate) fn search(kinds: &[Kind]) {
    let seconds = std::env::var("APPORTION_SEARCH_SECONDS").ok();
    let time = seconds
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    let begin = Instant::now();
    let goes_on = |tries: u64| match time {
        Some(time) => begin.elapsed() < time,
        None => tries < TRIES,
    };
    let mut dice = Dice::new(match time {
        Some(_) => generate_seed(),
        None => 1,
    });
    let mut tally = Tally::new(format!("search among {kinds:?}"));
    let mut pool: Vec<(f64, Mix)> = Vec::new();
    let mut tries = 0;
    while goes_on(tries) {
        tries += 1;
        let mix = match pool.len() == POOL && dice.chance(0.9) {
            true => {
                let parent = &pool[dice.below(POOL as u64) as usize].1;
                (0..dice.whole(1, 3))
                    .fold(parent.clone(), |mix, _| mutated(&mix, dice.below(1 << 20)))
            }
            false => fresh(kinds, &mut dice),
        };
        let severity = tally.add(&mix);
        if time.is_some() && pool.first().is_none_or(|worst| worst.0 < severity) {
            println!("{severity:.3} bounds: {mix}");
        }
        pool.push((severity, mix));
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        pool.truncate(POOL);
    }
    for (severity, mix) in &pool {
        println!("{severity:.3} bounds: {mix}");
    }
    tally.assert_clean();
}

/// A search that is asked for begins elsewhere each time; what it finds has a name.
fn generate_seed() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}

/// A mix of these kinds with few LPs.
fn fresh(kinds: &[Kind], dice: &mut Dice) -> Mix {
    let count = Kind::ALL.len() as u64;
    loop {
        let kind = dice.among(kinds);
        let place = Kind::ALL.iter().position(|&other| other == kind);
        let number = dice.below(1 << 24) * count + place.unwrap_or(0) as u64;
        let mix = generate::mix(number);
        if mix.lps <= 6 && mix.guests.len() <= 12 {
            return mix;
        }
    }
}
