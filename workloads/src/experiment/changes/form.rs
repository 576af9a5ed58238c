//! Which of all changes an entry is.

use std::ops::Range;

use super::super::diagnostics::Problem;
use super::super::fields::Fields;
use crate::suggest::listed;

/// What a change may do, by the keys that say so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Controls,
    AddVps,
    Interrupts,
    Start,
    Stop,
    LpOff,
    LpOn,
}

pub(crate) const FORMS: [(&str, Form); 9] = [
    ("weight", Form::Controls),
    ("reserve", Form::Controls),
    ("cap", Form::Controls),
    ("add_vps", Form::AddVps),
    ("interrupts", Form::Interrupts),
    ("start", Form::Start),
    ("stop", Form::Stop),
    ("lp_off", Form::LpOff),
    ("lp_on", Form::LpOn),
];

impl Form {
    /// Whether it concerns guests.
    pub(crate) fn of_guests(self) -> bool {
        !matches!(self, Form::LpOff | Form::LpOn)
    }
}

/// What the change does; reported where that is nothing, or more than one thing.
pub(super) fn form(fields: &mut Fields<'_, '_>, header: Range<usize>) -> Option<Form> {
    let mut said: Vec<(Range<usize>, &str, Form)> = FORMS
        .into_iter()
        .filter_map(|(key, form)| Some((fields.span_of_key(key)?, key, form)))
        .collect();
    said.sort_by_key(|(span, ..)| span.start);
    let Some((first, first_key, form)) = said.first().cloned() else {
        if fields.has_strange_keys {
            return None;
        }
        let keys = listed(FORMS.map(|(key, _)| key));
        let problem = Problem::at(header, "this change changes nothing", "say what it does")
            .help(format!("a change has one of {keys}"));
        fields.problems.push(problem);
        return None;
    };
    if let Some((span, key, _)) = said.iter().find(|(.., other)| *other != form) {
        let title = format!("`{key}` and `{first_key}` are two changes");
        let problem = Problem::at(
            span.clone(),
            title,
            "write a [[change]] of its own for this",
        )
        .context(first, "this can stay here");
        fields.problems.push(problem);
        return None;
    }
    if let (false, Some(span)) = (form.of_guests(), fields.span_of_key("guest")) {
        let title = format!("`guest` does not go with `{first_key}`");
        let label = "remove this key: an LP belongs to no guest";
        fields.problems.push(Problem::at(span, title, label));
    }
    if let (true, Some(span)) = (form != Form::LpOff, fields.span_of_key("force")) {
        let title = "`force` is for `lp_off` only";
        fields
            .problems
            .push(Problem::at(span, title, "remove this key"));
    }
    Some(form)
}
