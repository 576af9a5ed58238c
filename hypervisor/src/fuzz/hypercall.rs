//! Whatever a VP asks for, and whatever else makes it exit.

use super::{Input, assert_shown, memory};
use crate::clock::Clock;
use crate::counters::{Intercept, VpSnapshot};
use crate::guest::{GuestMemory, Request};
use crate::kvm::endings::{ENDING_COSTS, ENDINGS_SAVED};
use crate::kvm::guest_log::GuestLog;
use crate::kvm::intercepts::{Desk, Intercepted, Left, Want};
use crate::kvm::time::{GuestTime, HostTime};
use apportion_abi::hypercall::{Call, FOREVER, LOG_LINE, PORT, Status};
use apportion_abi::layout;
use apportion_abi::shared::{CallBlock, VpLine};
use apportion_scheduler::{GuestId, Nanos};
use kvm_ioctls::VcpuExit;
use std::mem::offset_of;
use std::sync::{Arc, LazyLock};

/// Where the guest keeps what it wants to say.
const TEXT: u64 = layout::HEAP;
/// How much of it an input can write to.
const TEXT_SIZE: u64 = 0x200;

/// Serves the exits of one VP, one after the other. The input is the VP, then steps: see [`Session::step`].
pub fn hypercall(input: &[u8]) {
    let mut input = Input(input);
    let mut session = Session::new(memory(), input.vp());
    while !input.is_empty() {
        session.step(&mut input);
    }
    session.end();
}

struct Session {
    vp: u32,
    memory: Arc<GuestMemory>,
    log: Arc<GuestLog>,
    desk: Desk,
    clock: Clock,
    /// When the guest was created.
    began: Nanos,
    /// CPU time that the VP has received.
    ran: Nanos,
    /// The last reference time that it was told.
    told: u64,
    /// Dispatches that it has ended at a price: without going to sleep, or to sleep for as short as it likes.
    endings: u64,
    /// Lines that were kept, and those of them that were taken.
    said: u64,
    taken: u64,
}

impl Session {
    fn new(memory: Arc<GuestMemory>, vp: u32) -> Session {
        memory.poke(TEXT, &[0; TEXT_SIZE as usize]);
        // Guests are created some time after the engine.
        static ENGINE: LazyLock<Clock> = LazyLock::new(Clock::start);
        let clock = *ENGINE;
        let began = clock.now();
        let time = GuestTime::begin(Arc::new(HostTime::new(clock, 0)));
        let log = Arc::new(GuestLog::new(GuestId(0)));
        Session {
            vp,
            desk: Desk::new(
                vp,
                memory.clone(),
                Arc::new(time),
                log.clone(),
                Arc::default(),
            ),
            memory,
            log,
            clock,
            began,
            ran: Nanos::ZERO,
            told: 0,
            endings: 0,
            said: 0,
            taken: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            // A call that is one, or may be.
            0..=2 => {
                let call = Call::ALL[usize::from(input.byte()) % Call::ALL.len()];
                let arguments = [input.word(), input.word()];
                self.call(&(call as u32).to_le_bytes(), arguments);
            }
            3 => {
                let (code, arguments) = (input.array::<4>(), [input.word(), input.word()]);
                self.call(&code, arguments);
            }
            // Of another width, or a string of them.
            4 => {
                let width = usize::from(input.byte());
                let data = input.bytes(width);
                self.call(data, [0, 0]);
            }
            5 => self.other_exit(input),
            6 => {
                let (guest, service) = (Nanos(input.half().into()), Nanos(input.half().into()));
                self.desk.ran(guest, service);
                self.ran += guest + service;
            }
            _ => {
                let at = u64::from(input.byte());
                let length = usize::from(input.byte());
                self.memory.poke(TEXT + at, input.bytes(length));
            }
        }
    }

    fn counted(&self) -> VpSnapshot {
        self.desk.counters().snapshot(0)
    }

    fn call(&mut self, data: &[u8], input: [u64; 2]) {
        let block = layout::vp_line(self.vp) + offset_of!(VpLine, call) as u64;
        for (word, at) in input.into_iter().zip((block..).step_by(8)) {
            self.memory.poke(at, &word.to_le_bytes());
        }
        let (before, now) = (self.counted(), self.clock.now());
        // Less than a dispatch has, so that it does not add up beyond what was charged.
        let served = self.desk.serve(&VcpuExit::IoOut(PORT, data), ENDING_COSTS);
        let after = self.counted();
        let status = self
            .memory
            .peek(block + offset_of!(CallBlock, status) as u64);
        let output = self
            .memory
            .peek(block + offset_of!(CallBlock, output) as u64);

        let request = Request::decode(data, input);
        if let Ok(request) = request {
            assert_means(data, input, request);
        }
        self.assert_status(data, request, status);
        let refused = status != Status::Success as u64;
        assert_eq!(after.refused - before.refused, u64::from(refused));
        let hypercalls = Intercept::Hypercall as usize;
        assert_eq!(
            after.intercepts[hypercalls] - before.intercepts[hypercalls],
            1
        );
        let want = match served {
            Intercepted::Served => None,
            Intercepted::Left(Left::Wants(want)) => Some(want),
            Intercepted::Left(left) => panic!("{request:?} ended in {left:?}"),
        };
        match (request, want) {
            _ if refused => assert_eq!((output, want), (0, None)),
            (Ok(Request::VpIndex), None) => assert_eq!(output, u64::from(self.vp)),
            (Ok(Request::VpRuntime), None) => {
                assert_eq!(output, (self.ran + ENDING_COSTS).0 / 100);
            }
            (Ok(Request::ReferenceTime), None) => {
                assert!(output >= self.told, "time went back");
                self.told = output;
            }
            (Ok(Request::LongSpin), Some(Want::Spin))
            | (Ok(Request::Idle(Some(_))), Some(Want::Yield)) => self.endings += 1,
            (Ok(Request::LongSpin | Request::Idle(Some(_))), None) => {
                assert_eq!(after.ignored - before.ignored, 1);
            }
            (Ok(Request::Idle(wanted)), Some(Want::Sleep { until, least })) => {
                assert_eq!(wanted.is_some(), until.is_some());
                assert!(until.is_none_or(|until| until >= now), "passed by {now}");
                self.slept(now, least);
            }
            (Ok(Request::Done), Some(Want::Sleep { until: None, least })) => self.slept(now, least),
            (Ok(Request::Log { .. }), None) => self.said += 1,
            (request, want) => panic!("{request:?} was answered with {want:?}"),
        }
        // What it saved, and what it earned since.
        assert!(self.endings <= ENDINGS_SAVED + self.ran.0 / ENDING_COSTS.0);
        // The guest has been there for no longer than the engine's clock runs. One more sleeps for less than it costs.
        let lived = self.clock.now().0 / ENDING_COSTS.0;
        assert!(self.endings <= ENDINGS_SAVED + 1 + lived);
    }

