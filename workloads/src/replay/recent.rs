//! What was worked out lately, by what it was worked out from.

use std::sync::Arc;

/// So many are kept: points of a sweep that go through some traces in turn find each again, and a sweep in
/// which no two points agree keeps little of what it is done with.
const KEPT: usize = 8;

/// Results by key, the latest used last.
#[derive(Debug)]
pub(super) struct Recent<K, V>(Vec<(K, Arc<V>)>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent(Vec::new())
    }
}

impl<K: PartialEq, V> Recent<K, V> {
    /// What belongs to `key`: that which is kept, or what `make` gives; an error is not kept.
    pub(super) fn get_or<E>(
        &mut self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let found = match self.0.iter().position(|(kept, _)| *kept == key) {
            Some(index) => self.0.remove(index).1,
            None => Arc::new(make()?),
        };
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push((key, Arc::clone(&found)));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_made_once_and_what_was_used_longest_ago_goes_first() {
        let mut recent = Recent::default();
        let mut made = Vec::new();
        let mut get = |key: usize| {
            let got = recent.get_or(key, || {
                made.push(key);
                Ok::<usize, ()>(key)
            });
            assert_eq!(got, Ok(Arc::new(key)));
        };
        (0..KEPT).for_each(&mut get);
        get(0);
        get(KEPT);
        // The second made way for it, and the first did not.
        get(0);
        get(1);
        let expected: Vec<usize> = (0..=KEPT).chain([1]).collect();
        assert_eq!(made, expected);
    }

    #[test]
    fn a_mistake_is_made_again() {
        let mut recent = Recent::<u8, u8>::default();
        assert_eq!(recent.get_or(1, || Err("no")), Err("no"));
        assert_eq!(recent.get_or(1, || Ok::<u8, &str>(2)), Ok(Arc::new(2)));
    }
}
