//! Top of the report: the verdict, where the numbers come from, what was run.

use super::{Chapter, failures, marked};
use crate::frames::Frames;
use crate::markdown::{Table, code, one_line, signed, trimmed};
use crate::metrics::ShareLine;
use apportion_recording::{ClaimRow, Manifest, RunEntry, Status, Verdict, counted};
use std::fmt::Write as _;
use std::slice;

/// Title, verdict, stamps, origin and, for several experiments, an overview.
pub(super) fn render(manifest: &Manifest, chapters: &[Chapter], frames: &Frames) -> String {
    let mut text = String::from("# Apportion report\n\n");
    let _ = writeln!(
        text,
        "**{}**\n",
        verdict(manifest, chapters, &frames.claims)
    );
    if let Some(judged @ (Verdict::Fail | Verdict::Inconclusive)) = manifest.verdict {
        let _ = writeln!(text, "{}", failures::list(chapters, &frames.claims, judged));
    }
    if manifest.engine != "kvm" {
        let _ = writeln!(
            text,
            "**These numbers are SIMULATED (engine {}), not measured: no guest ran.**\n",
            code(&manifest.engine)
        );
    }
    for note in [state(manifest), busy_host(chapters)]
        .into_iter()
        .flatten()
        .chain(frames.notes.iter().cloned())
    {
        let _ = writeln!(text, "{note}\n");
    }
    text.push_str(&origin(manifest));
    if chapters.len() > 1 {
        text.push('\n');
        text.push_str(&overview(chapters));
    }
    text
}

/// One line: what came out.
fn verdict(manifest: &Manifest, chapters: &[Chapter], claims: &[ClaimRow]) -> String {
    let Some(worst) = worst_of(chapters) else {
        return "– Nothing was measured.".to_owned();
    };
    let phase = worst
        .phase
        .map_or(String::new(), |phase| format!(", phase {}", phase + 1));
    let worst = format!(
        "worst error {} pp ({}{phase})",
        signed(worst.error_pp, 3),
        worst.guest
    );
    match manifest.verdict {
        Some(Verdict::Pass) if manifest.engine != "kvm" => {
            format!("✓ Pass, simulated: every guest would get its share; {worst}.")
        }
        Some(Verdict::Pass) => format!("✓ Pass: every guest got its share; {worst}."),
        Some(Verdict::Fail) => format!("✗ FAIL: {}; {worst}.", failed(chapters, claims)),
        Some(Verdict::Inconclusive) => {
            format!("? Inconclusive: the run was too short or too noisy to tell; {worst}.")
        }
        Some(Verdict::Skipped) => format!("– Skipped: no verdict is given; {worst}."),
        None if manifest.status == Status::Interrupted => {
            format!("– Interrupted, so there is no verdict; {worst} so far.")
        }
        None => format!("– No verdict: the recording did not end; {worst}."),
    }
}