    /// A sleep that may be over at once costs what any end of a dispatch does.
    fn slept(&mut self, now: Nanos, least: Nanos) {
        assert!(least >= now, "{least} has passed by {now}");
        self.endings += u64::from(least < now + ENDING_COSTS);
    }

    /// What there is in the table, with 32 bits, succeeds; but for lines that are none, or too many.
    fn assert_status(&self, data: &[u8], request: Result<Request, Status>, status: u64) {
        let code = data.try_into().map(u32::from_le_bytes);
        let expected = match (code, request) {
            (Err(_), request) => {
                assert_eq!(request, Err(Status::InvalidInput));
                Status::InvalidInput
            }
            (Ok(code), request) if Call::from_code(code).is_none() => {
                assert_eq!(request, Err(Status::InvalidCode));
                Status::InvalidCode
            }
            (Ok(_), Ok(Request::Log { address, length })) => {
                let end = address.checked_add(length.min(LOG_LINE));
                if length > 0 && end.is_none_or(|end| end > layout::LEAST_MEMORY) {
                    Status::InvalidParameter
                } else if status == Status::TooMany as u64 {
                    Status::TooMany
                } else {
                    Status::Success
                }
            }
            (Ok(code), request) => {
                assert!(request.is_ok(), "{code:#x} is in the table: {request:?}");
                Status::Success
            }
        };
        assert_eq!(status, expected as u64, "{request:?}");
    }

    /// Nothing else is served, and the guest ends in so many words.
    fn other_exit(&mut self, input: &mut Input<'_>) {
        let kind = input.byte();
        let (address, port) = (input.word(), input.half() as u16);
        let data = &mut input.array::<8>();
        // A write to the port of hypercalls is one.
        let port_out = if port == PORT { 0 } else { port };
        let exit = match kind % 12 {
            0 => VcpuExit::IrqWindowOpen,
            1 => VcpuExit::IoIn(port, data),
            2 => VcpuExit::IoOut(port_out, data),
            3 => VcpuExit::MmioRead(address, data),
            4 => VcpuExit::MmioWrite(address, data),
            5 => VcpuExit::Shutdown,
            6 => VcpuExit::Hlt,
            7 => VcpuExit::InternalError,
            8 => VcpuExit::FailEntry(address, port.into()),
            9 => VcpuExit::SystemEvent(port.into(), &[]),
            10 => VcpuExit::MemoryFault {
                flags: 0,
                gpa: address,
                size: port.into(),
            },
            _ => VcpuExit::Unsupported(port.into()),
        };
        let before: u64 = self.counted().intercepts.iter().sum();
        match (kind % 12, self.desk.serve(&exit, Nanos::ZERO)) {
            (0, Intercepted::Served) => {}
            (1.., Intercepted::Left(Left::Crashed(what))) => {
                assert!(
                    !what.is_empty() && !what.contains(char::is_control),
                    "{what:?}"
                );
            }
            (_, other) => panic!("{exit:?} led to {other:?}"),
        }
        let after: u64 = self.counted().intercepts.iter().sum();
        assert_eq!(after - before, 1);
    }

    fn take_log(&mut self) {
        for said in self.log.take() {
            assert_eq!((said.guest, said.vp), (GuestId(0), self.vp));
            assert_shown(&said.text);
            self.taken += 1;
        }
    }

    fn end(mut self) {
        self.take_log();
        assert_eq!(self.taken, self.said);
        // What a guest may say at once, and then ten lines a second.
        let most = 21 + self.clock.now().since(self.began).0 / 100_000_000;
        assert!(self.said <= most, "{} lines", self.said);
    }
}

/// What is made of a call is that call, with the arguments that it has.
fn assert_means(data: &[u8], input: [u64; 2], request: Request) {
    let code = data.try_into().map(u32::from_le_bytes);
    let means = match request {
        Request::LongSpin => Call::NotifyLongSpinWait,
        Request::VpIndex => Call::VpIndex,
        Request::VpRuntime => Call::VpRuntime,
        Request::ReferenceTime => Call::ReferenceTime,
        Request::Idle(until) => {
            assert_eq!(until.unwrap_or(FOREVER), input[0]);
            assert_ne!(until, Some(FOREVER));
            Call::GuestIdle
        }
        Request::Log { address, length } => {
            assert_eq!([address, length], input);
            Call::Log
        }
        Request::Done => Call::Done,
    };
    assert_eq!(code.ok().and_then(Call::from_code), Some(means));
}
