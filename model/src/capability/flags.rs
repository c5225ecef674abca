//! `clock`, `random`, `facts`, `mounts`: capabilities that one either has or has not.
//!
//! The WASI interfaces of clocks and random are always linked, as nearly every guest imports them;
//! the flag decides what is behind: without `clock` a clock that stands at the task's
//! start, without `random` bytes from a generator seeded with the order's digest. `facts` and `mounts`
//! are strict: without the flag the interface is not linked.

use super::CapabilityKind;

/// One of the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// Real clocks.
    Clock,
    /// Real random bytes.
    Random,
    /// The instance's facts and tags.
    Facts,
    /// The mounted file systems.
    Mounts,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Random, Self::Facts, Self::Mounts];

    /// The kind of capability that the flag is.
    pub fn kind(self) -> CapabilityKind {
        match self {
            Self::Clock => CapabilityKind::Clock,
            Self::Random => CapabilityKind::Random,
            Self::Facts => CapabilityKind::Facts,
            Self::Mounts => CapabilityKind::Mounts,
        }
    }
}
