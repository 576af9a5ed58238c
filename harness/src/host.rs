//! The fingerprint of the machine, for the manifest.

use apportion_hypervisor::host;
use apportion_recording::HostEntry;
use std::fs;

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// The value behind the first `key :` of a /proc file.
fn field(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// What this machine is. What it does not tell is `unknown`.
pub(crate) fn fingerprint() -> HostEntry {
    let unknown = || "unknown".to_owned();
    let memory_kib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok());
    HostEntry {
        hostname: first_line("/proc/sys/kernel/hostname").unwrap_or_else(unknown),
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        kernel: first_line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
        kvm_flavour: host::kvm_flavour().to_owned(),
        lps: host::cpus().len() as u32,
        governor: first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .unwrap_or_else(|| "none".to_owned()),
        memory_mib: memory_kib.unwrap_or_default() / 1024,
    }
}
