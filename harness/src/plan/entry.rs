//! A planned experiment as the manifest tells it.

use super::Planned;
use apportion_hypervisor::{Action, Change};
use apportion_recording::{
    ActionEntry, ChangeEntry, ExperimentEntry, GuestEntry, ReplayEntry, SettingEntry,
    SimulatorEntry, TracedEntry,
};
use apportion_scheduler::GuestId;
use apportion_workloads::replay::{Prepared, ReplayedVm};
use apportion_workloads::{Guest, Payload, Setting, find};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl Planned {
    /// As the manifest tells it.
    pub(crate) fn entry(&self) -> ExperimentEntry {
        let Planned {
            experiment, spec, ..
        } = self;
        ExperimentEntry {
            name: experiment.name.clone(),
            family: experiment.family.clone(),
            settings: settings(&experiment.settings),
            point: settings(&experiment.point),
            why: experiment.why.clone(),
            source: match find(&experiment.family) {
                Ok(shipped) if shipped.source == experiment.source => "shipped".to_owned(),
                _ => experiment.source.to_string(),
            },
            text: experiment.text.to_string(),
            text_sha256: sha256(&experiment.text),
            policy: spec.policy.to_string(),
            reserve_model: spec.reserve_model.name().to_owned(),
            weight_scope: spec.weight_scope.name().to_owned(),
            seed: spec.seed,
            lps: spec.lps,
            nodes: spec.nodes,
            slice_ns: spec.slice.0,
            warm_up_ns: spec.warm_up.0,
            duration_ns: spec.duration.0,
            repetitions: experiment.repetitions,
            tolerance_pp: experiment.tolerance_pp,
            simulator: SimulatorEntry {
                overhead_ns: spec.simulator.overhead.0,
                kick_latency_ns: spec.simulator.kick_latency.0,
            },
            guests: (0..)
                .zip(&experiment.guests)
                .map(|(index, it)| guest(it, self.traced(GuestId(index))))
                .collect(),
            replays: self
                .replays
                .iter()
                .map(|it| replay(it, spec.seed))
                .collect(),
            changes: spec.changes.iter().map(|it| self.change(it)).collect(),
        }
    }

    fn change(&self, change: &Change) -> ChangeEntry {
        let name = |guest: GuestId| self.spec.guests[guest.index()].name.clone();
        ChangeEntry {
            at_ns: change.at.0,
            action: match change.action {
                Action::SetControls { guest, controls } => ActionEntry::Controls {
                    guest: name(guest),
                    weight: controls.weight.get(),
                    reserve_pct: controls.reserve.percent(),
                    cap_pct: controls.cap.percent(),
                },
                Action::StartGuest { guest } => ActionEntry::GuestStart { guest: name(guest) },
                Action::StopGuest { guest } => ActionEntry::GuestStop { guest: name(guest) },
                Action::AddVp { guest } => ActionEntry::AddVp { guest: name(guest) },
                Action::PostInterrupts { guest, count } => ActionEntry::Interrupts {
                    guest: name(guest),
                    count,
                },
                Action::LpOff { lp, force } => ActionEntry::LpOff { lp: lp.0, force },
                Action::LpOn { lp } => ActionEntry::LpOn { lp: lp.0 },
            },
        }
    }
}

fn settings(settings: &[Setting]) -> Vec<SettingEntry> {
    let entry = |setting: &Setting| SettingEntry {
        key: setting.key(),
        value: setting.value().to_owned(),
    };
    settings.iter().map(entry).collect()
}

fn replay(prepared: &Prepared, seed: u64) -> ReplayEntry {
    let Prepared {
        replay,
        trace,
        sha256,
        format,
        replayed,
    } = prepared;
    ReplayEntry {
        group: replay.group.clone(),
        trace: trace.clone(),
        sha256: sha256.clone(),
        format: format.to_string(),
        from_ns: replay.from.0,
        speed: replay.speed,
        burst_length_ns: replay.burst_length.0,
        random: replay.random,
        seed,
        overcommit: replay.overcommit.as_ref().map(|it| *it.get_ref()),
        factor: replayed.factor,
    }
}

fn guest(guest: &Guest, traced: Option<&ReplayedVm>) -> GuestEntry {
    GuestEntry {
        name: guest.name.clone(),
        group: guest.group.clone(),
        vps: guest.vps,
        weight: guest.controls.weight.get(),
        reserve_pct: guest.controls.reserve.percent(),
        cap_pct: guest.controls.cap.percent(),
        expected_pct: guest.expected,
        affinity: guest.affinity.clone(),
        payload: payload(guest.payload),
        parameters: parameters(guest.payload),
        memory_bytes: guest.memory,
        processor: guest.processor.to_string(),
        ticks: guest.ticks,
        replays: traced.map(|vm| TracedEntry {
            vm: vm.id.clone(),
            demand_ns: vm.demand.0,
            cut_ns: vm.cut.0,
        }),
    }
}

/// Its name; of a hostile guest with what it does, which is no number.
fn payload(payload: Payload) -> String {
    match payload {
        Payload::Hostile { attack } => format!("{payload}:{}", attack.name()),
        _ => payload.to_string(),
    }
}

fn parameters(payload: Payload) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    if matches!(payload, Payload::Hostile { .. }) {
        return named;
    }
    payload.for_each_parameter(|name, unit, value| {
        named.insert(format!("{name}{unit}"), value);
    });
    named
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
