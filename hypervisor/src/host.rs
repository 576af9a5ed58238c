//! What the host is and what it took from us: CPUs, steal, KVM's flavour.

mod memory;

use apportion_scheduler::Nanos;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity, set_current_timer_slack,
};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

pub use memory::available_memory;
pub(crate) use memory::usable_memory;

/// The host CPUs that this process may run on, in order.
pub fn cpus() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .map(|cpu| cpu as u32)
        .collect()
}

/// Pins the calling thread to one CPU.
pub(crate) fn pin_to(cpu: u32) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu as usize);
    Ok(sched_setaffinity(None, &set)?)
}

/// Lets the calling thread's sleeps end on time: Linux may add 50 µs otherwise, to save power.
pub(crate) fn wake_precisely() -> std::io::Result<()> {
    Ok(set_current_timer_slack(NonZeroU64::new(1))?)
}

/// Time that the outer host has taken from these CPUs since boot (steal in
/// /proc/stat, in ticks of 10 ms); `None` where the kernel does not tell.
pub fn steal(cpus: &[u32]) -> Option<Nanos> {
    let times = cpu_times(cpus)?;
    Some(times.iter().fold(Nanos::ZERO, |sum, of| sum + of.steal))
}

/// The host CPU that the calling thread runs on.
pub(crate) fn current_cpu() -> u32 {
    sched_getcpu() as u32
}

/// How the time of a host CPU was spent since boot, in ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    /// Whatever ran.
    pub(crate) busy: Nanos,
    /// Nothing did.
    pub(crate) idle: Nanos,
    /// The outer host took it.
    pub(crate) steal: Nanos,
}

/// By CPU; `None` where the kernel does not tell of all of them.
pub(crate) fn cpu_times(cpus: &[u32]) -> Option<Vec<CpuTimes>> {
    parse_cpu_times(&fs::read_to_string("/proc/stat").ok()?, cpus)
}

fn parse_cpu_times(stat: &str, cpus: &[u32]) -> Option<Vec<CpuTimes>> {
    let of = |cpu: &u32| {
        let name = format!("cpu{cpu}");
        let line = stat
            .lines()
            .find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
        // user nice system idle iowait irq softirq steal; guest time is part of user's.
        let mut ticks = [0; 8];
        for (tick, field) in ticks.iter_mut().zip(line.split_ascii_whitespace().skip(1)) {
            *tick = field.parse().ok()?;
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks;
        let time = |ticks: u64| Nanos::from_millis(10 * ticks);
        Some(CpuTimes {
            busy: time(user + nice + system + irq + softirq),
            idle: time(idle + iowait),
            steal: time(steal),
        })
    };
    cpus.iter().map(of).collect()
}

/// Involuntary context switches of a thread of this process since it began.
pub(crate) fn involuntary_switches(thread: i32) -> u64 {
    let Ok(status) = fs::read_to_string(format!("/proc/self/task/{thread}/status")) else {
        return 0;
    };
    status
        .lines()
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

/// Raises the limit of open files as far as this process may; `None` where there is none.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Whether a VP may change its LP at no cost: before Linux 6.13 each change
/// waits for an RCU grace period, up to hundreds of milliseconds.
pub fn vps_move_freely() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 13)
}

/// Whether KVM decides what CPUID shows a guest. PVM runs guests as processes
/// of the host, which lets them read it as it is.
pub fn intercepts_cpuid() -> bool {
    kvm_flavour() != "pvm"
}

/// Which back end KVM has here: `vmx`, `svm`, `pvm` or `unknown`.
pub fn kvm_flavour() -> &'static str {
    [("kvm_pvm", "pvm"), ("kvm_intel", "vmx"), ("kvm_amd", "svm")]
        .into_iter()
        .find(|(module, _)| Path::new("/sys/module").join(module).exists())
        .map_or("unknown", |(_, flavour)| flavour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_cpus_are_read_by_their_names() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\n\
                    cpu1 10 1 2 300 4 5 6 7 8 9\n\
                    cpu10 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        let times = CpuTimes {
            busy: Nanos::from_millis(240),
            idle: Nanos::from_millis(3_040),
            steal: Nanos::from_millis(70),
        };
        assert_eq!(parse_cpu_times(stat, &[1]), Some(vec![times]));
        assert_eq!(parse_cpu_times(stat, &[0]), None);
        assert_eq!(parse_cpu_times("", &[]), Some(Vec::new()));
    }
}
