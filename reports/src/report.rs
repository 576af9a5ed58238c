//! The report's text, from the verdict on top to the glossary at the end.

mod changes;
mod claims;
mod experiment;
mod failures;
mod head;
mod results;
mod schedule;
mod sweep;
mod windows;

use crate::frames::Frames;
use crate::metrics::Metrics;
use apportion_recording::{ExperimentEntry, Manifest, RunEntry};
use polars::prelude::PolarsResult;

/// One experiment with all that is known of it.
struct Chapter<'a> {
    /// Whether no guest ran.
    simulated: bool,
    experiment: &'a ExperimentEntry,
    runs: Vec<&'a RunEntry>,
    metrics: Metrics,
}

/// The whole report.
pub(crate) fn render(manifest: &Manifest, frames: &Frames) -> PolarsResult<String> {
    let chapters = manifest
        .experiments
        .iter()
        .map(|experiment| {
            let runs: Vec<&RunEntry> = manifest
                .runs
                .iter()
                .filter(|run| run.experiment == experiment.name)
                .collect();
            let metrics = Metrics::of(frames, experiment, &runs)?;
            Ok(Chapter {
                simulated: manifest.engine != "kvm",
                experiment,
                runs,
                metrics,
            })
        })
        .collect::<PolarsResult<Vec<_>>>()?;

    let mut parts = vec![head::render(manifest, &chapters, frames)];
    parts.extend(claims::render(&frames.claims));
    parts.extend(sweep::render(&chapters));
    for chapter in &chapters {
        parts.push(experiment::render(chapter));
    }
    parts.push(GLOSSARY.to_owned());
    Ok(parts.join("\n"))
}

/// A verdict with its mark; what fails stands out.
fn marked(verdict: &str) -> String {
    match verdict {
        "pass" => "✓ pass".to_owned(),
        "fail" => "✗ FAIL".to_owned(),
        "inconclusive" => "? inconclusive".to_owned(),
        other => format!("– {other}"),
    }
}

const GLOSSARY: &str = "\
## How to read this

| term            | meaning |
|-----------------|---------|
| delivered time  | What guests received plus idle time on the experiment's LPs: wall time minus what the hypervisor, other processes and the outer host took. |
| capacity        | Delivered time as a percentage of wall time. What is missing was lost: to all guests alike by weight, and to reserves last. |
| share           | CPU time received, as a percentage of delivered time. The shares of all guests and idle time add up to 100 %. |
| work %          | A guest's part of all the work that the guests counted themselves. It tells whether the accounting agrees with what guests got done. |
| error           | Measured share minus expected share, in percentage points (pp). |
| slice, q        | The longest time for which a VP is dispatched without a new decision. |
| j               | Kick overshoot: from a slice's planned end until the VP has left its LP. Bounds use the 99th percentile of the run itself. |
| lag             | CPU time that a VP was owed by the ideal minus what it received. Positive is behind. A fair scheduler keeps it small however long it runs. |
| bound           | The largest error that slices and late kicks (j) explain: what a lag of b at either end of the window comes to. It shrinks as the window grows. |
| LP, VP          | Logical processor: a host CPU that guests are dispatched on. Virtual processor: a guest's CPU. |

    bound_pp = 100 · n · 2b / (W · M)        b = q + j on one LP, 2 (q + j) on several,
                                             and 4 q more where these are of several nodes

for a guest (or VP) with n VPs over a window W on M LPs. Medians and percentiles
interpolate linearly between the two nearest ranks.
";
