//! Keys of one payload that are right each by itself and make no sense together.

use apportion_scheduler::Nanos;
use toml::Spanned;

use super::super::diagnostics::Problem;
use super::keys::Written;
use crate::size::Bytes;

/// The complaint about a VP that wants no less than a whole period of each.
pub(super) fn never_sleeps(
    period: Option<&Spanned<Nanos>>,
    run: Option<&Spanned<Nanos>>,
) -> Option<Problem> {
    let (period, run) = longer(period, run)?;
    let (of, wanted) = (period.get_ref(), run.get_ref());
    let title = format!("run {wanted} does not fit into period {of}");
    let problem = Problem::at(run.span(), title, "use a time below the period")
        .context(period.span(), "the period");
    Some(problem.help("a guest that never sleeps has payload `burn`"))
}

/// The complaint about work that arrives no slower than it is done.
pub(super) fn never_done(
    every: Option<&Spanned<Nanos>>,
    run: Option<&Spanned<Nanos>>,
) -> Option<Problem> {
    let (every, run) = longer(every, run)?;
    let (of, wanted) = (every.get_ref(), run.get_ref());
    let title = format!("run {wanted} does not fit between arrivals every {of}");
    let problem = Problem::at(run.span(), title, "use a time below `every`")
        .context(every.span(), "the time between arrivals");
    Some(problem.help("a guest that never sleeps has payload `burn`"))
}

/// Both, if `run` is not below `of`.
fn longer<'a>(
    of: Option<&'a Spanned<Nanos>>,
    run: Option<&'a Spanned<Nanos>>,
) -> Option<(&'a Spanned<Nanos>, &'a Spanned<Nanos>)> {
    of.zip(run)
        .filter(|(of, run)| run.get_ref() >= of.get_ref())
}

/// The complaint about a threshold of hints that are never given.
pub(super) fn nothing_to_count(hint: Option<&Spanned<bool>>, written: &Written) -> Option<Problem> {
    let hint = hint.filter(|hint| !hint.get_ref())?;
    let title = "`threshold` does not go with `hint = false`";
    let label = "remove this key: without hint there is nothing to count";
    let problem = Problem::at(written.place("threshold")?, title, label);
    Some(problem.context(hint.span(), "or remove this one"))
}

/// The complaint about bursts without pauses, or pauses without bursts.
pub(super) fn half_a_rhythm(written: &Written) -> Option<Problem> {
    let (there, at, missing, example, meaning) =
        match (written.place("burst"), written.place("pause")) {
            (Some(burst), None) => (
                "burst",
                burst,
                "pause",
                "pause = \"10ms\"",
                "the time for which each VP sleeps after a burst",
            ),
            (None, Some(pause)) => (
                "pause",
                pause,
                "burst",
                "burst = 10000",
                "the number of work units from one pause to the next",
            ),
            _ => return None,
        };
    let title = format!("`{there}` needs `{missing}`");
    let label = format!("add a line such as `{example}`, or remove this key");
    Some(Problem::at(at, title, label).help(format!("`{missing}` is {meaning}")))
}

/// The complaint about a walk whose first step leads out of the working set.
pub(super) fn long_stride(
    working_set: Option<&Spanned<Bytes>>,
    stride: Option<&Spanned<Bytes>>,
) -> Option<Problem> {
    let (set, stride) = working_set.zip(stride)?;
    let (whole, step) = (set.get_ref(), stride.get_ref());
    (step > whole).then(|| {
        let title = format!("stride {step} is larger than working_set {whole}");
        Problem::at(stride.span(), title, format!("use at most {whole}"))
            .context(set.span(), "the working set")
    })
}
