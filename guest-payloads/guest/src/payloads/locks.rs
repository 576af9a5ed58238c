//! The guest's VPs and their one lock.

use crate::vp::Vp;
use crate::work::{Speed, work};
use crate::{calls, time};
use apportion_abi::Ns;
use apportion_abi::hypercall::notifies;
use apportion_abi::shared::Value;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Thinks, takes a ticket, spins until it is called, works with the lock and
/// calls the next. Tickets are called in order: where the next VP does not run
/// all others wait for it, which is what long-spin notifications are for.
pub fn spin(vp: &Vp, critical: Ns, think: Ns, threshold: u64) -> ! {
    let speed = Speed::measure(vp);
    let (critical, think) = (speed.units(critical.0), speed.units(think.0));
    let notifies = notifies(threshold);
    let mut longest = 0;
    loop {
        work(vp, think);
        let wanted = time::ticks();
        let ticket = vp.shared.next_ticket.fetch_add(1, Relaxed);
        let mut spins = 0;
        while vp.shared.serving.load(Acquire) != ticket {
            spin_loop();
            spins += 1;
            if notifies && spins % threshold == 0 {
                vp.count(Value::Notifications, 1);
                calls::notify_long_spin_wait(vp, spins);
            }
        }
        longest = longest.max(time::ticks() - wanted);
        vp.report(Value::LongestWait, time::ticks_to_ns(vp, longest));
        vp.count(Value::Spins, spins);
        vp.count(Value::Acquisitions, 1);
        work(vp, critical);
        vp.shared.serving.store(ticket.wrapping_add(1), Release);
    }
}
