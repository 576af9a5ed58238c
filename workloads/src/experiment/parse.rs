//! From the text of a file to a checked experiment.

use std::sync::Arc;

use apportion_scheduler::{Nanos, PolicyKind, ReserveModel, WeightScope};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::defaults::Idle;
use super::diagnostics::{Problem, Problems, Report};
use super::fields::Fields;
use super::settings::Setting;
use super::sources::Sources;
use super::sweep::Sweep;
use super::{
    Experiment, ExperimentError, Simulator, changes, claims, defaults, guests, keys, memory, sweep,
};
use crate::limits;

/// The version of the file format that this version reads.
const SCHEMA: &str = "1";

/// What to say where a file is not even TOML.
const TOML: &str =
    "a line is `key = value`, text stands in quotes, each key is given once: https://toml.io";

/// What is to be read.
pub(super) struct Read {
    pub(super) text: Arc<str>,
    /// What diagnostics call the text.
    pub(super) source: Arc<str>,
    /// What the text says of a sweep, where it was read before.
    pub(super) sweep: Option<Arc<Sweep>>,
    /// What the command line sets.
    pub(super) settings: Vec<Setting>,
    /// What the experiment is called by besides.
    pub(super) point: Vec<Setting>,
}

/// Why a text is no experiment, its mistakes one by one.
#[derive(Debug)]
pub(super) enum Failed {
    Syntax(Report),
    Invalid(Report),
}

impl From<Failed> for ExperimentError {
    fn from(failed: Failed) -> ExperimentError {
        let told = |report: Report| report.text().unwrap_or_default();
        match failed {
            Failed::Syntax(report) => ExperimentError::Syntax {
                report: told(report),
            },
            Failed::Invalid(report) => ExperimentError::Invalid {
                report: told(report),
            },
        }
    }
}

/// Reads the whole file and collects its mistakes; only a file without any is an experiment.
pub(super) fn read(read: Read) -> Result<Experiment, Failed> {
    let draft = prepare(&read, |table, sources, mut problems, idle| {
        if read.point.is_empty() && defaults::stand_alone(&table) {
            problems.extend(idle.iter().map(defaults::nobodys));
        }
        let draft = read_experiment(table, &read, &mut problems);
        match problems.is_empty() {
            true => Ok(Experiment { idle, ..draft }),
            false => Err(Failed::Invalid(problems.drawn(sources))),
        }
    })?;
    Ok(Experiment {
        name: name_of(&draft.family, &read.point),
        settings: read.settings,
        point: read.point,
        text: read.text,
        source: read.source,
        ..draft
    })
}

