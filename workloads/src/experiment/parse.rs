//! From the text of a file to a checked experiment.

use apportion_scheduler::{Nanos, PolicyKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::fields::{Fields, Keys};
use super::{Experiment, ExperimentError, guests};
use crate::limits;

/// The version of the file format that this version reads.
const SCHEMA: &str = "1";

/// The keys of the top level.
pub(super) const KEYS: [&str; 11] = [
    "schema",
    "name",
    "why",
    "lps",
    "duration",
    "warm_up",
    "slice",
    "policy",
    "repetitions",
    "tolerance_pp",
    "guest",
];

const EXPERIMENT: Keys = Keys {
    owner: "an experiment",
    allowed: &KEYS,
    misplaced: &guests::KEYS,
    move_them: "this is a key of a guest: move it below a [[guest]] header",
};

/// Reads the whole file and collects its mistakes; only a file without any is an experiment.
pub(super) fn experiment(text: &str, source: &str) -> Result<Experiment, ExperimentError> {
    let table = read_toml(text, source)?;
    let mut problems = Problems::default();
    if let Some(problem) = foreign_schema(&table) {
        // Checking the keys of another version would only raise false alarms.
        let report = problem.render(text, source);
        return Err(ExperimentError::Invalid { report });
    }
    let draft = read_experiment(table, &mut problems);
    match problems.report(text, source) {
        Some(report) => Err(ExperimentError::Invalid { report }),
        None => Ok(Experiment {
            text: text.to_owned(),
            source: source.to_owned(),
            ..draft
        }),
    }
}

fn read_toml<'i>(text: &'i str, source: &str) -> Result<DeTable<'i>, ExperimentError> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = Problems::default();
    for error in errors {
        let title = format!("invalid TOML: {}", error.message());
        problems.push(match error.span() {
            Some(span) => Problem::at(span, title, ""),
            None => Problem::of_file(title),
        });
    }
    match problems.report(text, source) {
        Some(report) => Err(ExperimentError::Syntax { report }),
        None => Ok(table.into_inner()),
    }
}

/// The complaint about a file that is written for another version.
fn foreign_schema(table: &DeTable<'_>) -> Option<Problem> {
    let schema = table.get("schema")?;
    let DeValue::Integer(number) = schema.get_ref() else {
        return None;
    };
    (number.as_str() != SCHEMA).then(|| {
        let title = format!("schema {number} is unknown to this version");
        Problem::at(
            schema.span(),
            title,
            format!("this version reads schema {SCHEMA}"),
        )
    })
}

/// The experiment, with stand-ins for what is missing or wrong.
fn read_experiment(table: DeTable<'_>, problems: &mut Problems) -> Experiment {
    let mut fields = Fields::open(table, None, &EXPERIMENT, problems);
    if let Some(schema) = fields.required("schema", "schema = 1")
        && !schema.get_ref().is_integer()
    {
        fields.wrong_type("schema", "a whole number", &schema, "use 1");
    }
    let policies = PolicyKind::ALL.map(|policy| (policy.name(), policy));
    let name = fields.name("name = \"my-experiment\"");
    Experiment {
        name: name.map(Spanned::into_inner).unwrap_or_default(),
        why: fields
            .sentence("why", "why = \"Does twice the weight get twice the CPU?\"")
            .unwrap_or_default(),
        lps: fields.integer(&limits::LPS),
        duration: fields
            .duration(&limits::DURATION)
            .unwrap_or(Nanos::from_millis(10_000)),
        warm_up: fields
            .duration(&limits::WARM_UP)
            .unwrap_or(Nanos::from_millis(1_000)),
        slice: fields
            .duration(&limits::SLICE)
            .unwrap_or(Nanos::from_millis(1)),
        policy: fields
            .choice("policy", &policies)
            .map_or(PolicyKind::Fair, Spanned::into_inner),
        repetitions: fields.integer(&limits::REPETITIONS).unwrap_or(1),
        tolerance_pp: fields.number(&limits::TOLERANCE_PP).unwrap_or(0.5),
        guests: guests::read_guests(&mut fields),
        text: String::new(),
        source: String::new(),
    }
}
