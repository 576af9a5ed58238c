//! `[sweep]`: one file that stands for many experiments, each with other values of some keys.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use super::settings::{Leaf, Setting, SettingError, halves};
use crate::suggest::listed;

/// The most experiments that one file may stand for.
pub(super) const MOST_POINTS: usize = 1_000;

/// One key and the values that it takes, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(Vec<Setting>);

/// Which experiments a file stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// Every combination of their values is an experiment.
    pub(super) axes: Vec<Axis>,
    /// But those that have all the values of one of these.
    pub(super) exclude: Vec<Vec<Setting>>,
    /// And each of these is one more.
    pub(super) include: Vec<Vec<Setting>>,
}

/// What the command line changes of an experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    set: Vec<Setting>,
    scan: Vec<Axis>,
}

impl Overrides {
    /// Fixed values, and keys that take one value after the other.
    ///
    /// # Errors
    /// [`SettingError::Twice`] for a key in more than one of them.
    pub fn new(set: Vec<Setting>, scan: Vec<Axis>) -> Result<Overrides, SettingError> {
        let mut keys: Vec<String> = set.iter().map(Setting::key).collect();
        keys.extend(scan.iter().map(Axis::key));
        keys.sort();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(SettingError::Twice(pair[0].clone())),
            None => Ok(Overrides { set, scan }),
        }
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.scan.is_empty()
    }

    /// The fixed values.
    pub(super) fn set(&self) -> &[Setting] {
        &self.set
    }
}

impl Axis {
    /// `KEY=A,B,C` or, of numbers, `KEY=FROM..TO:STEP` as an option of the
    /// command line gives it; TO is one of them if a whole number of steps leads there.
    ///
    /// # Errors
    /// [`SettingError`], where there is no key or no value.
    ///
    /// ```
    /// use apportion_workloads::Axis;
    ///
    /// let axis = Axis::parse("guest.test.weight=50..200:50")?;
    /// assert_eq!(axis.values().collect::<Vec<_>>(), ["50", "100", "150", "200"]);
    /// # Ok::<(), apportion_workloads::SettingError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Axis, SettingError> {
        let (key, values) = halves(text)?;
        let bad = |cause| SettingError::BadValues {
            text: values.to_owned(),
            cause,
        };
        let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
        let told = match values.split_once("..") {
            // A path may go up, too.
            Some((from, to)) if is_number(from) => range(values, from, to)?,
            _ => list(values)?,
        };
        let settings = told.iter().map(|it| Setting::of_option("--scan", key, it));
        let settings: Vec<Setting> = settings.collect::<Result<_, _>>()?;
        match repeated(&settings) {
            Some(_) => Err(bad("has a value twice")),
            None => Ok(Axis(settings)),
        }
    }

    /// The key that they are values of.
    pub fn key(&self) -> String {
        self.0.first().map(Setting::key).unwrap_or_default()
    }

    /// The values as people write them.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Setting::value)
    }
}