/// What `look` makes of the table that an experiment was read from, and the texts that its places point into.
pub(crate) fn look<T>(
    experiment: &Experiment,
    look: impl FnOnce(&DeTable<'_>) -> T,
) -> Option<(T, Sources)> {
    let read = Read {
        text: Arc::clone(&experiment.text),
        source: Arc::clone(&experiment.source),
        sweep: Some(Arc::clone(&experiment.sweep)),
        settings: experiment.settings.clone(),
        point: experiment.point.clone(),
    };
    prepare(&read, |table, sources, _, _| {
        Ok((look(&table), sources.clone()))
    })
    .ok()
}

/// The table of the file as it is to be read: settings made, defaults spread.
fn prepare<T>(
    read: &Read,
    then: impl FnOnce(DeTable<'_>, &Sources, Problems, Vec<Idle>) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut sources = Sources::file(&read.text, &read.source);
    let mut table = read_toml(&read.text, &sources)?;
    let mut problems = Problems::default();
    if let Some(problem) = foreign_schema(&table) {
        // Checking the keys of another version would only raise false alarms.
        problems.push(problem);
        return Err(Failed::Invalid(problems.drawn(&sources)));
    }
    let settings = read.settings.iter().chain(&read.point).cloned();
    let settings: Vec<Setting> = settings.map(|it| it.placed(&mut sources)).collect();
    let values: Vec<String> = settings.iter().map(Setting::in_place).collect();
    for (setting, value) in settings.iter().zip(&values) {
        setting.apply(value, &mut table, &mut problems);
    }
    let idle = defaults::spread(&mut table, &mut problems);
    then(table, &sources, problems, idle)
}

/// `family[key=value,key=value]`.
fn name_of(family: &str, point: &[Setting]) -> String {
    if point.is_empty() {
        return family.to_owned();
    }
    let told: Vec<String> = point.iter().map(Setting::to_string).collect();
    format!("{family}[{}]", told.join(","))
}

fn read_toml<'i>(text: &'i str, sources: &Sources) -> Result<DeTable<'i>, Failed> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = Problems::default();
    for error in errors {
        let title = format!("invalid TOML: {}", error.message());
        let problem = match error.span() {
            Some(span) => Problem::at(span, title, ""),
            None => Problem::of_file(title),
        };
        problems.push(problem.help(TOML));
    }
    match problems.is_empty() {
        true => Ok(table.into_inner()),
        false => Err(Failed::Syntax(problems.drawn(sources))),
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
fn read_experiment(table: DeTable<'_>, read: &Read, problems: &mut Problems) -> Experiment {
    let mut fields = Fields::open(table, None, &keys::EXPERIMENT, problems);
    if let Some(schema) = fields.required("schema", "schema = 1")
        && !schema.get_ref().is_integer()
    {
        fields.wrong_type("schema", "a whole number", &schema, "use 1");
    }
    let policies = PolicyKind::ALL.map(|policy| (policy.name(), policy));
    let models = ReserveModel::ALL.map(|model| (model.name(), model));
    let scopes = WeightScope::ALL.map(|scope| (scope.name(), scope));

    let name = fields.name("name = \"my-experiment\"");
    let why = fields.sentence("why", "why = \"Does twice the weight get twice the CPU?\"");
    let lps = fields.located("lps", |fields| fields.integer(&limits::LPS));
    let nodes = read_nodes(&mut fields, lps.as_ref());
    let duration = read_duration(&mut fields);
    let mut guests = guests::read_guests(&mut fields, lps.as_ref());
    let changes = changes::read_changes(&mut fields, &guests, lps.as_ref(), duration.as_ref());
    let claims = claims::read_claims(&mut fields, &guests, &read.text);
    let sweep = match &read.sweep {
        Some(known) => {
            fields.take("sweep");
            Arc::clone(known)
        }
        None => Arc::new(sweep::read_sweep(&mut fields, &read.text)),
    };
    memory::furnish(&mut guests, &changes, fields.problems);
    Experiment {
        name: String::new(),
        family: name.map(Spanned::into_inner).unwrap_or_default(),
        settings: Vec::new(),
        point: Vec::new(),
        sweep,
        why: why.unwrap_or_default(),
        lps: lps.map(Spanned::into_inner),
        nodes,
        duration: duration.map(Spanned::into_inner).unwrap_or_default(),
        warm_up: fields
            .duration(&limits::WARM_UP)
            .unwrap_or(Nanos::from_millis(1_000)),
        slice: fields
            .duration(&limits::SLICE)
            .unwrap_or(Nanos::from_millis(1)),
        policy: fields
            .choice("policy", &policies)
            .map_or(PolicyKind::Fair, Spanned::into_inner),
        weight_scope: fields
            .choice("weight_scope", &scopes)
            .map_or(WeightScope::Vp, Spanned::into_inner),
        reserve_model: fields
            .choice("reserve_model", &models)
            .map_or(ReserveModel::Additive, Spanned::into_inner),
        repetitions: fields.integer(&limits::REPETITIONS).unwrap_or(1),
        tolerance_pp: fields.number(&limits::TOLERANCE_PP).unwrap_or(0.5),
        seed: fields.integer(&limits::SEED).unwrap_or(1),
        simulator: read_simulator(&mut fields),
        guests: guests.list,
        replays: guests.replays,
        changes,
        claims,
        text: Arc::default(),
        source: Arc::default(),
        idle: Vec::new(),
    }
}

/// The duration, with an empty place where it is not said; `None` where it is wrong.
fn read_duration(fields: &mut Fields<'_, '_>) -> Option<Spanned<Nanos>> {
    match fields.span_of_key("duration") {
        Some(_) => fields.located("duration", |fields| fields.duration(&limits::DURATION)),
        None => Some(Spanned::new(0..0, Nanos::from_millis(10_000))),
    }
}

fn read_nodes(fields: &mut Fields<'_, '_>, lps: Option<&Spanned<u32>>) -> u32 {
    let nodes = fields.located("nodes", |fields| fields.integer(&limits::NODES));
    if let (Some(nodes), Some(lps)) = (&nodes, lps)
        && nodes.get_ref() > lps.get_ref()
    {
        let title = format!("{} nodes are more than there are LPs", nodes.get_ref());
        let label = format!("use a whole number from 1 to {}", lps.get_ref());
        let problem = Problem::at(nodes.span(), title, label).context(lps.span(), "the LPs");
        fields.problems.push(problem);
    }
    nodes.map_or(1, Spanned::into_inner)
}

/// The table `[simulator]`, each key of which has a default.
fn read_simulator(fields: &mut Fields<'_, '_>) -> Simulator {
    let defaults = Simulator::default();
    let Some(value) = fields.take("simulator") else {
        return defaults;
    };
    let header = value.span();
    let DeValue::Table(table) = value.get_ref() else {
        let remedy = "write [simulator], in single brackets, above its keys";
        fields.wrong_type("simulator", "a table", &value, remedy);
        return defaults;
    };
    let (table, problems) = (table.clone(), &mut *fields.problems);
    let mut fields = Fields::open(table, Some(header), &keys::SIMULATOR, problems);
    Simulator {
        overhead: fields
            .duration(&limits::OVERHEAD)
            .unwrap_or(defaults.overhead),
        kick_latency: fields
            .duration(&limits::KICK_LATENCY)
            .unwrap_or(defaults.kick_latency),
    }
}
