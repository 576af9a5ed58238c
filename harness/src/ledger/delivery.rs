//! Which part of their time LPs delivered in a piece of time, and which was lost.

use super::window::{LpSums, Window};

/// Busy time, as a part of a piece, that an LP is taken to have had at the mean besides its own: hardly busy, it tells
/// little of what it loses.
const PRIOR: f64 = 0.01;

/// A lesser part of wall time that seems lost is rounding.
const ROUNDING: f64 = 1e-9;

/// The part of its wall time, 0 to 1, that an LP delivers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delivery {
    /// Of all LPs.
    pub(super) mean: f64,
    /// By LP, where guests are bound to some of them and there are losses.
    pub(super) lps: Option<Vec<f64>>,
}

impl Delivery {
    /// Nothing is lost.
    pub(super) const WHOLE: Delivery = Delivery {
        mean: 1.0,
        lps: None,
    };

    /// From the sums of a piece, the time that each LP was on line in it, and the CPU time `promised` where nothing is
    /// lost, all in ns.
    ///
    /// LPs lose time while they are busy: what is lost is a part of the time that they were busy, or should have been.
    pub(super) fn new(piece: &Window, online: &[f64], promised: f64) -> Delivery {
        let (wall, delivered) = (online.iter().sum::<f64>(), piece.delivered());
        let at_work = (wall - piece.idle).max(promised);
        let mean = match wall - delivered {
            lost if lost > ROUNDING * wall && at_work > 0.0 => (1.0 - lost / at_work).max(0.0),
            _ => return Delivery::WHOLE,
        };
        let own = || {
            let lps = piece.lps.iter().zip(online);
            let part = |(lp, online): (&LpSums, &f64)| {
                let prior = PRIOR * online;
                let busy = online - lp.idle + prior;
                match busy > 0.0 {
                    true => ((lp.received + mean * prior) / busy).clamp(0.0, 1.0),
                    false => mean,
                }
            };
            lps.map(part).collect()
        };
        Delivery {
            mean,
            lps: (!piece.lps.is_empty()).then(own),
        }
    }

    /// Whether LPs were busy for all of a piece, so that what was promised makes no difference.
    pub(super) fn is_known(piece: &Window, online: &[f64]) -> bool {
        let wall: f64 = online.iter().sum();
        piece.idle <= 0.0 || wall - piece.delivered() <= ROUNDING * wall
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::VpSums;
    use super::*;
    use apportion_scheduler::Nanos;

    fn piece(received: f64, idle: f64, lps: &[(f64, f64)]) -> Window {
        let lps = lps
            .iter()
            .map(|&(received, idle)| LpSums { received, idle });
        Window {
            vps: vec![VpSums {
                received,
                ..VpSums::default()
            }],
            idle,
            lps: lps.collect(),
            ..Window::empty(Nanos(0), Nanos(100), 0, 0)
        }
    }

    #[test]
    fn a_loss_is_a_part_of_the_time_in_which_lps_were_busy() {
        let mean = |received, idle, promised| {
            Delivery::new(&piece(received, idle, &[]), &[50.0, 50.0], promised).mean
        };
        // Busy all the time: it is delivered ÷ wall.
        assert_eq!(mean(90.0, 0.0, 100.0), 0.9);
        // Half of the time, of which 5 are lost.
        assert_eq!(mean(45.0, 50.0, 50.0), 0.9);
        // It slept all the time, and is promised 40 of it.
        assert_eq!(mean(0.0, 99.0, 40.0), 0.975);
        assert_eq!(mean(0.0, 99.0, 0.0), 0.0);
        assert_eq!(mean(50.0, 50.0, 50.0), 1.0);
        assert_eq!(mean(60.0, 50.0, 50.0), 1.0);
        assert_eq!(mean(0.0, 0.0, 0.0), 0.0);
    }

    #[test]
    fn an_lp_that_was_busy_tells_what_it_delivers() {
        let lps = [(80.0, 0.0), (100.0, 0.0), (0.0, 99.9)];
        let told = Delivery::new(&piece(180.0, 99.9, &lps), &[100.0; 3], 200.0);
        let mean = 1.0 - 20.1 / 200.1;
        let lps = told.lps.unwrap();
        let expected = [
            (80.0 + mean) / 101.0,
            (100.0 + mean) / 101.0,
            mean / (0.1 + 1.0),
        ];
        assert!((told.mean - mean).abs() < 1e-12);
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(lps.iter().zip(&expected).all(close), "{lps:?}");
    }
}
