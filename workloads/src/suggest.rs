//! "Did you mean": the known words that look most like an unknown one.

/// Below this similarity (Jaro-Winkler, 0 to 1) a word is no plausible typo.
const ALIKE: f64 = 0.8;

/// The known words that look like `given`, the nearest first.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let given = given.to_lowercase();
    let mut alike: Vec<(f64, &str)> = known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&given, word), word))
        .filter(|(similarity, _)| *similarity >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().map(|(_, word)| word).collect()
}

/// The words in a row, each in backticks: `` `a`, `b`, `c` ``.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_strangers_find_none() {
        let keys = ["name", "count", "vps", "weight", "payload", "after_work"];
        assert_eq!(nearest("wieght", keys), ["weight"]);
        assert_eq!(nearest("Weight", keys), ["weight"]);
        assert_eq!(nearest("vcps", keys).first(), Some(&"vps"));
        assert_eq!(nearest("after-work", keys), ["after_work"]);
        assert!(nearest("colour", keys).is_empty());
        assert!(nearest("", keys).is_empty());
    }
}
