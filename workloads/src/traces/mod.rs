//! Traces of demand: what clusters, hosts and workloads recorded of who wanted how much CPU time, read from the
//! formats in which they are published.
//!
//! A [`Source`] says where a trace is and a [`Selection`] which part of it is wanted. [`load`] keeps that part in
//! memory, [`summarise`] sums it up and [`convert`] writes it in our own format, both in bounded memory. A
//! [`Synthesis`] makes one up. The formats, where each fact about them comes from, and what is read how, are in
//! `workloads/traces/README.md`.

mod covered;
mod error;
mod fields;
mod format;
mod formats;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod input;
mod intake;
mod load;
mod model;
mod own;
mod scan;
mod selection;
pub(crate) mod shipped;
mod sink;
mod source;
mod spacing;
mod summary;
mod synthesis;
mod table;

pub use error::{BadLine, TraceError};
pub use format::Format;
pub use intake::{Progress, Watch};
pub use load::{Loaded, load};
pub use model::{Burst, Interval, TracedControls, TracedDemand, TracedVm};
pub use own::{Converted, convert, write};
pub use scan::Scanned;
pub use selection::{Count, Selection};
pub use source::{Ahead, Source};
pub use summary::{MOST_VMS, Spread, Summary, summarise};
pub use synthesis::{DAY, MEAN_LPS, MEAN_USE, MEAN_VPS, Style, Synthesis, Synthesised};
