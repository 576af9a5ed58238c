//! What a file cannot know: whether it still fits once LPs or times were given from outside.

use apportion_scheduler::Nanos;
use thiserror::Error;

use super::{Action, Experiment};

/// An experiment does not fit the LPs or the duration that it is to run with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// A change would come after everything is measured.
    #[error(
        "the change at {at} would come too late: measuring ends after {duration}, use a longer duration"
    )]
    TooLate {
        /// When it is due, counted from when measuring begins.
        at: Nanos,
        /// How long is measured.
        duration: Nanos,
    },
    /// A change concerns an LP that is not there.
    #[error("the change at {at} concerns LP {lp}: {}", too_few(*.lp, *.lps))]
    ChangedLp {
        /// When it is due, counted from when measuring begins.
        at: Nanos,
        /// The LP it names.
        lp: u32,
        /// How many there are.
        lps: u32,
    },
    /// A guest's affinity names an LP that is not there.
    #[error("the affinity of guest {guest} names LP {lp}: {}", too_few(*.lp, *.lps))]
    Affinity {
        /// The guest's name.
        guest: String,
        /// The greatest LP it names.
        lp: u32,
        /// How many there are.
        lps: u32,
    },
    /// There are more nodes than LPs.
    #[error("{nodes} nodes are more than there are LPs: use at least {nodes} LPs, not {lps}")]
    Nodes {
        /// NUMA nodes that the LPs are to be divided into.
        nodes: u32,
        /// How many LPs there are.
        lps: u32,
    },
}

fn too_few(lp: u32, lps: u32) -> String {
    format!("use at least {} LPs, not {lps}", u64::from(lp) + 1)
}

impl Experiment {
    /// Whether every change comes before measuring ends and concerns LPs that exist.
    ///
    /// A file that was read fits; call this after `duration` or `lps` were
    /// overridden. Without a number of LPs only the times are checked.
    ///
    /// # Errors
    /// The first [`Misfit`] in order of time.
    pub fn check_changes(&self) -> Result<(), Misfit> {
        for change in &self.changes {
            let (at, duration) = (change.at, self.duration);
            if at >= duration {
                return Err(Misfit::TooLate { at, duration });
            }
            let (Action::LpOff { lp, .. } | Action::LpOn { lp }) = change.action else {
                continue;
            };
            if let Some(lps) = self.lps.filter(|lps| lp >= *lps) {
                return Err(Misfit::ChangedLp { at, lp, lps });
            }
        }
        Ok(())
    }

    /// Whether the LPs that nodes and affinities need exist.
    ///
    /// A file that was read fits; call this after `lps` was overridden.
    /// Without a number of LPs nothing is checked.
    ///
    /// # Errors
    /// The first [`Misfit`]: the nodes, then the guests in order.
    pub fn check_placement(&self) -> Result<(), Misfit> {
        let Some(lps) = self.lps else { return Ok(()) };
        if self.nodes > lps {
            let nodes = self.nodes;
            return Err(Misfit::Nodes { nodes, lps });
        }
        for guest in &self.guests {
            let greatest = guest.affinity.iter().flatten().max();
            if let Some(&lp) = greatest.filter(|lp| **lp >= lps) {
                let guest = guest.name.clone();
                return Err(Misfit::Affinity { guest, lp, lps });
            }
        }
        Ok(())
    }
}
