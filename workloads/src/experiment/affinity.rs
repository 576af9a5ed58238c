//! The LPs that a guest may run on, and LPs that are not there.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::diagnostics::Problem;
use super::fields::Fields;
use crate::limits;

/// `affinity` in ascending order; `None` where every LP will do.
pub(super) fn read_affinity(
    fields: &mut Fields<'_, '_>,
    lps: Option<&Spanned<u32>>,
) -> Option<Vec<u32>> {
    let value = fields.take("affinity")?;
    let DeValue::Array(entries) = value.get_ref() else {
        let remedy = "write LP numbers in brackets, such as [0, 1]";
        fields.wrong_type("affinity", "a list of LP numbers", &value, remedy);
        return None;
    };
    if entries.is_empty() {
        let label = "name at least one LP, or remove this key for all of them";
        let problem = Problem::at(value.span(), "`affinity` names no LP", label);
        fields.problems.push(problem);
        return None;
    }
    let mut named: Vec<Spanned<u32>> = Vec::new();
    for entry in entries.iter() {
        if !entry.get_ref().is_integer() {
            let title = "an LP of `affinity` must be a whole number";
            let label = format!("use {}", limits::AFFINITY.allowed);
            let problem = Problem::at(entry.span(), title, label);
            fields.problems.push(problem);
            continue;
        }
        let Some(lp) = fields.integer_in(entry, &limits::AFFINITY) else {
            continue;
        };
        if let Some(problem) = no_such_lp(entry.span(), lp, lps) {
            fields.problems.push(problem);
        }
        named.push(Spanned::new(entry.span(), lp));
    }
    // Stable: of equal numbers, the first in the file stays first.
    named.sort_by_key(|lp| *lp.get_ref());
    for pair in named.windows(2) {
        if pair[0].get_ref() == pair[1].get_ref() {
            let title = format!("LP {} is named twice", pair[1].get_ref());
            let problem = Problem::at(pair[1].span(), title, "remove one of them")
                .context(pair[0].span(), "named here");
            fields.problems.push(problem);
        }
    }
    Some(named.into_iter().map(Spanned::into_inner).collect())
}

/// The complaint about an LP beyond those of the experiment, where the file says how many it has.
pub(super) fn no_such_lp(
    span: Range<usize>,
    lp: u32,
    lps: Option<&Spanned<u32>>,
) -> Option<Problem> {
    let lps = lps.filter(|lps| lp >= *lps.get_ref())?;
    let label = match lps.get_ref() {
        1 => "LP 0 is the only one".to_owned(),
        lps => format!("LPs are counted from 0 to {}", lps - 1),
    };
    let problem = Problem::at(span, format!("there is no LP {lp}"), label);
    Some(problem.context(lps.span(), "the number of LPs"))
}
