//! Where in the table of a file a setting belongs, and the complaint where that is nowhere.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{IN_PLACE, Setting};
use crate::experiment::diagnostics::{Problem, Problems};
use crate::suggest::{listed, nearest};

impl Setting {
    /// Puts it into the table of a file; `in_place` is its value.
    pub(in crate::experiment) fn apply<'i>(
        &self,
        in_place: &'i str,
        table: &mut DeTable<'i>,
        problems: &mut Problems,
    ) {
        let parsed = DeTable::parse(in_place).map(Spanned::into_inner);
        let Some(value) = parsed.ok().and_then(|mut it| it.remove(IN_PLACE)) else {
            problems.push(self.leads_nowhere());
            return;
        };
        let path: Vec<&str> = self
            .path
            .iter()
            .map(|part| part.get_ref().as_str())
            .collect();
        let (home, key) = match path[..] {
            [key] if !FIXED.contains(&key) => (Ok(table), key),
            [section @ ("simulator" | "defaults"), key] => (self.section(table, section), key),
            ["guest", name, key] if key != "name" => (self.guest(table, name), key),
            [list @ ("change" | "claim"), number, key] => (self.entry(table, list, number), key),
            _ => (Err(self.leads_nowhere().into()), ""),
        };
        match home {
            Ok(home) => {
                // A map keeps the key that it has, and so its place.
                home.remove(key);
                home.insert(Spanned::new(self.place(), key.to_owned().into()), value);
            }
            Err(problem) => problems.push(*problem),
        }
    }

    /// The table of its own below a header in single brackets.
    fn section<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        name: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        if !table.contains_key(name) {
            let empty = Spanned::new(self.place(), DeValue::Table(DeTable::new()));
            table.insert(Spanned::new(self.place(), name.to_owned().into()), empty);
        }
        let found = table.get_mut(name).map(Spanned::get_mut);
        match found {
            Some(DeValue::Table(found)) => Ok(found),
            _ => Err(self.not_there(name).into()),
        }
    }

    /// The entry of guests that has this name.
    fn guest<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        name: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        let name_of = |entry: &Spanned<DeValue<'_>>| {
            let name = entry.get_ref().get("name")?;
            Some(name.get_ref().as_str()?.to_owned())
        };
        let entries = entries(table, "guest");
        let names: Vec<String> = entries
            .iter()
            .flat_map(|it| it.iter())
            .filter_map(name_of)
            .collect();
        let found = entries.into_iter().flat_map(|it| it.iter_mut());
        let mut found = found.filter(|entry| name_of(entry).is_some_and(|it| it == name));
        match found.next().map(Spanned::get_mut) {
            Some(DeValue::Table(guest)) => Ok(guest),
            _ => {
                let place = self.path.get(1).map_or(self.place(), Spanned::span);
                let title = format!("there is no entry `{}` of guests", name.escape_debug());
                let known = names.iter().map(String::as_str);
                let label = match nearest(name, known.clone()).first() {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("use the name of an entry: {}", listed(known)),
                };
                Err(Problem::at(place, title, label).into())
            }
        }
    }

    /// The entry of a list that has this number, counted from 1.
    fn entry<'t, 'i>(
        &self,
        table: &'t mut DeTable<'i>,
        list: &str,
        number: &str,
    ) -> Result<&'t mut DeTable<'i>, Box<Problem>> {
        let index = number
            .parse::<usize>()
            .ok()
            .and_then(|it| it.checked_sub(1));
        let entries = entries(table, list);
        let found = entries
            .zip(index)
            .and_then(|(entries, index)| entries.get_mut(index));
        match found.map(Spanned::get_mut) {
            Some(DeValue::Table(entry)) => Ok(entry),
            _ => Err(self.not_there(&format!("{list}.{number}")).into()),
        }
    }

    fn not_there(&self, what: &str) -> Problem {
        let title = format!("there is no `{}` to set anything of", what.escape_debug());
        let place = self.path.get(1).map_or(self.place(), Spanned::span);
        Problem::at(
            place,
            title,
            "entries of changes and claims are counted from 1",
        )
    }

    fn leads_nowhere(&self) -> Problem {
        let title = format!("`{}` is nothing that can be set", self.key().escape_debug());
        let label = "use a key of the experiment such as `slice`, or `guest.NAME.KEY`";
        Problem::at(self.place(), title, label).help(
            "`defaults.KEY`, `simulator.KEY`, `change.N.KEY` and `claim.N.KEY` can be set, too",
        )
    }
}

/// Keys of the experiment that make the file what it is, and those that are whole tables.
const FIXED: [&str; 9] = [
    "schema",
    "name",
    "why",
    "guest",
    "change",
    "claim",
    "sweep",
    "simulator",
    "defaults",
];

/// The list below headers in double brackets.
fn entries<'t, 'i>(table: &'t mut DeTable<'i>, list: &str) -> Option<&'t mut DeArray<'i>> {
    match table.get_mut(list)?.get_mut() {
        DeValue::Array(entries) => Some(entries),
        _ => None,
    }
}