impl Sweep {
    /// Whether the file stands for one experiment only.
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty() && self.include.is_empty()
    }

    /// What tells each of the experiments from the others, in order: the first axis turns slowest.
    ///
    /// # Errors
    /// How many there are where they are more than [`MOST_POINTS`].
    pub(super) fn points(&self, overrides: &Overrides) -> Result<Vec<Vec<Setting>>, usize> {
        let fixed = |key: &str| {
            let scanned = overrides.scan.iter().any(|axis| axis.key() == key);
            scanned || overrides.set.iter().any(|setting| setting.key() == key)
        };
        let own = self.axes.iter().filter(|axis| !fixed(&axis.key()));
        let axes: Vec<Axis> = own.chain(&overrides.scan).cloned().collect();
        let all = axes.iter().map(|axis| axis.0.len());
        let all = all
            .fold(1, usize::saturating_mul)
            .saturating_add(self.include.len());
        if all > MOST_POINTS {
            return Err(all);
        }
        let mut points = across(vec![Vec::new()], &axes);
        let has = |point: &[Setting], row: &[Setting]| {
            let known = |it: &Setting| point.contains(it) || overrides.set.contains(it);
            row.iter().all(known)
        };
        points.retain(|point| !self.exclude.iter().any(|row| has(point, row)));
        // What the command line says of a key takes the place of what a row does.
        let own = |row: &Vec<Setting>| -> Vec<Setting> {
            let own = row.iter().filter(|it| !fixed(&it.key()));
            own.cloned().collect()
        };
        let rows: Vec<Vec<Setting>> = self.include.iter().map(own).collect();
        let rows = rows.into_iter().filter(|row| !row.is_empty());
        let rows: Vec<Vec<Setting>> = across(rows.collect(), &overrides.scan);
        if self.axes.is_empty() && !rows.is_empty() {
            // The file itself is none of those that it lists.
            points.clear();
        }
        for row in rows {
            let same = |point: &Vec<Setting>| point.len() == row.len() && has(point, &row);
            if !points.iter().any(same) {
                points.push(row);
            }
        }
        Ok(points)
    }
}

/// Each point with each value of each axis, the first of which turns slowest.
fn across(mut points: Vec<Vec<Setting>>, axes: &[Axis]) -> Vec<Vec<Setting>> {
    for axis in axes {
        let longer = |point: Vec<Setting>| {
            let with =
                move |setting: &Setting| [&point[..], std::slice::from_ref(setting)].concat();
            axis.0.iter().map(with).collect::<Vec<_>>()
        };
        points = points.into_iter().flat_map(longer).collect();
    }
    points
}

/// The numbers of `FROM..TO:STEP`.
fn range(text: &str, from: &str, to: &str) -> Result<Vec<String>, SettingError> {
    let bad = |cause| SettingError::BadValues {
        text: text.to_owned(),
        cause,
    };
    let (to, step) = to.split_once(':').ok_or_else(|| bad("has no step"))?;
    if text.contains(['e', 'E']) {
        return Err(bad("is no range of plain numbers"));
    }
    let decimals = |number: &str| {
        number
            .trim()
            .split_once('.')
            .map_or(0, |(_, after)| after.len())
    };
    let places = decimals(from).max(decimals(to)).max(decimals(step));
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|it| it.is_finite());
    let numbers = number(from).zip(number(to)).zip(number(step));
    let ((from, to), step) = numbers.ok_or_else(|| bad("is no range of numbers"))?;
    if step <= 0.0 || to < from {
        return Err(bad("does not go up"));
    }
    // What decimals cannot say exactly does not cost the last step.
    let steps = ((to - from) / step + 1e-9).floor();
    if steps >= MOST_POINTS as f64 {
        return Err(bad("has more than 1000 values"));
    }
    let value = |index: usize| format!("{:.places$}", from + index as f64 * step);
    Ok((0..=steps as usize).map(value).collect())
}

/// One of them that is there twice.
fn repeated(settings: &[Setting]) -> Option<&Setting> {
    let later = settings.iter().enumerate();
    let twice = |(index, setting): &(usize, &Setting)| settings[..*index].contains(setting);
    later.into_iter().find(twice).map(|(_, setting)| setting)
}

/// The values between commas, some of which may be lists of TOML.
fn list(text: &str) -> Result<Vec<String>, SettingError> {
    let bracketed = format!("[{text}]");
    if let Ok(parsed) = DeValue::parse(&bracketed)
        && let DeValue::Array(entries) = parsed.get_ref()
        && !entries.is_empty()
    {
        let entries = entries.iter().map(|it| bracketed[it.span()].to_owned());
        return Ok(entries.collect());
    }
    // `2ms` and `burn` are no TOML without quotes.
    let values: Vec<String> = text.split(',').map(|it| it.trim().to_owned()).collect();
    match values.iter().any(String::is_empty) {
        true => Err(SettingError::BadValues {
            text: text.to_owned(),
            cause: "has an empty place",
        }),
        false => Ok(values),
    }
}

