//! Made-up traces have the statistics that are documented.

use super::{source, try_load};
use apportion_scheduler::Nanos;
use apportion_workloads::traces::{
    DAY, MEAN_LPS, MEAN_USE, MEAN_VPS, Selection, Style, Synthesis, Synthesised, TracedDemand,
    TracedVm, convert, summarise,
};
use std::f64::consts::TAU;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

const VMS: u32 = 4000;

fn synthesis(vms: u32) -> Synthesis {
    Synthesis {
        vms,
        interval: Nanos(300_000_000_000),
        span: DAY,
        seed: 3,
    }
}

fn loaded(files: &Path) -> Vec<TracedVm> {
    let loaded = try_load(&source(&[files.to_owned()]), &Selection::default());
    loaded.unwrap_or_else(|error| panic!("{error}")).vms
}

fn own(synthesis: &Synthesis) -> Vec<TracedVm> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made-up.csv");
    let (text, ended) = synthesis
        .own(Vec::new(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(ended, Synthesised::Whole);
    fs::write(&path, text).unwrap();
    loaded(&path)
}

fn azure(synthesis: &Synthesis, style: Style) -> Vec<TracedVm> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: Vec<u8>| fs::write(folder.path().join(name), text).unwrap();
    write("vmtable.csv", synthesis.vmtable(style, Vec::new()).unwrap());
    let go_on = &mut |_| ControlFlow::Continue(());
    let (readings, _) = synthesis.vm_cpu_readings(style, Vec::new(), go_on).unwrap();
    write("vm_cpu_readings-file-1-of-1.csv", readings);
    loaded(folder.path())
}

fn lps(vm: &TracedVm) -> impl Iterator<Item = f64> {
    let TracedDemand::Means(means) = &vm.demand else {
        panic!("{vm:?}");
    };
    means.iter().map(|it| it.lps)
}

/// No further from what is expected than four times the standard deviation of a mean over all VMs.
fn assert_near(what: &str, found: f64, expected: f64, deviation_of_one: f64) {
    let allowed = 4.0 * deviation_of_one / f64::from(VMS).sqrt();
    assert!(
        (found - expected).abs() < allowed,
        "{what}: {found}, expected {expected} +- {allowed}"
    );
}

#[test]
fn sizes_use_and_the_day_are_as_documented() {
    let vms = own(&synthesis(VMS));
    assert_eq!(vms.len(), VMS as usize);
    let over_vms = |of: &dyn Fn(&TracedVm) -> f64| vms.iter().map(of).sum::<f64>() / f64::from(VMS);

    // E x² of the sizes is 24.7: their variance is 24.7 − 3.5².
    let sizes = over_vms(&|vm| f64::from(vm.vps));
    assert_near("VPs", sizes, MEAN_VPS, 12.45_f64.sqrt());
    for (vps, part) in [(1, 0.3), (2, 0.3), (4, 0.25), (8, 0.1), (16, 0.05)] {
        let of_size = over_vms(&|vm| f64::from(u8::from(vm.vps == vps)));
        assert_near("VMs of a size", of_size, part, (part * (1.0 - part)).sqrt());
    }

    // Beta(1, 4): variance 2/75; a twentieth is above 1 − 0.05^¼. What noise and bursts leave of a day's mean is
    // 0.013 of the way to 0 at the most, and so no matter.
    let used = |vm: &TracedVm| lps(vm).sum::<f64>() / 288.0 / f64::from(vm.vps);
    assert_near(
        "mean use",
        over_vms(&used),
        MEAN_USE,
        (2.0_f64 / 75.0).sqrt(),
    );
    let above = over_vms(&|vm| f64::from(u8::from(used(vm) > 1.0 - 0.05_f64.powf(0.25))));
    assert_near("VMs of great use", above, 0.05, (0.05_f64 * 0.95).sqrt());
    // E v²u² − (E vu)², with E u² = 1/15.
    let demand = over_vms(&|vm| lps(vm).sum::<f64>() / 288.0);
    assert_near(
        "mean demand",
        demand,
        MEAN_LPS,
        (24.7_f64 / 15.0 - MEAN_LPS * MEAN_LPS).sqrt(),
    );

    // The sine of a day that peaks at 14:00 fits all VMs together with 0.4 of E v · E min(u, 1 − u) = 3.5 · 0.1875,
    // less what peaks two hours to each side lose: sin(π/6)/(π/6). Of one VM it deviates by no more than
    // 0.4·√(E v² · E u²), for min(u, 1 − u) ≤ u.
    let wave = |at: usize| (TAU * (at as f64 / 288.0 - 14.0 / 24.0 + 0.25)).sin();
    let fit = |vm: &TracedVm| {
        lps(vm)
            .enumerate()
            .map(|(at, lps)| lps * wave(at))
            .sum::<f64>()
            / 144.0
    };
    let expected = 0.4 * 3.5 * 0.1875 * (0.5 / (TAU / 12.0));
    assert_near(
        "the day",
        over_vms(&fit),
        expected,
        0.4 * (24.7_f64 / 15.0).sqrt(),
    );
}

