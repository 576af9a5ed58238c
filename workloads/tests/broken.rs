//! Every file in `tests/broken` against its snapshot: the messages are part of the product.

use std::fs;
use std::path::Path;

use apportion_workloads::{Experiment, catalogue};
use proptest::prelude::*;

#[test]
fn each_broken_file_gets_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder of broken files")
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "only {} files", files.len());

    for file in files {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        let text = fs::read_to_string(&file).expect("a text file");
        let error = Experiment::parse(&text, name).expect_err(name);
        insta::assert_snapshot!(name.trim_end_matches(".toml"), error);
        for problem in error.to_string().split("\n\n") {
            assert_says_what_where_and_what_to_do(problem, name);
        }
    }
}

#[track_caller]
fn assert_says_what_where_and_what_to_do(problem: &str, file: &str) {
    let (title, drawn) = problem.split_once('\n').expect("a title and a drawing");
    assert!(title.starts_with("error: "), "{problem}");
    let place = drawn
        .split_once(&format!("--> {file}:"))
        .map(|(_, place)| place);
    let place = place
        .and_then(|place| place.lines().next())
        .unwrap_or_default();
    let (line, column) = place.split_once(':').unwrap_or_default();
    let numbers = (line.parse::<u32>(), column.parse::<u32>());
    assert!(matches!(numbers, (Ok(_), Ok(_))), "{problem}");
    assert!(drawn.contains('^'), "{problem}");
    // Of the lines that are none of the file's own, one has words.
    let notes = drawn
        .lines()
        .filter(|line| line.trim_start().starts_with(['|', '=']));
    let words = |note: &str| note.chars().any(char::is_alphabetic);
    assert!(notes.skip(1).any(words), "{problem}");
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_reported_but_never_a_panic(
        chosen in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        cut in 0_usize..40,
        splice in "\\PC{0,6}|[\\[\\]{}=\"'#\\r\\n\\t\\x00a1.-]{0,6}",
    ) {
        let mut text: Vec<char> = catalogue()[chosen.index(catalogue().len())].text.chars().collect();
        let start = place.index(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, splice.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = Experiment::parse(&text, "damaged.toml") {
            prop_assert!(error.to_string().contains("--> damaged.toml"));
        }
    }
}