/// The sweep of a file, whose text is `text`.
pub(super) fn read_sweep(fields: &mut Fields<'_, '_>, text: &str) -> Sweep {
    let Some(value) = fields.take("sweep") else {
        return Sweep::default();
    };
    let DeValue::Table(table) = value.get_ref() else {
        let remedy = "write [sweep], in single brackets, above its keys";
        fields.wrong_type("sweep", "a table", &value, remedy);
        return Sweep::default();
    };
    let mut table = table.clone();
    let problems = &mut *fields.problems;
    let exclude = rows(&mut table, "exclude", text, problems);
    let include = rows(&mut table, "include", text, problems);
    let mut axes = Vec::new();
    for leaf in Leaf::values(table, problems) {
        match &leaf.value.get_ref() {
            DeValue::Array(values) if !values.is_empty() => {
                let settings = values.iter().map(|value| leaf.setting(value, text));
                let settings: Vec<Setting> = settings.collect();
                if let Some(twice) = repeated(&settings) {
                    let title = format!("`{}` has the value {} twice", leaf.key(), twice.value());
                    let label = "remove one of them";
                    problems.push(Problem::at(leaf.value.span(), title, label));
                }
                axes.push(Axis(settings));
            }
            _ => {
                let title = format!("`{}` has no list of values", leaf.key());
                let label = "write the values in brackets, such as [50, 100, 200]";
                problems.push(Problem::at(leaf.value.span(), title, label));
            }
        }
    }
    let keys: Vec<String> = axes.iter().map(Axis::key).collect();
    for (setting, place) in exclude.iter().flatten() {
        if !keys.contains(&setting.key()) {
            let title = format!("`{}` is none of the keys that are swept", setting.key());
            let label = format!("nothing has this value: {}", either(&keys));
            problems.push(Problem::at(place.clone(), title, label));
        } else if !axes.iter().any(|axis: &Axis| axis.0.contains(setting)) {
            let title = format!("`{}` never is {}", setting.key(), setting.value());
            let label = "write it as the sweep does, or remove this row";
            problems.push(Problem::at(place.clone(), title, label));
        }
    }
    let plain = |rows: Vec<Row>| {
        let settings = |row: Row| row.into_iter().map(|(setting, _)| setting).collect();
        rows.into_iter().map(settings).collect()
    };
    Sweep {
        axes,
        exclude: plain(exclude),
        include: plain(include),
    }
}

type Row = Vec<(Setting, Range<usize>)>;

fn either(keys: &[String]) -> String {
    match keys {
        [] => "no key is swept".to_owned(),
        keys => format!("swept are {}", listed(keys.iter().map(String::as_str))),
    }
}

/// The entries below `[[sweep.exclude]]` or `[[sweep.include]]`.
fn rows(table: &mut DeTable<'_>, key: &str, text: &str, problems: &mut Problems) -> Vec<Row> {
    let Some(value) = table.remove(key) else {
        return Vec::new();
    };
    let wrong = |span| {
        let title = format!("`{key}` of a sweep must be a list of tables");
        let label = format!("write [[sweep.{key}]], in double brackets, above its keys");
        Problem::at(span, title, label)
    };
    let span = value.span();
    let DeValue::Array(entries) = value.into_inner() else {
        problems.push(wrong(span));
        return Vec::new();
    };
    let mut rows = Vec::new();
    for entry in entries {
        let span = entry.span();
        match entry.into_inner() {
            DeValue::Table(row) => {
                let leaves = Leaf::values(row, problems);
                let setting = |leaf: &Leaf<'_>| (leaf.setting(&leaf.value, text), leaf.place());
                rows.push(leaves.iter().map(setting).collect());
            }
            _ => problems.push(wrong(span)),
        }
    }
    rows
}
