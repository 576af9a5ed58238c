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

/// The option that `text` names.
///
/// # Errors
/// There is none: which there are, and which of them looks most like it.
pub fn choice<T: Copy>(noun: &str, options: &[(&'static str, T)], text: &str) -> Result<T, String> {
    if let Some((_, option)) = options.iter().find(|(word, _)| *word == text) {
        return Ok(*option);
    }
    let words = || options.iter().map(|(word, _)| *word);
    let meant = nearest(text, words())
        .first()
        .map_or(String::new(), |word| format!("did you mean `{word}`? "));
    Err(format!(
        "unknown {noun}: {meant}use one of {}",
        listed(words())
    ))
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

    #[test]
    fn a_choice_is_made_or_helped_with() {
        let options = [("vp", 1), ("guest", 2)];
        assert_eq!(choice("scope", &options, "guest"), Ok(2));
        let refused = |text| choice("scope", &options, text).unwrap_err();
        assert_eq!(refused("lp"), "unknown scope: use one of `vp`, `guest`");
        assert_eq!(
            refused("gest"),
            "unknown scope: did you mean `guest`? use one of `vp`, `guest`"
        );
    }
}
