//! What the instance's clocks said, and what lies between two such readings.
//!
//! Owns how a step of the wall clock, a suspend and a start of the instance are told apart. Reads no clock itself.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ParseError, serde_by_text};

/// Longest boot id, in bytes.
const BOOT_ID_MAX_BYTES: usize = 64;

/// What differs from one start of the instance to the next: Linux's `boot_id`, or a time of start.
///
/// 1 to 64 letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootId(String);

impl BootId {
    /// That of an instance which does not tell one start from another.
    #[must_use]
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    /// Whether it is that of an instance which does not tell.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::unknown()
    }
}

impl FromStr for BootId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain && (1..=BOOT_ID_MAX_BYTES).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseError::new("boot id", text, format!("write 1 to {BOOT_ID_MAX_BYTES} letters, digits and `-`")))
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

serde_by_text!(BootId);

/// What the clocks say at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The wall clock, in whole milliseconds.
    #[serde(rename = "wall_ms", with = "jiff::fmt::serde::timestamp::millisecond::required")]
    wall: Timestamp,
    /// Milliseconds since the instance's start, with the time in which it was suspended (Linux's `CLOCK_BOOTTIME`).
    elapsed_ms: u64,
    /// Milliseconds since the instance's start, without that time (Linux's `CLOCK_MONOTONIC`).
    awake_ms: u64,
    /// Which start of the instance.
    boot: BootId,
}

impl Reading {
    /// A reading; what is below a millisecond is cut, so that a reading that was stored is the same.
    ///
    /// Where a system has no clock that stops in a suspend, both clocks are the same one.
    pub fn new(wall: Timestamp, elapsed_ms: u64, awake_ms: u64, boot: BootId) -> Self {
        Self { wall: cut_to_ms(wall), elapsed_ms, awake_ms, boot }
    }

    /// The wall clock.
    pub fn wall(&self) -> Timestamp {
        self.wall
    }

    /// Which start of the instance.
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// How far the wall clock was set forward since `before`, in milliseconds; negative where it was set back, 0 over a
    /// start of the instance, where nothing tells.
    pub(super) fn stepped_ms(&self, before: &Self) -> i64 {
        if self.boot != before.boot {
            return 0;
        }
        let elapsed = i64::try_from(self.elapsed_ms.saturating_sub(before.elapsed_ms)).unwrap_or(i64::MAX);
        let shown = self.wall.as_millisecond().saturating_sub(before.wall.as_millisecond());
        shown.saturating_sub(elapsed)
    }

    /// Milliseconds since `before` in which the instance was suspended.
    pub(super) fn suspended_ms(&self, before: &Self) -> u64 {
        if self.boot != before.boot {
            return 0;
        }
        let elapsed = self.elapsed_ms.saturating_sub(before.elapsed_ms);
        elapsed.saturating_sub(self.awake_ms.saturating_sub(before.awake_ms))
    }
}

/// The time in whole milliseconds, cut downwards.
pub(super) fn cut_to_ms(time: Timestamp) -> Timestamp {
    let ms = i64::try_from(time.as_nanosecond().div_euclid(1_000_000));
    ms.ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(time)
}
