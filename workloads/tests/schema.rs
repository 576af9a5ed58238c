//! The JSON Schema, read by a validator that is not ours: what ships is valid, what is misshapen is not.

use std::path::{Path, PathBuf};
use std::{env, fs};

use apportion_workloads::{Experiment, catalogue, schema};
use jsonschema::Validator;
use serde_json::Value;

/// Broken files that have the right shape: what is wrong with them only the parser knows.
const SHAPELY: [&str; 22] = [
    "affinity-on-one-lp",
    "burst-without-pause",
    "cap-below-reserve",
    "change-after-default-duration",
    "change-of-cap-below-reserve",
    "change-to-too-many-vps-together",
    "claim-reference",
    "claim-with-itself",
    "claim-without-other",
    "memory-too-small",
    "memory-too-small-after-change",
    "more-nodes-than-lps",
    "no-guest-left",
    "nobody-from-the-start",
    "run-too-long",
    "same-name",
    "same-name-after-count",
    "sweep-of-nothing",
    "sweep-twice",
    "sweep-values",
    "too-many-vps",
    "working-sets",
];

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).expect("a schema")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn as_json(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(serde_json::to_value(table).expect("TOML without dates is JSON"))
}

#[test]
fn the_file_is_the_schema() {
    let path = folder("experiment.schema.json");
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&path, format!("{:#}\n", schema())).expect("the file can be written");
    }
    let file = fs::read_to_string(&path).expect("the checked-in schema");
    let file: Value = serde_json::from_str(&file).expect("JSON");
    assert!(
        file == schema(),
        "{} is not what the tables of keys say: write it anew by `INSTA_UPDATE=always cargo test -p apportion-workloads`",
        path.display()
    );
}

#[test]
fn it_is_a_schema_of_draft_7() {
    assert!(jsonschema::draft7::meta::is_valid(&schema()));
}

#[test]
fn whatever_ships_is_valid() {
    let validator = validator();
    for experiment in catalogue() {
        let json = as_json(&experiment.text).expect("TOML");
        let errors: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{}", experiment.name);
    }
}

#[test]
fn whatever_is_misshapen_is_not() {
    let validator = validator();
    let mut shapely = Vec::new();
    let files = fs::read_dir(folder("tests/broken")).expect("the folder of broken files");
    for file in files {
        let path = file.expect("an entry of the folder").path();
        let text = fs::read_to_string(&path).expect("a text file");
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name in UTF-8");
        if as_json(&text).is_some_and(|json| validator.is_valid(&json)) {
            shapely.push(name.to_owned());
        }
    }
    shapely.sort();
    assert_eq!(shapely, SHAPELY);
}

#[test]
fn a_key_left_out_means_its_default() {
    let least = "schema = 1\nname = \"least\"\nwhy = \"Defaults.\"\n";
    let guest = "[[guest]]\nname = \"one\"\n";
    let simulator = "[simulator]\n";
    let read = |text: &str| {
        let read = Experiment::parse(text, "least.toml");
        let mut read = read.unwrap_or_else(|error| panic!("{error}"));
        read.text = "".into();
        read
    };
    let plain = read(&format!("{least}{guest}{simulator}"));
    let schema = schema();
    let defaults = |pointer: &str| {
        let properties = schema
            .pointer(pointer)
            .and_then(Value::as_object)
            .expect("properties");
        // A JSON scalar is a TOML scalar. Keys of some payloads only those have.
        let said = properties.iter().filter(|(_, of)| {
            !of["description"]
                .as_str()
                .unwrap_or_default()
                .starts_with("with payload")
        });
        said.filter_map(|(key, of)| Some(format!("{key} = {}\n", of.get("default")?)))
            .collect::<Vec<_>>()
    };
    let top = defaults("/properties");
    let guests = defaults("/properties/guest/items/properties");
    let simulators = defaults("/properties/simulator/properties");
    assert!(
        top.len() > 8 && guests.len() > 6 && simulators.len() == 2,
        "{top:?} {guests:?}"
    );
    for key in top {
        assert_eq!(read(&format!("{least}{key}{guest}")), plain, "{key}");
    }
    for key in guests {
        assert_eq!(read(&format!("{least}{guest}{key}")), plain, "{key}");
    }
    for key in simulators {
        assert_eq!(
            read(&format!("{least}{guest}{simulator}{key}")),
            plain,
            "{key}"
        );
    }
}

