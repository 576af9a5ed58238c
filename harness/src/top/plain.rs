//! `apportion top` where there is no terminal: lines to keep and to search, on stdout.

use super::picture::{Event, Line, Picture};
use std::fmt::Write as _;

/// A run begins.
pub(crate) fn head(picture: &Picture) -> String {
    let Picture {
        title,
        machine,
        length,
        ..
    } = picture;
    let simulated = match picture.simulated {
        true => " SIMULATED: virtual time, nothing is measured;",
        false => "",
    };
    format!("run {title}:{simulated} {machine}, {length}\n")
}

/// Something happened.
pub(crate) fn event(event: &Event) -> String {
    let Event {
        at,
        kind,
        who,
        what,
    } = event;
    let seconds = at.0 as f64 / 1e9;
    let more = if what.is_empty() { "" } else { ": " };
    format!("t={seconds:.3}s event {kind} {who}{more}{what}\n")
}

/// A second is over: one line per guest.
pub(crate) fn second(picture: &Picture) -> String {
    let mut text = String::new();
    let Some(second) = &picture.second else {
        return text;
    };
    for line in &picture.guests {
        let Line { name, controls, .. } = line;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "t={}s {name} weight {} reserve {} cap {} received {:.1} % of an LP per VP, share {:.1} %, \
             wait {:.0} us/dispatch, {:.0} dispatches/s",
            picture.passed.0 / 1_000_000_000,
            controls.weight.get(),
            controls.reserve.percent(),
            controls.cap.percent(),
            line.received(second),
            line.share(second),
            line.wait(),
            Line::per_second(line.sums.dispatches, second),
        );
    }
    text
}
