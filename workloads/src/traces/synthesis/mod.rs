//! Made-up traces whose statistics are known: where no recorded one may be used, and to measure readers with.

mod model;
mod write;

use apportion_scheduler::Nanos;

pub use model::{MEAN_LPS, MEAN_USE, MEAN_VPS};
pub use write::Synthesised;

/// A day, after which demand repeats but for chance.
pub const DAY: Nanos = Nanos(86_400_000_000_000);

/// What to make up. The same seed gives every VM the same demand, however many there are and however they are written.
///
/// Each VM has 1, 2, 4, 8 or 16 VPs, with probabilities of 30, 30, 25, 10 and 5 % (Azure V2 knows buckets: 2, 4, 8 or
/// 24, with 60, 25, 10 and 5 %). Its mean use u, a part of its VPs, has a Beta(1, 4) distribution: mean 20 %, standard
/// deviation 16.3 %, 95th percentile 52.7 %. Over time its use is
///
/// `u + min(u, 1 − u) · (0.4·day + 0.3·noise + 0.3·(busy − 0.05))`
///
/// * day: a sine over 24 h, whose peak is at a time between 12:00 and 16:00, evenly distributed over the VMs;
/// * noise: AR(1) with coefficient 0.8 and even innovations, so that it is from −1 to 1, with variance 1/27;
/// * busy: 1 during bursts, else 0; a burst begins with a probability of 1/57 in an interval without one and ends with
///   1/3 after each of its own, so that 5 % of all intervals have one and bursts are 3 intervals long on average.
///
/// All three have mean zero (over whole days), and none of it is cut off: mean use is u itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthesis {
    /// How many VMs.
    pub vms: u32,
    /// How long each interval is.
    pub interval: Nanos,
    /// How long the trace is: what remains behind the last whole interval is left out.
    pub span: Nanos,
    /// Where everything random begins.
    pub seed: u64,
}

impl Synthesis {
    /// How many intervals there are.
    pub fn intervals(&self) -> u64 {
        self.span.0 / self.interval.0.max(1)
    }

    /// Readings in all.
    pub fn readings(&self) -> u64 {
        self.intervals().saturating_mul(u64::from(self.vms))
    }
}

/// How a made-up trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In our own format.
    Own,
    /// As Azure Public Dataset V1: numbers of cores as they are.
    AzureV1,
    /// As V2: numbers of cores in buckets.
    AzureV2,
}

impl Style {
    /// All of them.
    pub const ALL: [Style; 3] = [Style::Own, Style::AzureV1, Style::AzureV2];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Style::Own => "own",
            Style::AzureV1 => "azure-v1",
            Style::AzureV2 => "azure-v2",
        }
    }
}
