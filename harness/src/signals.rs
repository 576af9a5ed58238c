//! Ctrl-C and SIGTERM: the first ends what runs in good order, the second ends the process at once.

use crate::exit::Code;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{process, thread};

/// A flag that the first sets.
pub(crate) fn catch() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // This order: the shutdown looks at the flag before it is set.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            Code::Interrupted as i32,
            flag.clone(),
        )?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(flag)
}

/// The same where something has to be put in order before the process ends: in
/// a thread that sleeps until then, since a signal handler can do little.
pub(crate) fn catch_then(restore: impl Fn() + Send + 'static) -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let set = flag.clone();
    let listen = move || {
        for _ in signals.forever() {
            if set.swap(true, Ordering::Relaxed) {
                restore();
                process::exit(Code::Interrupted as i32);
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)?;
    Ok(flag)
}
