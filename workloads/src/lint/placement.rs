//! Guests and the machine they are to run on.

use super::scene::{Scene, counted};
use crate::experiment::diagnostics::Problem;

/// Guests of which never all VPs run at once.
pub(super) fn more_vps_than_lps(scene: &Scene<'_>) -> Vec<Problem> {
    let largest = |guest: usize| {
        scene
            .phases
            .iter()
            .map(|phase| phase.guests[guest].vps)
            .max()
    };
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        let affinity = guest.affinity.as_ref();
        let usable = affinity.map_or(scene.lps, |lps| {
            lps.iter().filter(|lp| **lp < scene.lps).count() as u32
        });
        let vps = largest(index).unwrap_or(guest.vps);
        if vps > usable && usable > 0 {
            let title = format!(
                "guest `{}` has {vps} VPs and may use {}",
                guest.name,
                counted(usable, "LP")
            );
            let label = format!("use at most {usable}: they never all run at once");
            let help = "a VP that waits may hold a lock that the others spin for; such a guest cannot have a reserve";
            found.push(scene.at_guest(index, "vps", title, label).help(help));
        }
    }
    found
}

/// Guests that no node holds.
pub(super) fn wider_than_a_node(scene: &Scene<'_>) -> Vec<Problem> {
    let nodes = scene.experiment.nodes;
    // Where they cannot all be equal, of the larger ones.
    let node = scene.lps.div_ceil(nodes);
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        if nodes > 1 && guest.affinity.is_none() && guest.vps > node {
            let title = format!(
                "guest `{}` has {} VPs, and a NUMA node has {}",
                guest.name,
                guest.vps,
                counted(node, "LP")
            );
            let label = "it spans nodes: its VPs may run anywhere";
            let help = format!("with at most {node} VPs it stays on one node, close to its memory");
            found.push(scene.at_guest(index, "vps", title, label).help(help));
        }
    }
    found
}

/// What KVM's host has not.
pub(super) fn needs_simulator(scene: &Scene<'_>) -> Vec<Problem> {
    let nodes = scene.experiment.nodes;
    if nodes < 2 {
        return Vec::new();
    }
    let title = format!("{nodes} NUMA nodes are simulated only");
    let label = "run it with `--engine simulator`, or remove this key";
    vec![scene.at_top("nodes", title, label)]
}
