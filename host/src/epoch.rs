//! The deadline inside the child: one alarm, one epoch, no ticker.
//!
//! Owns turning a deadline into an interruption of the guest. Host calls that wait end by the runtime's time-out with
//! the same deadline, and the parent ends the child from outside two seconds later.

use std::io;
use std::time::Duration;

use wasmtime::{Engine, Store};

use crate::platform::Alarm;

/// Interrupts every guest of `engine` once, `after` from now.
///
/// # Errors
/// The operating system refused the alarm, or this process has one already.
pub(crate) fn interrupt_after(engine: &Engine, after: Duration) -> io::Result<Alarm> {
    let engine = engine.clone();
    // Documented as async-signal-safe, which the alarm asks for.
    Alarm::set(after, move || engine.increment_epoch())
}

/// Makes the guest trap at the first interruption.
pub(crate) fn arm<T>(store: &mut Store<T>) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_trap();
}
