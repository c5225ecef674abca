//! Compiled code that was used a moment ago: sealed memory files whose bytes were checked when they were made.
//!
//! Owns the bounds of what is held. A sealed file cannot change, so a run that finds it here needs neither the disk nor
//! another check. It holds nothing for long: [`Recent::drop_unused`] is called by whoever has a clock.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::Name;

/// Files that are held at most.
const HELD_MAX: usize = 4;

/// Bytes of all files that are held: memory that no process counts as its own, but the machine lacks.
const HELD_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The files, the one that was used last at the end.
#[derive(Debug, Default)]
pub(super) struct Recent {
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    name: Name,
    code: Arc<OwnedFd>,
    bytes: u64,
    used: Instant,
}

impl Recent {
    /// The code called `name`, where it is held.
    pub(super) fn find(&mut self, name: &Name, now: Instant) -> Option<Arc<OwnedFd>> {
        let at = self.held.iter().position(|held| held.name == *name)?;
        let mut held = self.held.remove(at)?;
        held.used = now;
        let code = Arc::clone(&held.code);
        self.held.push_back(held);
        Some(code)
    }

    /// Holds `code`, and lets go of what was not used for the longest time. What is too large for all bounds is not held.
    pub(super) fn hold(&mut self, name: Name, code: Arc<OwnedFd>, bytes: u64, now: Instant) {
        self.held.retain(|held| held.name != name);
        if bytes > HELD_MAX_BYTES {
            return;
        }
        self.held.push_back(Held { name, code, bytes, used: now });
        while self.held.len() > HELD_MAX || self.held.iter().map(|held| held.bytes).sum::<u64>() > HELD_MAX_BYTES {
            self.held.pop_front();
        }
    }

    /// Lets go of what was not used for `unused`; says whether something is held still.
    pub(super) fn drop_unused(&mut self, unused: Duration, now: Instant) -> bool {
        self.held.retain(|held| now.saturating_duration_since(held.used) < unused);
        !self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use orderly_signing::Digest;

    use super::*;

    fn name(number: u8) -> Name {
        Name::new(Digest::of(&[number]), Digest::ZERO, Digest::ZERO)
    }

    fn code() -> Arc<OwnedFd> {
        Arc::new(crate::platform::memfd::sealed("test", &[b"x"]).unwrap())
    }

    #[test]
    fn number_and_bytes_of_what_is_held_are_bounded() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        for number in 0..6 {
            recent.hold(name(number), code(), 1_000, now);
            assert!(recent.find(&name(0), now).is_some(), "what is used stays");
        }
        assert_eq!(recent.held.len(), HELD_MAX);
        assert!(recent.find(&name(1), now).is_none() && recent.find(&name(5), now).is_some());
        recent.hold(name(7), code(), HELD_MAX_BYTES - 1_000, now);
        assert!(recent.held.iter().map(|held| held.bytes).sum::<u64>() <= HELD_MAX_BYTES);
        assert!(recent.find(&name(7), now).is_some());
        recent.hold(name(8), code(), HELD_MAX_BYTES + 1, now);
        assert!(recent.find(&name(8), now).is_none() && recent.find(&name(7), now).is_some());
    }

    #[test]
    fn what_nobody_uses_is_let_go() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let (minute, later) = (Duration::from_secs(60), start + Duration::from_secs(50));
        recent.hold(name(1), code(), 1, start);
        recent.hold(name(2), code(), 1, start);
        assert!(recent.find(&name(2), later).is_some());
        assert!(recent.drop_unused(minute, start + minute));
        assert!(recent.find(&name(1), later).is_none());
        assert!(!recent.drop_unused(minute, later + minute));
    }
}
