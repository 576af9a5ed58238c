//! What must hold whatever a guest does: one function per fuzz target, which panics where it does not.
//!
//! libFuzzer calls them with inputs of its own making (`cargo xtask fuzz`);
//! `cargo test` with those in fuzz/corpus and some thousand random ones.

mod hypercall;
mod image;
mod rings;

pub use hypercall::hypercall;
pub use image::image;
pub use rings::rings;

use crate::guest::GuestMemory;
use apportion_abi::hypercall::LOG_LINE;
use apportion_abi::{MAX_VPS, Payload, StartPage, layout};
use std::sync::Arc;

/// What is left of an input; zeros follow its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most so many bytes.
    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    fn half(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A VP that a guest can have.
    fn vp(&mut self) -> u32 {
        u32::from(self.byte()) % MAX_VPS
    }
}

/// Memory of a guest with all the VPs that there can be. Mapping takes longer
/// than most inputs: one serves all, and each input clears what it will look at.
fn memory() -> Arc<GuestMemory> {
    thread_local! {
        static MEMORY: Arc<GuestMemory> = {
            let start = StartPage::new(Payload::Burn, MAX_VPS, layout::LEAST_MEMORY);
            let memory = GuestMemory::new(apportion_guest_payloads::IMAGE, &start);
            Arc::new(memory.expect("the shipped image fits"))
        };
    }
    MEMORY.with(Arc::clone)
}

/// What a guest says is a line, and all of it can be seen.
fn assert_shown(text: &str) {
    let hidden = |it: char| it.is_control() || ('\u{202a}'..='\u{202e}').contains(&it);
    assert!(!text.contains(hidden), "{text:?}");
    // A backslash that stands for itself is escaped, too.
    let mut rest = text.chars();
    let mut shown = 0;
    while let Some(next) = rest.next() {
        shown += 1;
        if next == '\\' && rest.next() == Some('u') {
            rest.find(|it| *it == '}').expect("an escape has an end");
        }
    }
    assert!(shown <= LOG_LINE, "{shown} characters: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Random;
    use std::fs;
    use std::path::{Path, PathBuf};

    const SEED: u64 = 1;
    /// Inputs of each kind.
    const RANDOM: u64 = 2_000;

    fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        let files = fs::read_dir(folder.join(target)).expect("each target has a corpus");
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let input = fs::read(&path).unwrap();
            (path, input)
        };
        paths.into_iter().map(read).collect()
    }

    /// Tries the corpus, inputs of random bytes, and inputs that differ from one in the corpus by some bytes.
    fn holds(name: &str, target: fn(&[u8])) {
        // What is printed shows where a test fails: the last one did it.
        let corpus = corpus(name);
        for (path, input) in &corpus {
            println!("{}", path.display());
            target(input);
        }
        for stream in 0..RANDOM {
            let mut random = Random::stream(SEED, stream);
            let length = random.below(512);
            let bytes: Vec<_> = (0..length).map(|_| random.next() as u8).collect();
            println!("random bytes, stream {stream}");
            target(&bytes);

            let (path, input) = &corpus[random.below(corpus.len() as u64) as usize];
            let mut input = input.clone();
            for _ in 0..=random.below(8) {
                let at = random.below(input.len() as u64 + 1) as usize;
                let byte = random.next() as u8;
                match input.get_mut(at) {
                    Some(there) => *there = byte,
                    None => input.push(byte),
                }
            }
            println!("{}, changed by stream {stream}", path.display());
            target(&input);
        }
    }

    #[test]
    fn hypercalls_hold() {
        holds("hypercall", hypercall);
    }

    #[test]
    fn images_hold() {
        holds("image", image);
    }

    #[test]
    fn rings_hold() {
        holds("rings", rings);
    }
}
