//! What is legal and doubtful: every rule against a file of its own, and the catalogue against all rules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apportion_workloads::lint::{Finding, RULES, Severity, lint};
use apportion_workloads::{Experiment, Overrides, catalogue};

/// LPs of the host that files without `lps` are checked for.
const HOST: u32 = 2;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn check(text: &str, source: &str) -> Vec<Finding> {
    let experiment = Experiment::parse(text, source).unwrap_or_else(|error| panic!("{error}"));
    let points = experiment.points(&Overrides::default());
    lint(&points.unwrap_or_else(|error| panic!("{error}")), HOST)
}

#[test]
fn each_doubtful_file_gets_its_finding() {
    let mut raised = BTreeSet::new();
    let files = fs::read_dir(folder("tests/doubtful")).expect("the folder of doubtful files");
    for file in files {
        let path = file.expect("an entry of the folder").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        let text = fs::read_to_string(&path).expect("a text file");
        let found = check(&text, &format!("{name}.toml"));
        let of_its_own = found.iter().find(|finding| name.starts_with(finding.rule));
        raised.insert(
            of_its_own
                .unwrap_or_else(|| panic!("{name}: {found:?}"))
                .rule,
        );
        let reports: Vec<&str> = found
            .iter()
            .map(|finding| finding.report.as_str())
            .collect();
        insta::assert_snapshot!(name, reports.join("\n\n"));
    }
    let rules: BTreeSet<&str> = RULES
        .iter()
        .map(|rule| rule.id)
        .chain(["allowance"])
        .collect();
    assert_eq!(raised, rules, "each rule has a file that bears its name");
}

#[test]
fn every_finding_says_what_where_and_what_to_do() {
    for file in fs::read_dir(folder("tests/doubtful")).expect("the folder of doubtful files") {
        let path = file.expect("an entry of the folder").path();
        let text = fs::read_to_string(&path).expect("a text file");
        for finding in check(&text, "it.toml") {
            let (title, drawn) = finding.report.split_once('\n').expect("a title");
            assert!(
                title.starts_with(&format!("{}[{}]: ", finding.severity, finding.rule)),
                "{title}"
            );
            assert!(drawn.contains("--> it.toml:"), "{drawn}");
            let label = drawn.lines().any(|line| {
                line.split_once('^')
                    .is_some_and(|(_, label)| label.contains(' '))
            });
            assert!(label || drawn.contains("= help: "), "{drawn}");
        }
    }
}

#[test]
fn what_ships_is_free_of_warnings() {
    let found = catalogue()
        .iter()
        .flat_map(|experiment| check(&experiment.text, &experiment.source));
    let bad = found.filter(|finding| finding.severity > Severity::Note);
    let bad: Vec<String> = bad.map(|finding| finding.report).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

#[test]
fn what_is_allowed_with_a_reason_is_not_raised_and_an_error_always_is() {
    let text = |line: &str| {
        format!(
            "schema = 1\nname = \"x\"\nwhy = \"y\"\nlps = 1\nwarm_up = \"0s\"\n{line}\n[[guest]]\nname = \"one\"\ncount = 2\n"
        )
    };
    let rules = |line: &str| -> Vec<&str> {
        check(&text(line), "x.toml")
            .iter()
            .map(|finding| finding.rule)
            .collect()
    };
    assert_eq!(rules(""), ["no-warm-up"]);
    assert_eq!(
        rules("# check: allow no-warm-up: it is part of it"),
        [""; 0]
    );
    assert_eq!(rules("# check: allow no-warm-up"), ["allowance"]);
    let wide = "[[guest]]\nname = \"wide\"\nvps = 2\nreserve = 9";
    assert_eq!(
        rules(&format!("# check: allow reserve-does-not-fit: no\n{wide}")),
        [
            "no-warm-up",
            "allowance",
            "claims-per-vp",
            "more-vps-than-lps",
            "reserve-does-not-fit"
        ]
    );
}

#[test]
fn the_host_counts_only_where_the_file_says_nothing() {
    let text = "schema = 1\nname = \"x\"\nwhy = \"y\"\n[[guest]]\nname = \"one\"\naffinity = [3]\n";
    let on = |text: &str, lps| {
        let experiment =
            Experiment::parse(text, "x.toml").unwrap_or_else(|error| panic!("{error}"));
        lint(&[experiment], lps).len()
    };
    assert_eq!((on(text, 2), on(text, 4)), (1, 0));
    assert_eq!(on(&text.replace("[[guest]]", "lps = 4\n[[guest]]"), 2), 0);
}

#[test]
fn every_rule_has_its_row_in_the_readme() {
    let readme = fs::read_to_string(folder("README.md")).expect("the README");
    for rule in RULES {
        let row = format!("| `{}` | {} | {} |", rule.id, rule.severity, rule.about);
        assert!(readme.contains(&row), "no row\n{row}");
    }
}
