//! Guests that mean harm. What they do is undefined behaviour on purpose: all of it is done through assembly or
//! volatile raw accesses, and nothing in here relies on what was destroyed.

use crate::calls;
use crate::time;
use crate::vp::Vp;
use crate::work::work;
use apportion_abi::hypercall::Call;
use apportion_abi::shared::Value;
use apportion_abi::{Attack, layout};
use core::arch::asm;

const PAGE: u64 = 0x1000;

/// Attacks for ever, or until it has killed itself.
pub fn attack(vp: &Vp, attack: Attack) -> ! {
    let mut random = Random(vp.start.seed | 1);
    match attack {
        Attack::HypercallStorm => loop {
            calls::raw(vp, Call::VpIndex as u32, [0, 0]);
            work(vp, 1);
        },
        Attack::UnknownCalls => loop {
            let (code, input) = (random.next() as u32, [random.next(), random.next()]);
            let known = Call::ALL[code as usize % Call::ALL.len()];
            match random.next() % 3 {
                0 => calls::raw(vp, code, input),
                // Time would stand still, and there is an attack for that.
                1 if !matches!(known, Call::GuestIdle | Call::Done) => {
                    calls::raw(vp, known as u32, input)
                }
                _ => narrow_call(vp, code as u8),
            };
            vp.count(Value::RefusedCalls, 1);
            work(vp, 1);
        },
        Attack::LogFlood => loop {
            calls::log(vp, "\x1b[2J\u{202e}drop table guests; \0 \r\n,\"");
            work(vp, 1);
        },
        Attack::NotifyStorm => loop {
            calls::notify_long_spin_wait(vp, random.next());
            work(vp, 1);
        },
        Attack::IdleStorm => loop {
            calls::idle_until(vp, time::now(vp) + 1);
            work(vp, 1);
        },
        Attack::WildRead => loop {
            read(vp.start.memory + random.next() % (1 << 40));
        },
        Attack::WildWrite => loop {
            write(vp.start.memory + random.next() % (1 << 40), random.next());
        },
        Attack::WildPort => loop {
            // SAFETY: an intercept without effect on the guest.
            unsafe { asm!("out dx, al", in("dx") 0x80_u16, in("al") 0_u8, options(nomem, nostack)) }
        },
        Attack::WildMmio => {
            // The first page directory entry that is not there gets an address far beyond memory.
            let slot = vp.start.memory / layout::LARGE_PAGE;
            write(layout::PDS + 8 * slot, 0x80_e000_0000 | 0b1110_0111);
            write(vp.start.memory, 1);
            calls::log(vp, "a write to nowhere came back");
            calls::done(vp)
        }
        // SAFETY: there is no code there, nor any memory.
        Attack::Jump => unsafe { asm!("jmp {}", in(reg) 0xdead_beef_u64 << 12, options(noreturn)) },
        // SAFETY: the fault is the purpose.
        Attack::TripleFault => unsafe { asm!("xor esp, esp", "ud2", options(noreturn)) },
        // SAFETY: touches nothing.
        Attack::TightLoop => unsafe { asm!("2: jmp 2b", options(noreturn)) },
        Attack::FillMemory => loop {
            let mut at = layout::HEAP;
            while at < vp.start.memory {
                write(at, random.next());
                vp.count(Value::BytesWritten, 8);
                at += PAGE;
                work(vp, 1);
            }
        },
        Attack::RewriteTables => loop {
            for table in [
                layout::PDS,
                layout::PDPT,
                layout::PML4,
                layout::GDT,
                layout::IDT,
            ] {
                for entry in 0..PAGE / 8 {
                    write(table + 8 * entry, random.next());
                }
            }
            // What the translation buffers still hold is not asked for twice.
            read(layout::HEAP + random.next() % layout::LARGE_PAGE / 2);
        },
        Attack::RewriteStart => loop {
            let places = [
                layout::START_PAGE,
                layout::REFERENCE_PAGE,
                layout::vp_line(vp.index),
                layout::results(vp.index),
                layout::demand_ring(vp.index),
                layout::SHARED,
            ];
            for place in places {
                for word in 0..32 {
                    write(place + 8 * word, random.next());
                }
            }
            calls::raw(vp, Call::ReferenceTime as u32, [0, 0]);
        },
    }
}

/// A call with a byte instead of 32 bits.
fn narrow_call(vp: &Vp, code: u8) -> (u64, u64) {
    // SAFETY: an intercept; see `calls::raw`.
    unsafe {
        asm!(
            "out dx, al",
            in("dx") apportion_abi::hypercall::PORT,
            in("al") code,
            options(nostack),
        );
    }
    let status = &vp.line.call.status;
    (status.load(core::sync::atomic::Ordering::Relaxed), 0)
}

fn read(at: u64) -> u64 {
    let value;
    // SAFETY: the harm is the purpose; the compiler is told that memory may change.
    unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) at, options(nostack)) };
    value
}

fn write(at: u64, value: u64) {
    // SAFETY: as `read`.
    unsafe { asm!("mov [{}], {}", in(reg) at, in(reg) value, options(nostack)) };
}

/// Garbage, the same for the same seed (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
