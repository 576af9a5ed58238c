//! From an experiment to what an engine runs.

use apportion_hypervisor::{Action, Change, GuestSpec, RunSpec, SimulatorSpec};
use apportion_scheduler::{Controls, ControlsError, GuestId, LpId};
use apportion_workloads as workloads;
use apportion_workloads::Experiment;
use apportion_workloads::replay::Prepared;
use std::sync::Arc;

/// What an engine runs. The experiment's LPs have been decided.
///
/// # Errors
/// Where a change contradicts itself, which reading the experiment has excluded.
pub(super) fn run_spec(
    experiment: &Experiment,
    replays: &[Prepared],
    lps: u32,
    decisions: bool,
) -> Result<RunSpec, ControlsError> {
    let mut guests: Vec<GuestSpec> = experiment
        .guests
        .iter()
        .map(|guest| GuestSpec {
            name: guest.name.clone(),
            vps: guest.vps,
            controls: guest.controls,
            affinity: guest
                .affinity
                .as_ref()
                .map(|lps| lps.iter().copied().map(LpId).collect()),
            payload: guest.payload,
            demand: None,
            memory: guest.memory,
            processor: guest.processor,
            ticks: guest.ticks,
        })
        .collect();
    for prepared in replays {
        let guests = &mut guests[prepared.replay.guests.clone()];
        for (guest, vm) in guests.iter_mut().zip(&prepared.replayed.vms) {
            guest.demand = Some(Arc::clone(&vm.work));
        }
    }
    Ok(RunSpec {
        lps,
        nodes: experiment.nodes,
        slice: experiment.slice,
        policy: experiment.policy,
        reserve_model: experiment.reserve_model,
        weight_scope: experiment.weight_scope,
        seed: experiment.seed,
        guests,
        changes: changes(experiment)?,
        warm_up: experiment.warm_up,
        duration: experiment.duration,
        decisions,
        simulator: SimulatorSpec {
            overhead: experiment.simulator.overhead,
            kick_latency: experiment.simulator.kick_latency,
        },
    })
}

/// One change per guest and per added VP; controls that a change leaves out are what they were.
fn changes(experiment: &Experiment) -> Result<Vec<Change>, ControlsError> {
    let mut controls: Vec<Controls> = experiment.guests.iter().map(|g| g.controls).collect();
    let mut changes = Vec::new();
    for change in &experiment.changes {
        let mut push = |action| {
            changes.push(Change {
                at: change.at,
                action,
            });
        };
        match &change.action {
            workloads::Action::Controls {
                guests,
                controls: new,
                ..
            } => {
                for &guest in guests {
                    controls[guest] = new.over(controls[guest])?;
                    push(Action::SetControls {
                        guest: GuestId(guest as u32),
                        controls: controls[guest],
                    });
                }
            }
            workloads::Action::AddVps { guests, vps } => {
                for &guest in guests {
                    for _ in 0..*vps {
                        push(Action::AddVp {
                            guest: GuestId(guest as u32),
                        });
                    }
                }
            }
            workloads::Action::StartGuests { guests } => {
                for &guest in guests {
                    let guest = GuestId(guest as u32);
                    push(Action::StartGuest { guest });
                }
            }
            workloads::Action::StopGuests { guests } => {
                for &guest in guests {
                    let guest = GuestId(guest as u32);
                    push(Action::StopGuest { guest });
                }
            }
            workloads::Action::PostInterrupts { guests, interrupts } => {
                for &guest in guests {
                    push(Action::PostInterrupts {
                        guest: GuestId(guest as u32),
                        count: *interrupts,
                    });
                }
            }
            workloads::Action::LpOff { lp, force } => push(Action::LpOff {
                lp: LpId(*lp),
                force: *force,
            }),
            workloads::Action::LpOn { lp } => push(Action::LpOn { lp: LpId(*lp) }),
        }
    }
    Ok(changes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::{Planned, Roster};
    use apportion_scheduler::{Nanos, PolicyKind, Weight};

    /// A run of 250 ms after 100 ms of warm-up on one LP, for tests: guests of one VP each by name and weight.
    pub(crate) fn burners(guests: &[(&str, i64)]) -> RunSpec {
        let guest = |&(name, weight): &(&str, i64)| {
            let controls = Controls::with_weight(Weight::new(weight).unwrap());
            GuestSpec::new(name, 1, controls, workloads::Payload::Burn)
        };
        RunSpec {
            lps: 1,
            nodes: 1,
            slice: Nanos::from_millis(1),
            policy: PolicyKind::Fair,
            reserve_model: Default::default(),
            weight_scope: Default::default(),
            seed: 1,
            guests: guests.iter().map(guest).collect(),
            changes: Vec::new(),
            warm_up: Nanos::from_millis(100),
            duration: Nanos::from_millis(250),
            decisions: false,
            simulator: SimulatorSpec {
                overhead: Nanos::ZERO,
                kick_latency: Nanos::ZERO,
            },
        }
    }

    /// What runs it, of an experiment that does not matter.
    pub(crate) fn planned_as(spec: RunSpec) -> Planned {
        let text = "schema = 1\nname = \"example\"\nwhy = \"a test\"\n[[guest]]\nname = \"other\"";
        Planned {
            experiment: Experiment::parse(text, "example.toml").unwrap(),
            roster: Roster::new(&spec),
            spec,
            replays: Vec::new(),
        }
    }

    #[test]
    fn a_change_keeps_the_controls_it_does_not_name_as_they_were_then() {
        let text = r#"
            schema = 1
            name = "x"
            why = "y"
            duration = "10s"
            [[guest]]
            name = "pair"
            count = 2
            weight = 50
            [[guest]]
            name = "other"
            [[change]]
            at = "1s"
            guest = "pair"
            weight = 200
            [[change]]
            at = "2s"
            guest = "pair-2"
            cap = 40
            [[change]]
            at = "3s"
            guest = "other"
            add_vps = 2
        "#;
        let experiment = Experiment::parse(text, "x.toml").unwrap();
        let spec = run_spec(&experiment, &[], 2, false).unwrap();
        let told: Vec<_> = spec
            .changes
            .iter()
            .map(|change| match change.action {
                Action::SetControls { guest, controls } => {
                    (guest.0, controls.weight.get(), controls.cap.percent())
                }
                Action::AddVp { guest } => (guest.0, 0, 0.0),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            told,
            [
                (0, 200, 100.0),
                (1, 200, 100.0),
                (1, 200, 40.0),
                (2, 0, 0.0),
                (2, 0, 0.0)
            ]
        );
    }
}
