//! What the checks read, summed while the run goes on.

use super::Driver;
use apportion_scheduler::VpId;

impl Driver<'_> {
    /// Sums the VP's reserve up to now.
    pub(super) fn accrue(&mut self, index: usize) {
        let guest = self.log.vps[index].guest;
        let reserve = self.terms[guest].reserve / 100.0;
        let now = self.now as f64;
        let vp = &mut self.vps[index];
        if vp.present {
            vp.reserved += reserve * (now - vp.seen.max(vp.piece.due)).max(0.0);
        }
        vp.seen = now;
    }

    pub(super) fn open_cap_account(&mut self, index: usize) {
        self.charge_cap(index, 0);
        let vp = &mut self.vps[index];
        vp.least_account = vp.least_account.min(vp.cap_account);
    }

    pub(super) fn charge_cap(&mut self, index: usize, ran: u64) {
        let cap = self.terms[self.log.vps[index].guest].cap / 100.0;
        let vp = &mut self.vps[index];
        vp.cap_account += ran as f64 - cap * (self.now - vp.account_at) as f64;
        vp.account_at = self.now;
        let over = vp.cap_account - vp.least_account;
        self.log.vps[index].over_cap = self.log.vps[index].over_cap.max(over);
    }

    pub(super) fn note_lag(&mut self, vp: usize) {
        if let Some(lag) = self.scheduler.lag(self.time(), VpId(vp as u32)) {
            let lag = lag as f64;
            self.log.lag = (self.log.lag.0.min(lag), self.log.lag.1.max(lag));
        }
    }

    pub(super) fn sample(&mut self) {
        let mut received: Vec<f64> = self.vps.iter().map(|vp| vp.received as f64).collect();
        for lp in &self.lps {
            if let Some(dispatch) = lp.dispatch {
                let lost = dispatch.lost as f64 - lp.stalled_until.saturating_sub(self.now) as f64;
                let ran = self.now as f64 - dispatch.since as f64 - lost.max(0.0);
                received[dispatch.vp] += ran.max(0.0);
            }
        }
        for (vp, received) in received.into_iter().enumerate() {
            self.accrue(vp);
            self.note_lag(vp);
            self.log.vps[vp].service.push(received);
            let reserved = self.vps[vp].reserved;
            self.log.vps[vp].reserved.push(reserved);
        }
        self.log.waking.push(self.idle.waking);
    }

    pub(super) fn watch(&mut self, until: u64) {
        if until == self.now {
            return;
        }
        let stalled = self.lps.iter().any(|lp| lp.stalled_until > self.now);
        // The idle LP is called, and each of two moves takes a call to leave and one to arrive.
        let allowed = 5.0 * (self.mix.latency + self.mix.overhead) as f64;
        let span = (self.now as f64, until as f64);
        self.log.idle += self.idle.between(span, allowed, stalled, &self.scheduler);
    }
}
