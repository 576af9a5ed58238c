//! Model check of sleeping and waking: the engine's own `idle.rs` on loom's locks, the real scheduler below them.
//!
//! Two LPs, two VPs of which one sleeps and is woken at any moment by a third
//! thread. A wake-up that gets lost leaves both LPs asleep for ever, which loom
//! reports as a deadlock: its clock never runs out a nap.

mod sync {
    pub(super) use loom::sync::{Condvar, MutexGuard};
}
#[path = "../src/kvm/idle.rs"]
mod idle;

use apportion_scheduler::{
    After, Config, Controls, Decision, LpId, Nanos, NewGuest, PolicyKind, Scheduler, VpId,
};
use idle::{Asleep, Beds};
use loom::sync::atomic::{AtomicBool, Ordering::SeqCst};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::time::Duration;

const SLEEPER: VpId = VpId(1);

struct Core {
    scheduler: Scheduler,
    asleep: Asleep,
    now: Nanos,
}

impl Core {
    fn tick(&mut self) -> Nanos {
        self.now += Nanos(1_000);
        self.now
    }
}

struct Shared {
    core: Mutex<Core>,
    beds: Beds,
    /// By VP: an LP runs it.
    on_an_lp: Vec<AtomicBool>,
    /// The sleeper has run again.
    done: AtomicBool,
    /// Whether calls are answered; a broken engine forgets them.
    answers: bool,
}

impl Shared {
    fn new(answers: bool) -> Arc<Shared> {
        let config = Config::new(2, Nanos::from_millis(1), PolicyKind::Fair);
        let mut scheduler = Scheduler::new(config);
        let new = NewGuest {
            name: "pair".to_owned(),
            vps: 2,
            controls: Controls::default(),
            affinity: None,
        };
        scheduler.add_guest(Nanos::ZERO, &new).unwrap();
        scheduler.start(Nanos::ZERO, &[VpId(0), SLEEPER]);
        // The sleeper has had a dispatch, and sleeps until woken.
        let lp = LpId(1);
        loop {
            let Decision::Run { vp, .. } = scheduler.pick(Nanos::ZERO, lp) else {
                panic!("two are Ready");
            };
            let until = None;
            let sleeps = vp == SLEEPER;
            let after = if sleeps {
                After::Sleep { until }
            } else {
                After::Run
            };
            scheduler.charge(Nanos(1), lp, Nanos(1), after);
            if sleeps {
                break;
            }
        }
        scheduler.take_calls();
        Arc::new(Shared {
            core: Mutex::new(Core {
                scheduler,
                asleep: Asleep::new(2),
                now: Nanos(1),
            }),
            beds: Beds::new(2),
            on_an_lp: vec![AtomicBool::new(false), AtomicBool::new(false)],
            done: AtomicBool::new(false),
            answers,
        })
    }

    fn answer_calls(&self, core: &mut Core) {
        let Core {
            scheduler, asleep, ..
        } = core;
        for lp in scheduler.take_calls() {
            // A busy LP decides anew at the end of its dispatch: here they all end.
            if self.answers {
                self.beds.wake(asleep, lp.index());
            }
        }
    }

    /// One LP's dispatcher. Each VP sleeps after its dispatch, so that rounds end.
    fn dispatcher(&self, lp: LpId) {
        let mut ended = None;
        loop {
            let mut core = self.core.lock().unwrap();
            let now = core.tick();
            if let Some(vp) = ended.take() {
                let after = After::Sleep { until: None };
                core.scheduler.charge(now, lp, Nanos(1), after);
                if vp == SLEEPER {
                    self.done.store(true, SeqCst);
                    self.beds.wake_all();
                }
            }
            if self.done.load(SeqCst) {
                return;
            }
            let decision = core.scheduler.pick(now, lp);
            self.answer_calls(&mut core);
            match decision {
                Decision::Idle | Decision::Await => {
                    let nap = Duration::from_secs(1);
                    drop(
                        self.beds
                            .sleep(core, lp.index(), nap, |core| &mut core.asleep),
                    );
                }
                Decision::Run { vp, .. } => {
                    drop(core);
                    let on_an_lp = &self.on_an_lp[vp.index()];
                    assert!(!on_an_lp.swap(true, SeqCst), "{vp:?} runs twice");
                    on_an_lp.store(false, SeqCst);
                    ended = Some(vp);
                }
            }
        }
    }

    fn waker(&self) {
        let mut core = self.core.lock().unwrap();
        let now = core.tick();
        core.scheduler.wake(now, SLEEPER);
        self.answer_calls(&mut core);
    }
}

fn explore(answers: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let shared = Shared::new(answers);
        let second = shared.clone();
        let lp1 = thread::spawn(move || second.dispatcher(LpId(1)));
        let third = shared.clone();
        let waker = thread::spawn(move || third.waker());
        shared.dispatcher(LpId(0));
        lp1.join().unwrap();
        waker.join().unwrap();
    });
}

#[test]
fn a_wake_at_any_moment_gets_its_vp_run_once() {
    explore(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn calls_that_nobody_answers_would_lose_wake_ups() {
    explore(false);
}
