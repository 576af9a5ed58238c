//! The guests of a run as the root sees them: built before anything runs, looked after while they do.

use super::endings::Endings;
use super::entry::{self, EntryTime};
use super::guest_log::GuestLog;
use super::intercepts::{Desk, Left};
use super::kick::{Caller, Kicker};
use super::resident::resident;
use super::shared::{Shared, VpInfo};
use super::time::{GuestTime, HostTime};
use super::vcpu::{self, StepError, Vcpu};
use crate::arrivals::Arrivals;
use crate::dispatch_log::LogEntry;
use crate::engine::{Burst, EngineError, Said, VpReport};
use crate::guest::{GuestMemory, Model, READABLE};
use crate::host;
use crate::run_spec::{GuestSpec, RunSpec};
use apportion_abi::clock::UNIT_NS;
use apportion_abi::shared::Value;
use apportion_abi::{Features, Payload, Processor, StartPage, layout};
use apportion_scheduler::{GuestId, Nanos, Piece, VpId};
use kvm_ioctls::{Kvm, VmFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering::SeqCst, fence};

/// How often the root looks after guests, unless one does many pieces of work.
pub(super) const ROUND_EVERY: Nanos = Nanos::from_millis(50);

/// How often where one does: with two exits each, a VP does no more in that time than it can be given.
const HURRIED_ROUND_EVERY: Nanos = Nanos::from_millis(5);

/// So many pieces of a VP from one round to the next are many: of those it was given and has not recorded there can
/// be four times as many.
const MANY: usize = READABLE as usize / 4;

/// What a VP that had nothing to do was given later than that after it arrived, it was given late.
const LATE: Nanos = Nanos::from_millis(1);

/// For how long a trial guest may run.
const PATIENCE: Nanos = Nanos::from_millis(1_000);

/// What guests are made with.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) kvm: &'a Kvm,
    /// By [`Processor`], in its order.
    pub(super) models: &'a [Model; Processor::ALL.len()],
    pub(super) time: &'a Arc<HostTime>,
    pub(super) ticks_per_ms: u64,
}

/// All guests of a run.
#[derive(Debug)]
pub(super) struct Guests {
    time: Arc<HostTime>,
    list: Vec<Guest>,
    /// By [`VpId`]: whether it is, or was, there; the others may still come.
    present: Vec<bool>,
    /// Of the reference pages.
    sequence: u32,
}

#[derive(Debug)]
struct Guest {
    memory: Arc<GuestMemory>,
    time: Arc<GuestTime>,
    log: Arc<GuestLog>,
    features: Features,
    /// Whether its VPs read the time by their page.
    tells_time: bool,
    spec: GuestSpec,
    vps: Vec<Vp>,
    /// Keeps the VM alive as long as its VPs.
    _vm: VmFd,
}

/// The root's side of a VP.
#[derive(Debug)]
struct Vp {
    id: VpId,
    /// Of its records.
    seen: u64,
    /// Of its records, overwritten before they were read.
    lost: u64,
    arrivals: Option<Arrivals>,
    /// The same once more, as far as it has recorded them.
    recorded: Option<Arrivals>,
    /// Into its demand ring.
    written: u64,
    /// Of those, how many [`Vp::recorded`] has passed.
    passed: u64,
    /// What that was before it was last filled.
    filled_from: u64,
    /// How many pieces it was given late, see [`LATE`].
    late: u64,
    /// What it reported as measuring began.
    before: Vec<(Value, u64)>,
}

/// Guests and their VPs, the latter by [`VpId`].
pub(super) type Built = (Guests, Vec<Vcpu>, Vec<VpInfo>);

/// What the root has found on its round.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) bursts: Vec<Burst>,
    pub(super) said: Vec<Said>,
    pub(super) happened: Vec<LogEntry>,
    /// When to look again, at the latest after so long.
    pub(super) again: Nanos,
}