/// How much failed, of each kind.
fn failed(chapters: &[Chapter], claims: &[ClaimRow]) -> String {
    let (mut crashes, mut checks, mut wakes, mut idle) = (0, 0, 0, 0);
    for chapter in chapters {
        for run in &chapter.runs {
            let found = chapter.findings(run, Verdict::Fail);
            crashes += found.crashes.len();
            checks += found.checks.len();
            wakes += found.wakes.len();
            idle += usize::from(found.idleness.is_some());
        }
    }
    let all = chapters.iter().flat_map(|chapter| chapter.metrics.checks());
    let all = counted(all.count() as u64, "check");
    let broken = claims
        .iter()
        .filter(|it| it.verdict == Verdict::Fail)
        .count();
    let kinds = [
        (
            crashes,
            format!("{} crashed", counted(crashes as u64, "guest")),
        ),
        (checks, format!("{checks} of {all} outside tolerance")),
        (
            wakes,
            format!("wakes of {} too late", counted(wakes as u64, "guest")),
        ),
        (
            idle,
            format!(
                "LPs idle beside waiting VPs in {}",
                counted(idle as u64, "run")
            ),
        ),
        (
            broken,
            format!(
                "{broken} of {} broken",
                counted(claims.len() as u64, "claim")
            ),
        ),
    ];
    let found = kinds.into_iter().filter(|(count, _)| *count > 0);
    found.map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

/// Of the guests' shares that count the one with the largest |error|.
fn worst_of<'a>(chapters: &'a [Chapter<'_>]) -> Option<&'a ShareLine> {
    let checks = chapters.iter().flat_map(|chapter| chapter.metrics.checks());
    checks
        .filter(|line| line.check == "share" && line.vp.is_none())
        .max_by(|a, b| a.error_pp.abs().total_cmp(&b.error_pp.abs()))
}

/// What a reader must know before the numbers, if anything.
fn state(manifest: &Manifest) -> Option<String> {
    let text = match manifest.status {
        Status::Complete => return None,
        Status::Running => {
            "**Still running, or its writer died:** this is what was written so far.".to_owned()
        }
        Status::Interrupted => {
            "**Interrupted:** stopped before its planned end; this is what was measured until then."
                .to_owned()
        }
        Status::Failed => {
            let why = manifest
                .error
                .as_deref()
                .unwrap_or("the reason was not recorded");
            format!("**The tool failed:** {}", one_line(why))
        }
    };
    Some(text)
}

/// How many runs were on too busy a host, if any.
fn busy_host(chapters: &[Chapter]) -> Option<String> {
    let (mut busy, mut all) = (0, 0);
    for chapter in chapters {
        let on_busy_host = |run: &&&RunEntry| chapter.busy_host(run).is_some();
        busy += chapter.runs.iter().filter(on_busy_host).count();
        all += chapter.runs.len();
    }
    (busy > 0).then(|| {
        format!(
            "**Busy host:** it disturbed {busy} of {} so much that bounds over short windows say little: \
             see the warnings below.",
            counted(all as u64, "run")
        )
    })
}

/// Where the numbers come from.
fn origin(manifest: &Manifest) -> String {
    let host = &manifest.host;
    let status = match manifest.status {
        Status::Running => "running",
        Status::Complete => "complete",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
    };
    let command: Vec<String> = manifest.command.iter().map(|word| quoted(word)).collect();
    let memory = trimmed(host.memory_mib as f64 / 1024.0, 1);
    let mut table = Table::new().words("recording").words("");
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("status", status.to_owned());
    row("engine", manifest.engine.clone());
    // No part of a simulated run depends on the host.
    if manifest.engine == "kvm" {
        row(
            "host",
            format!(
                "{}: {}, {}, {memory} GiB",
                host.hostname,
                host.cpu,
                counted(host.lps.into(), "CPU")
            ),
        );
        row(
            "system",
            format!(
                "kernel {}, KVM flavour {}, governor {}",
                host.kernel, host.kvm_flavour, host.governor
            ),
        );
    }
    row(
        "tool",
        format!(
            "{} {}, revision {}",
            manifest.tool.name, manifest.tool.version, manifest.tool.git_revision
        ),
    );
    row("begun", date(&manifest.created));
    row("seed", manifest.seed.to_string());
    row("command", code(&command.join(" ")));
    table.render()
}

/// One row per experiment.
fn overview(chapters: &[Chapter]) -> String {
    let mut table = Table::new()
        .words("experiment")
        .words("policy")
        .numbers("LPs")
        .numbers("guests")
        .numbers("repetitions")
        .numbers("worst error pp")
        .numbers("tolerance pp")
        .words("verdict");
    for chapter in chapters {
        let experiment = chapter.experiment;
        let worst = worst_of(slice::from_ref(chapter));
        table.row([
            experiment.name.clone(),
            experiment.policy.clone(),
            experiment.lps.to_string(),
            experiment.guests.len().to_string(),
            format!("{} of {}", chapter.runs.len(), experiment.repetitions),
            worst.map_or("–".to_owned(), |line| signed(line.error_pp, 3)),
            trimmed(experiment.tolerance_pp, 3),
            marked(&chapter.verdict()),
        ]);
    }
    table.render()
}

/// `2026-01-31T12:00:00.5Z` as `2026-01-31 12:00:00 UTC`; other texts as they are.
fn date(rfc3339: &str) -> String {
    match rfc3339
        .strip_suffix('Z')
        .and_then(|text| text.split_once('T'))
    {
        Some((day, time)) => {
            let seconds = time.split('.').next().unwrap_or(time);
            format!("{day} {seconds} UTC")
        }
        None => rfc3339.to_owned(),
    }
}

/// A word of a command line, in quotes where a shell would need them.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_words_are_readable() {
        assert_eq!(date("2026-01-31T12:00:00.5Z"), "2026-01-31 12:00:00 UTC");
        assert_eq!(date("2026-01-31T12:00:00Z"), "2026-01-31 12:00:00 UTC");
        assert_eq!(date("yesterday"), "yesterday");
        assert_eq!(quoted("--out=a/b"), "--out=a/b");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
