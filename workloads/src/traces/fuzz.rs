//! What must hold whatever a file of a trace has in it: [`trace`] panics where it does not.
//!
//! libFuzzer calls it with inputs of its own making (`cargo xtask fuzz trace`);
//! `cargo test` with those in fuzz/corpus/trace and some thousand that are damaged.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;

use apportion_scheduler::Nanos;

use super::error::TraceError;
use super::format::{Format, detect};
use super::formats::reader;
use super::input::Input;
use super::intake::{Intake, Rules};
use super::load::Collector;
use super::model::{Interval, TracedDemand, TracedVm};
use super::own::write;
use super::selection::Selection;
use super::source::Source;

/// Whoever watches wants no more after so many times: inputs are short, and workloads that they make up may be long.
const PATIENCE: u32 = 8;

/// Reads a trace. The input is its format, the selected time (from and span, in seconds) and the file; where another
/// says what the VMs are that comes first, and a zero behind it. Lines that are bad are left out where the format's
/// highest bit is set.
pub fn trace(input: &[u8]) {
    let [head, from, span, content @ ..] = input else {
        return;
    };
    let seconds = |it: &u8| Nanos(u64::from(*it) * 1_000_000_000);
    let format = Format::ALL[usize::from(head % 8)];
    let selection = Selection {
        from: seconds(from),
        span: Some(seconds(span)).filter(|it| *it > Nanos::ZERO),
        ..Selection::default()
    };
    let _ = detect(content);
    let Ok(vms) = read(format, content, &selection, head & 0x80 != 0) else {
        return;
    };
    vms.iter().for_each(assert_sound);

    // What was read can be written, and reads back as it was.
    let Ok(own) = write(&vms, Vec::new()) else {
        unreachable!("a vector takes everything");
    };
    let again = read(Format::Own, &own, &Selection::default(), false);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{}", own.escape_ascii()));
    let with_demand = vms
        .iter()
        .filter(|vm| vm.cpu_seconds() > 0.0 || !is_empty(vm));
    for (vm, again) in with_demand.zip(&again) {
        assert_eq!((&vm.id, vm.vps), (&again.id, again.vps));
        assert_same(vm, again);
    }
}

fn read(
    format: Format,
    content: &[u8],
    selection: &Selection,
    skip_bad: bool,
) -> Result<Vec<TracedVm>, TraceError> {
    let open = |bytes: &[u8]| {
        let source = Box::new(Cursor::new(bytes.to_vec()));
        Input::new(Path::new("input"), source, None).map_err(TraceError::Unwritable)
    };
    let (table, file) = match memchr::memchr(0, content) {
        Some(zero) => (&content[..zero], &content[zero + 1..]),
        None => (&[][..], content),
    };
    let mut patience = PATIENCE;
    let mut watch = |_| {
        patience = patience.saturating_sub(1);
        match patience {
            0 if format != Format::Own => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let mut vms = Collector::default();
    let rules = Rules {
        ordered: format.is_ordered(),
        skip_bad,
        most_vms: usize::MAX,
        most_stretches: usize::MAX,
    };
    let mut intake = Intake::new(selection, rules, &mut watch, &mut vms);
    let source = Source {
        machine_lps: Some(64.0),
        ..Source::default()
    };
    let mut reader = reader(format, &source, &[], |_| open(table), &mut intake)?;
    let mut input = open(file)?;
    input.head()?;
    reader.read(&mut input, &mut intake)?;
    let held = reader.finish(&mut intake);
    held.or_else(|bad| intake.bad_line(Path::new("input"), 0, bad))?;
    Ok(vms.in_order())
}

fn is_empty(vm: &TracedVm) -> bool {
    match &vm.demand {
        TracedDemand::Means(means) => means.is_empty(),
        TracedDemand::Bursts(bursts) => bursts.is_empty(),
    }
}

/// What every VM is that is handed on.
fn assert_sound(vm: &TracedVm) {
    assert!((1..=4096).contains(&vm.vps), "{vm:?}");
    let percent = [vm.controls.reserve_pct, vm.controls.cap_pct];
    assert!(
        percent
            .into_iter()
            .flatten()
            .all(|it| (0.0..=100.0).contains(&it)),
        "{vm:?}"
    );
    match &vm.demand {
        TracedDemand::Means(means) => {
            let sound = |it: &Interval| {
                it.length > Nanos::ZERO && (0.0..=f64::from(vm.vps)).contains(&it.lps)
            };
            assert!(means.iter().all(sound), "{vm:?}");
            assert!(
                means.windows(2).all(|pair| pair[0].end() <= pair[1].from),
                "{vm:?}"
            );
        }
        TracedDemand::Bursts(bursts) => {
            assert!(
                bursts
                    .iter()
                    .all(|it| it.vp < vm.vps && it.run > Nanos::ZERO),
                "{vm:?}"
            );
            assert!(bursts.is_sorted_by_key(|it| it.at), "{vm:?}");
        }
    }
}

/// But for what is rounded to millionths of an LP.
fn assert_same(vm: &TracedVm, again: &TracedVm) {
    match (&vm.demand, &again.demand) {
        (TracedDemand::Means(means), TracedDemand::Means(again)) => {
            assert_eq!(means.len(), again.len());
            for (one, other) in means.iter().zip(again) {
                assert_eq!((one.from, one.length), (other.from, other.length));
                assert!((one.lps - other.lps).abs() < 1e-6, "{one:?} {other:?}");
            }
        }
        (TracedDemand::Bursts(bursts), TracedDemand::Bursts(again)) => assert_eq!(bursts, again),
        _ => panic!("{vm:?} {again:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Random;
    use std::fs;
    use std::path::PathBuf;

    const SEED: u64 = 1;
    /// Damaged inputs.
    const RANDOM: u64 = 4_000;

    #[test]
    fn traces_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/trace");
        let files = fs::read_dir(folder).expect("each target has a corpus");
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        // What is printed shows where it fails: the last one did it.
        for (path, input) in paths.iter().zip(&corpus) {
            println!("{}", path.display());
            trace(input);
        }
        for stream in 0..RANDOM {
            let mut random = Random::stream(SEED, stream);
            let chosen = random.below(corpus.len() as u64) as usize;
            let mut input = corpus[chosen].clone();
            for _ in 0..=random.below(8) {
                let at = random.below(input.len() as u64 + 1) as usize;
                // What traces are made of, more than anything else.
                const USUAL: &[u8] = b"0123456789.,-+@ \n;\"{}[]:%eNainf";
                let byte = match random.below(4) {
                    0 => random.next() as u8,
                    _ => USUAL[random.below(USUAL.len() as u64) as usize],
                };
                match random.below(3) {
                    0 => input.insert(at, byte),
                    1 if at < input.len() => drop(input.remove(at)),
                    _ if at < input.len() => input[at] = byte,
                    _ => input.push(byte),
                }
            }
            println!("{}, changed by stream {stream}", paths[chosen].display());
            trace(&input);
        }
    }

    #[test]
    fn the_corpus_has_each_format_and_reads_as_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/trace");
        for (number, format) in Format::ALL.into_iter().enumerate() {
            let input = fs::read(folder.join(format.name())).unwrap();
            assert_eq!(usize::from(input[0]), number);
            let vms = read(format, &input[3..], &Selection::default(), false);
            let vms = vms.unwrap_or_else(|error| panic!("{format}: {error}"));
            assert!(!vms.is_empty(), "{format}");
        }
    }
}