#[test]
fn the_keys_of_payloads_are_asked_for_and_kept_to_them() {
    let validator = validator();
    let valid = |guest: &str| {
        let text =
            format!("schema = 1\nname = \"x\"\nwhy = \"y\"\n[[guest]]\nname = \"one\"\n{guest}");
        let json = as_json(&text).unwrap_or_else(|| panic!("{text}"));
        let (said, read) = (
            validator.is_valid(&json),
            Experiment::parse(&text, "x.toml").is_ok(),
        );
        assert_eq!(said, read, "{text}");
        said
    };
    assert!(valid(
        "payload = \"probe\"\nperiod = \"10ms\"\nrun = \"50us\""
    ));
    assert!(!valid("payload = \"probe\"\nperiod = \"10ms\""));
    assert!(!valid("payload = \"burn\"\nperiod = \"10ms\""));
    assert!(!valid("period = \"10ms\""));
    assert!(valid(
        "payload = \"spin\"\ncritical = \"1.5ms\"\nthink = \"2ms\"\nhint = false"
    ));
    assert!(!valid(
        "payload = \"spin\"\ncritical = \"1.5\"\nthink = \"2ms\""
    ));
    assert!(valid("affinity = [1, 0]"));
    assert!(!valid("affinity = [1, 1]"));
    assert!(valid(
        "[[change]]\nat = \"1s\"\nguest = \"one\"\nweight = 5\ncap = 50"
    ));
    assert!(!valid(
        "[[change]]\nat = \"1s\"\nguest = \"one\"\nweight = 5\nadd_vps = 1"
    ));
    assert!(!valid(
        "[[change]]\nat = \"1s\"\nguest = \"one\"\nlp_off = 1"
    ));
    assert!(!valid("[[change]]\nat = \"1s\"\nlp_on = 1\nforce = true"));
    assert!(!valid("[[change]]\nat = \"1s\"\nguest = \"one\""));
}

#[test]
fn with_defaults_entries_need_not_say_it_all() {
    let validator = validator();
    for text in [
        "[defaults]\npayload = \"probe\"\nperiod = \"10ms\"\nrun = \"1ms\"\n[[guest]]\nname = \"one\"\nrun = \"2ms\"",
        "[defaults]\nperiod = \"10ms\"\nrun = \"1ms\"\n[[guest]]\nname = \"one\"\npayload = \"probe\"",
    ] {
        let text = format!("schema = 1\nname = \"x\"\nwhy = \"y\"\n{text}");
        let json = as_json(&text).expect("TOML");
        assert!(validator.is_valid(&json), "{text}");
        Experiment::parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn every_key_has_its_row_in_the_readme() {
    let readme = fs::read_to_string(folder("README.md")).expect("the README");
    let schema = schema();
    for (table, pointer) in [
        ("## Top level", "/properties"),
        ("## `[[guest]]`", "/properties/guest/items/properties"),
        ("## `[simulator]`", "/properties/simulator/properties"),
    ] {
        let (_, section) = readme.split_once(&format!("\n{table}\n")).expect(table);
        let section = section.split("\n## ").next().unwrap_or_default();
        let properties = schema
            .pointer(pointer)
            .and_then(Value::as_object)
            .expect("properties");
        for (key, of) in properties {
            let is_table = of["type"] == "object" || of["items"]["type"] == "object";
            let row = section
                .lines()
                .find(|line| line.starts_with(&format!("| `{key}` |")));
            let Some(row) = row else {
                assert!(is_table, "no row for `{key}` under {table}");
                continue;
            };
            let description = of["description"].as_str().expect("a description");
            let (meaning, _) = description
                .split_once(": a")
                .or(description.split_once(": LP"))
                .unwrap_or((description, ""));
            let meaning = meaning.split(" (without").next().unwrap_or_default();
            assert!(
                meaning.starts_with("with payload") || row.contains(meaning),
                "`{key}`: {meaning}\n{row}"
            );
        }
    }
}
