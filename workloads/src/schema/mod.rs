//! The JSON Schema of experiment files, by which editors complete and check them.
//!
//! It follows from the tables of keys and from their limits. What it cannot
//! say (whether a time is in range, a guest exists, reserves fit) only the
//! parser refuses.

mod numbers;

use serde_json::{Map, Value, json};

use crate::experiment::changes::{FORMS, Form as Does};
use crate::experiment::keys::{Absent, CHANGE, EXPERIMENT, Form, GUEST, Key, Keys};

pub(crate) use numbers::{Bounded, Limited};

/// A name: what the parser takes for one.
const NAME: &str = "^[a-z0-9][a-z0-9-]*$";

/// The schema in draft-07, as most editors know it.
///
/// ```
/// let schema = apportion_workloads::schema();
/// assert_eq!(schema["required"][0], "schema");
/// assert_eq!(schema["properties"]["lps"]["maximum"], 4096);
/// ```
pub fn schema() -> Value {
    let mut schema = table(&EXPERIMENT);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("Apportion experiment");
    schema["description"] =
        json!("Which guests compete for the CPU, with which controls, for how long.");
    // Where there are defaults an entry may have the payload, or its keys, from them.
    schema["if"] = json!({"required": ["defaults"]});
    schema["else"] = json!({"properties": {"guest": {"items": {
        "dependencies": owners(&GUEST),
        "allOf": needs(&GUEST),
    }}}});
    schema
}

fn table(keys: &'static Keys) -> Value {
    let mut properties = Map::new();
    for key in keys.keys {
        properties.insert(key.name.to_owned(), property(key, description(key)));
    }
    for name in names_of_own(keys) {
        properties.insert(name.to_owned(), own_property(keys, name));
    }
    let required = keys.keys.iter().filter(|key| key.is_needed());
    let required: Vec<&str> = required.map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    if std::ptr::eq(keys, &CHANGE) {
        schema["oneOf"] = forms();
    }
    schema
}

fn property(key: &Key, description: String) -> Value {
    let mut schema = match &key.form {
        Form::Exactly(number) => json!({"const": number}),
        Form::Within(limit) => limit.schema(),
        Form::List(limit) => json!({
            "type": "array", "minItems": 1, "uniqueItems": true, "items": limit.schema(),
        }),
        Form::Name => json!({"type": "string", "pattern": NAME}),
        Form::Sentence => json!({"type": "string", "pattern": r"\S"}),
        Form::Words => json!({
            "type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "string"},
        }),
        Form::Truth => json!({"type": "boolean"}),
        Form::NumberOrTime(number, time) => json!({"anyOf": [number.schema(), time.schema()]}),
        Form::Settings => settings(),
        Form::Axes => axes(),
        Form::Some(keys, but) => some(keys, but),
        Form::Word(words) => json!({"enum": words()}),
        Form::Table(keys) => table(keys),
        Form::Tables(keys) => json!({"type": "array", "minItems": 1, "items": table(keys)}),
    };
    schema["description"] = json!(description);
    // What stands in a file without surprises stands in JSON, too: numbers, truths, words in quotes.
    if let Absent::Means(value) = key.absent
        && let Ok(value) = serde_json::from_str::<Value>(value)
    {
        schema["default"] = value;
    }
    schema
}

/// Keys with values, and tables that are paths to such: which there are only the parser knows.
fn settings() -> Value {
    json!({"type": "object", "minProperties": 1})
}

/// Keys with lists, and tables that are paths to such.
fn axes() -> Value {
    let rows = json!({"type": "array", "items": settings()});
    json!({
        "type": "object",
        "properties": {"exclude": rows, "include": rows},
        "additionalProperties": {"anyOf": [
            {"type": "array", "minItems": 1},
            {"type": "object"},
        ]},
    })
}

/// A table without some of its keys, and without its demands.
fn some(keys: &'static Keys, but: &[&str]) -> Value {
    let mut properties = table(keys)["properties"].take();
    if let Some(properties) = properties.as_object_mut() {
        properties.retain(|key, _| !but.contains(&key.as_str()));
    }
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// What it means and what it may be.
fn description(key: &Key) -> String {
    match key.form {
        Form::Within(limit) | Form::List(limit) => format!("{}: {}", key.meaning, limit.allowed()),
        _ => match key.absent {
            Absent::Otherwise(without) => format!("{} (without the key: {without})", key.meaning),
            _ => key.meaning.to_owned(),
        },
    }
}

/// The keys that only some payloads have, each once.
fn names_of_own(keys: &Keys) -> Vec<&'static str> {
    let names = keys.names().into_iter();
    names
        .filter(|name| keys.keys.iter().all(|key| key.name != *name))
        .collect()
}

/// A key that means something of its own with each payload that has it.
fn own_property(keys: &'static Keys, name: &str) -> Value {
    let own: Vec<_> = keys
        .of_payloads
        .iter()
        .filter(|own| own.key.name == name)
        .collect();
    let meanings: Vec<String> = own
        .iter()
        .map(|own| format!("with payload `{}` {}", own.payload, description(&own.key)))
        .collect();
    property(&own[0].key, meanings.join("; "))
}

/// Each key of some payloads goes with these alone.
fn owners(keys: &Keys) -> Value {
    let owners = |name: &str| {
        let own = keys.of_payloads.iter().filter(|own| own.key.name == name);
        let payloads: Vec<&str> = own.map(|own| own.payload).collect();
        json!({"required": ["payload"], "properties": {"payload": {"enum": payloads}}})
    };
    let owners = names_of_own(keys)
        .into_iter()
        .map(|name| (name.to_owned(), owners(name)));
    Value::Object(owners.collect())
}

/// Each payload needs some keys.
fn needs(keys: &Keys) -> Value {
    let of_one = |own: &[_]| {
        let own: &[crate::experiment::keys::OwnKey] = own;
        let needed: Vec<&str> = own
            .iter()
            .filter(|own| own.key.is_needed())
            .map(|own| own.key.name)
            .collect();
        json!({
            "if": {"required": ["payload"], "properties": {"payload": {"const": own[0].payload}}},
            "then": {"required": needed},
        })
    };
    keys.of_payloads
        .chunk_by(|a, b| a.payload == b.payload)
        .map(of_one)
        .collect()
}

/// A change does one thing.
fn forms() -> Value {
    let mut kinds: Vec<Does> = FORMS.iter().map(|(_, does)| *does).collect();
    kinds.dedup();
    let form = |does: Does| {
        let keys = FORMS.iter().filter(|(_, other)| *other == does);
        let said: Vec<Value> = keys.map(|(key, _)| json!({"required": [key]})).collect();
        let mut form = json!({"anyOf": said});
        if does.of_guests() {
            form["required"] = json!(["guest"]);
        } else {
            form["properties"]["guest"] = json!(false);
        }
        if does != Does::LpOff {
            form["properties"]["force"] = json!(false);
        }
        form
    };
    kinds.into_iter().map(form).collect()
}
