//! A differential test: random mixes, the real scheduler in virtual time, and a fluid model by other means.

mod checks;
mod demand;
mod driver;
mod fluid;
mod formula;
pub(crate) mod generate;
mod idle;
pub(crate) mod known;
mod log;
pub(crate) mod mix;
mod mutate;
mod random;
pub(crate) mod search;
pub(crate) mod table;