impl Builder<'_> {
    /// All guests of a run; guests and VPs that come later exist from the start, and nobody runs them until then.
    pub(super) fn build(&self, spec: &RunSpec) -> Result<Built, EngineError> {
        let mut list = Vec::new();
        let mut vps: Vec<(VpId, Vcpu, VpInfo)> = Vec::new();
        for (index, guest) in spec.guests.iter().enumerate() {
            let id = GuestId(index as u32);
            let built =
                self.guest(id, guest, spec)
                    .map_err(|(step, source)| EngineError::Guest {
                        guest: guest.name.clone(),
                        step,
                        source,
                    })?;
            let (guest, vcpus) = built;
            for (vp, vcpu) in guest.vps.iter().zip(vcpus) {
                let info = VpInfo::of(&vcpu, id, guest.spec.payload);
                vps.push((vp.id, vcpu, info));
            }
            list.push(guest);
        }
        vps.sort_by_key(|(id, ..)| *id);
        let latecomers = spec.latecomers();
        let there = spec.guests.iter().enumerate().flat_map(|(id, guest)| {
            let here = !latecomers.contains(&GuestId(id as u32));
            std::iter::repeat_n(here, guest.vps as usize)
        });
        let mut present: Vec<bool> = there.collect();
        present.resize(vps.len(), false);
        let guests = Guests {
            time: self.time.clone(),
            list,
            present,
            sequence: 0,
        };
        let (vcpus, infos) = vps.into_iter().map(|(_, vcpu, info)| (vcpu, info)).unzip();
        Ok((guests, vcpus, infos))
    }

    fn model(&self, processor: Processor) -> &Model {
        &self.models[processor as usize]
    }

    /// Makes a guest of one VP and lets it run: it finds a start page that is
    /// not for it and faults at once. The time from `begun` until it has.
    pub(super) fn boot_and_time(&self, begun: Nanos) -> Result<Nanos, StepError> {
        let start = StartPage {
            version: 0,
            ..StartPage::new(Payload::Burn, 1, layout::LEAST_MEMORY)
        };
        let clock = self.time.clock();
        let (_vm, mut vcpu) = self.trial(&start)?;
        let (kicker, _) = trial_kicker()?;
        match vcpu.run(&kicker, clock.now() + PATIENCE).left {
            Left::Crashed(_) => Ok(clock.now().since(begun)),
            left => Err(("run it", format!("it did not fault: {left:?}").into())),
        }
    }

    /// Makes a guest of one VP that burns, and measures what it takes to enter and to leave it.
    pub(super) fn time_entry(&self) -> Result<EntryTime, StepError> {
        let start = StartPage::new(Payload::Burn, 1, layout::LEAST_MEMORY);
        let (_vm, mut vcpu) = self.trial(&start)?;
        let (kicker, _) = trial_kicker()?;
        entry::measure(&mut vcpu, &kicker, self.time.clock())
    }

    /// A guest of one VP that is no part of a run.
    fn trial(&self, start: &StartPage) -> Result<(VmFd, Vcpu), StepError> {
        let memory = memory(start)?;
        let vm = vcpu::build_vm(self.kvm, &memory)?;
        let time = Arc::new(GuestTime::begin(self.time.clone()));
        let log = Arc::new(GuestLog::new(GuestId(0)));
        let desk = Desk::new(0, memory, time, log, Arc::default());
        let (vcpu, _) = Vcpu::new(&vm, self.model(Processor::Host), 0, desk)?;
        Ok((vm, vcpu))
    }

    fn guest(
        &self,
        id: GuestId,
        spec: &GuestSpec,
        run: &RunSpec,
    ) -> Result<(Guest, Vec<Vcpu>), StepError> {
        let numbers = run.vps_of(id);
        let model = self.model(spec.processor);
        let start = StartPage {
            tsc_per_ms: self.ticks_per_ms,
            features: model.features.0,
            // Guests differ in what they draw.
            seed: run.seed.wrapping_add(u64::from(id.0) << 32).wrapping_add(1),
            ..StartPage::new(spec.payload, numbers.len() as u32, spec.memory)
        };
        let memory = memory(&start)?;
        let vm = vcpu::build_vm(self.kvm, &memory)?;
        let time = Arc::new(GuestTime::begin(self.time.clone()));
        let log = Arc::new(GuestLog::new(id));
        let endings: Arc<Endings> = Arc::default();
        let mut vcpus = Vec::new();
        let mut tells_time = true;
        for index in 0..numbers.len() as u32 {
            let (memory, time, log) = (memory.clone(), time.clone(), log.clone());
            let desk = Desk::new(index, memory, time, log, endings.clone());
            let (vcpu, reads_host) = Vcpu::new(&vm, model, spec.ticks, desk)?;
            tells_time &= reads_host;
            vcpus.push(vcpu);
        }
        let vp = |id| Vp {
            id,
            seen: 0,
            lost: 0,
            arrivals: None,
            recorded: None,
            written: 0,
            passed: 0,
            filled_from: 0,
            late: 0,
            before: Vec::new(),
        };
        let guest = Guest {
            memory,
            time,
            log,
            features: model.features,
            tells_time,
            spec: spec.clone(),
            vps: numbers.into_iter().map(vp).collect(),
            _vm: vm,
        };
        Ok((guest, vcpus))
    }
}