#[test]
fn a_vm_is_the_same_however_many_there_are_and_however_it_is_written() {
    let few = own(&synthesis(20));
    assert_eq!(own(&synthesis(10)), few[..10]);
    assert_ne!(
        own(&Synthesis {
            seed: 4,
            ..synthesis(20)
        }),
        few
    );

    let v1 = azure(&synthesis(20), Style::AzureV1);
    for (own, azure) in few.iter().zip(&v1) {
        assert_eq!((own.vps, azure.id.len()), (azure.vps, 64));
        // Percentages to millionths of a percent, and LPs to millionths.
        assert!(
            lps(own)
                .zip(lps(azure))
                .all(|(own, azure)| (own - azure).abs() < 1.1e-6)
        );
    }
    let v2 = azure(&synthesis(200), Style::AzureV2);
    assert!(v2.iter().all(|vm| [2, 4, 8, 24].contains(&vm.vps)));
}

#[test]
fn a_summary_of_it_says_what_loading_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made-up.csv");
    let (text, _) = synthesis(50)
        .own(Vec::new(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    fs::write(&path, text).unwrap();
    let go_on = &mut |_| ControlFlow::Continue(());
    let trace = source(std::slice::from_ref(&path));
    let summary = summarise(&trace, &Selection::default(), go_on).unwrap();
    let vms = loaded(&path);

    // A row per VM, of 288 readings.
    assert_eq!((summary.vms, summary.scanned.rows), (50, 50));
    assert_eq!((summary.from, summary.to), (Nanos::ZERO, DAY));
    let cpu: f64 = vms.iter().map(TracedVm::cpu_seconds).sum();
    assert!((summary.cpu_seconds / cpu - 1.0).abs() < 1e-9);
    let total = |at: usize| vms.iter().filter_map(|vm| lps(vm).nth(at)).sum::<f64>();
    let most = (0..288).map(total).fold(0.0, f64::max);
    assert!((summary.demand.max / most - 1.0).abs() < 1e-9);
    assert!((summary.demand.mean / (cpu / 86_400.0) - 1.0).abs() < 1e-9);
    let highest = vms
        .iter()
        .map(|vm| vm.cpu_seconds() / 86_400.0)
        .fold(0.0, f64::max);
    assert!((summary.vm_means.max / highest - 1.0).abs() < 1e-9);
    let p95 = |vm: &TracedVm| {
        let mut sorted: Vec<f64> = lps(vm).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[273]
    };
    // No VM has more than 16 VPs, whose p95 is told to 1/128.
    let highest = vms.iter().map(p95).fold(0.0, f64::max);
    assert!((summary.vm_p95s.unwrap().max - highest).abs() <= 16.0 / 128.0);
    assert_eq!(summary.vps.values().sum::<u64>(), 50);

    // Converted from our own format to our own it is what it was.
    let (text, converted) = convert(&trace, &Selection::default(), go_on, Vec::new()).unwrap();
    assert_eq!(converted.vms, 50);
    assert_eq!(text, fs::read(&path).unwrap());
}
