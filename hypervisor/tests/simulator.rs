//! The engine in virtual time.

#[path = "simulator/log.rs"]
mod log;
#[path = "simulator/replay.rs"]
mod replay;
#[path = "simulator/rig.rs"]
mod rig;
#[path = "simulator/shares.rs"]
mod shares;