/// A timer for a guest that is no part of a run. What entering takes is not known yet.
fn trial_kicker() -> Result<(Kicker, Caller), StepError> {
    Kicker::new(EntryTime::default()).map_err(|error| ("create a timer", error.into()))
}

/// A guest's memory, the image in it.
fn memory(start: &StartPage) -> Result<Arc<GuestMemory>, StepError> {
    GuestMemory::new(apportion_guest_payloads::IMAGE, start)
        .map(Arc::new)
        .map_err(|error| ("prepare its memory", error.into()))
}

/// Whether the host has room for the memory of all guests, should they use all of it.
///
/// # Errors
/// [`EngineError::TooLittleMemory`].
pub(super) fn check_memory(spec: &RunSpec) -> Result<(), EngineError> {
    // What a guest never touches costs nothing, but nobody can promise that.
    let wanted = spec.guests.iter().map(|guest| guest.memory).sum();
    match host::usable_memory() {
        Some(available) if wanted > available => {
            Err(EngineError::TooLittleMemory { wanted, available })
        }
        _ => Ok(()),
    }
}

impl Guests {
    /// The guests start at `now`: their demand begins.
    pub(super) fn start(&mut self, now: Nanos, seed: u64) {
        for guest in &mut self.list {
            for (index, vp) in (0..).zip(&mut guest.vps) {
                if self.present[vp.id.index()] {
                    vp.start(&guest.spec, index, now, seed);
                }
            }
        }
    }

    /// A VP has come at `now`.
    pub(super) fn add(&mut self, id: VpId, now: Nanos, seed: u64) {
        self.present[id.index()] = true;
        for guest in &mut self.list {
            for (index, vp) in (0..).zip(&mut guest.vps).filter(|(_, vp)| vp.id == id) {
                vp.start(&guest.spec, index, now, seed);
            }
        }
    }

    /// A guest is gone: nothing arrives for it any more.
    pub(super) fn stop(&mut self, id: GuestId) {
        for vp in &mut self.list[id.index()].vps {
            vp.arrivals = None;
        }
    }

    /// What has to be there before anybody enters: the time.
    pub(super) fn prepare(&mut self) {
        self.show_time();
        // Nobody has followed the clock since the last run: what that made of it counts for none.
        self.time.take_error();
    }

    /// A round through all guests: shows the time, takes out what they left, and puts in demand.
    pub(super) fn round(&mut self, shared: &Shared) -> Found {
        self.show_time();
        let mut found = Found {
            again: ROUND_EVERY,
            ..Found::default()
        };
        let now = shared.clock.now();
        for guest in &mut self.list {
            for vp in 0..guest.vps.len() {
                if guest.spec.payload.records() {
                    guest.read_records(vp, &mut found.bursts);
                }
                if guest.fill_demand(vp, now) {
                    found.happened.extend(shared.wake(guest.vps[vp].id));
                }
                if guest.vps[vp].may_do_many(now) {
                    found.again = HURRIED_ROUND_EVERY;
                }
            }
            found.said.extend(guest.log.take());
        }
        found
    }

    /// Draws the line of time anew. Until it stands, nobody reads the old one: whatever
    /// a VP read by that lies before the moment that the new one is drawn from.
    fn show_time(&mut self) {
        // Never zero, which says that a page is not valid.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let tellers = || self.list.iter().filter(|guest| guest.tells_time);
        tellers().for_each(|guest| guest.time.hide(&guest.memory));
        // They see that before the clocks are read.
        fence(SeqCst);
        self.time.follow();
        tellers().for_each(|guest| guest.time.show(self.sequence, &guest.memory));
    }

    /// Measuring begins: keeps what the VPs report.
    pub(super) fn mark(&mut self) {
        for guest in &mut self.list {
            for (index, vp) in guest.vps.iter_mut().enumerate() {
                vp.before = guest.memory.values(index as u32);
            }
        }
    }

    /// What every VP that is there reports.
    pub(super) fn reports(&self) -> Vec<VpReport> {
        let mut reports = Vec::new();
        for guest in &self.list {
            for (index, vp) in guest.vps.iter().enumerate() {
                if self.present[vp.id.index()] {
                    reports.push(VpReport {
                        vp: vp.id,
                        features: guest.features,
                        before: vp.before.clone(),
                        after: guest.memory.values(index as u32),
                        records_lost: vp.lost,
                        pieces_late: vp.late,
                    });
                }
            }
        }
        reports.sort_by_key(|report| report.vp);
        reports
    }

