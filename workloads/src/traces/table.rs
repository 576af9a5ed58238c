//! What a second file says of the VMs, by name.

use std::collections::HashMap;

use super::fields::Bad;
use super::selection::hash;

/// Some facts about each VM.
///
/// Names are kept as numbers of 64 bits, so that those of millions of VMs (64 letters each in Azure's dataset) fit
/// into memory: of n names two have the same number with a probability of n²/2⁶⁵, 2·10⁻⁷ for the 2.7 million of V2.
#[derive(Debug)]
pub(super) struct Table<T> {
    facts: HashMap<u64, T>,
    /// What the file is called, for messages.
    name: &'static str,
}

impl<T: Copy> Table<T> {
    pub(super) fn new(name: &'static str) -> Table<T> {
        Table {
            facts: HashMap::new(),
            name,
        }
    }

    /// What the file says of a VM; what it says last counts.
    pub(super) fn insert(&mut self, id: &[u8], facts: T) {
        self.facts.insert(hash(0, id), facts);
    }

    /// What it said.
    pub(super) fn get(&self, column: &str, id: &[u8]) -> Result<T, Bad> {
        let known = self.facts.get(&hash(0, id)).copied();
        known.ok_or_else(|| Bad::field(column, id, &format!("a name that is in {}", self.name)))
    }
}