    /// How far the guests' time was from the clock at the most, looked at on each round.
    pub(super) fn clock_error(&self) -> Option<Nanos> {
        self.time.take_error()
    }

    /// By guest, bytes of its memory that were touched; nothing where the system does not tell.
    pub(super) fn resident(&self) -> Vec<u64> {
        let each = self.list.iter().map(|guest| resident(&guest.memory));
        each.collect::<Option<_>>().unwrap_or_default()
    }

    /// Interrupts that each VP says it has handled, by [`VpId`].
    pub(super) fn interrupts_handled(&self) -> Vec<u64> {
        let mut handled = vec![0; self.present.len()];
        for guest in &self.list {
            for (index, vp) in guest.vps.iter().enumerate() {
                handled[vp.id.index()] = guest.memory.interrupts_handled(index as u32);
            }
        }
        handled
    }
}

impl Vp {
    fn start(&mut self, guest: &GuestSpec, index: u32, now: Nanos, seed: u64) {
        self.arrivals = Arrivals::new(guest, index, seed, u64::from(self.id.0), now);
        self.recorded = self.arrivals.clone();
    }

    /// The piece of work that it recorded next, having overwritten `lost` before that, if it was
    /// given any. It may claim any number; no more were done than were put in.
    fn recorded_piece(&mut self, lost: u64) -> Option<Piece> {
        let recorded = self.recorded.as_mut()?;
        let skip = lost.min(self.written.saturating_sub(self.passed));
        self.passed += skip;
        let piece = recorded
            .nth(skip as usize)
            .filter(|_| self.passed < self.written);
        self.passed += 1;
        piece
    }

    /// How many more pieces it can be given, so that it has room for its records of all.
    fn room(&self) -> u64 {
        READABLE.saturating_sub(self.written.saturating_sub(self.passed))
    }

    /// Whether it may do more pieces until the next round than a few.
    fn may_do_many(&self, now: Nanos) -> bool {
        let Some(next) = self.arrivals.as_ref().and(self.recorded.as_ref()) else {
            return false;
        };
        let mut work = Nanos::ZERO;
        let until = now + ROUND_EVERY;
        let until_then = next.clone().take(MANY).take_while(|piece| {
            work += piece.run;
            piece.at < until && work < ROUND_EVERY
        });
        until_then.count() == MANY
    }
}

impl Guest {
    /// Fills a VP's demand ring; whether the VP may be waiting for what was put in.
    fn fill_demand(&mut self, index: usize, now: Nanos) -> bool {
        let vp = &mut self.vps[index];
        let room = vp.room();
        let Some(arrivals) = &mut vp.arrivals else {
            return false;
        };
        let number = index as u32;
        let had_none = vp.passed == vp.written;
        let room = self.memory.demand_room(number, vp.written).min(room);
        let before = vp.written;
        for piece in arrivals.take(room as usize) {
            vp.late += u64::from(had_none && piece.at + LATE < now);
            // Upwards: no piece is due before it arrives.
            let at = self.time.to_guest(piece.at + Nanos(UNIT_NS - 1));
            self.memory.put_demand(number, vp.written, at, piece.run.0);
            vp.written = vp.written.wrapping_add(1);
        }
        if vp.written != before {
            vp.filled_from = before;
        }
        // Asked afterwards: it may have taken its last piece, and found no other, meanwhile. And asked
        // each time: it may have found none before, and go to sleep only after it was woken.
        let taken = self.memory.demand_taken(number);
        taken == vp.filled_from && taken != vp.written
    }

    fn read_records(&mut self, index: usize, bursts: &mut Vec<Burst>) {
        let vp = &mut self.vps[index];
        let (records, lost) = self.memory.records(index as u32, &mut vp.seen);
        vp.lost = vp.lost.saturating_add(lost);
        let mut skipped = lost;
        let own = match self.spec.payload {
            Payload::Probe { run, .. } => Nanos(run.0),
            _ => Nanos::ZERO,
        };
        for record in records {
            // When it was due the host knows better, where it was the host that said so.
            let piece = vp.recorded_piece(std::mem::take(&mut skipped));
            bursts.push(Burst {
                vp: vp.id,
                due: piece.map_or(self.time.to_engine(record.due), |piece| piece.at),
                start: self.time.to_engine(record.start),
                done: self.time.to_engine(record.done),
                run: piece.map_or(own, |piece| piece.run),
            });
        }
    }
}
