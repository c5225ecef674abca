//! The repeat modes of an invocation. Owns their names and how a mode and a frequency go together.

use std::fmt;
use std::str::FromStr;

use orderly_signing::order::{Due, Repeat};

use crate::error::{ParseError, serde_by_text};

/// How often an invocation runs, as Cloud Assistant names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RepeatMode {
    /// Once, at once.
    #[default]
    Once,
    /// By a frequency.
    Period,
    /// Once, at the instance's next start.
    NextRebootOnly,
    /// At each start of the instance.
    EveryReboot,
    /// Never: everything is checked, and what would run is told.
    DryRun,
}

/// A mode and a frequency that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepeatModeError {
    /// Cloud Assistant's `MissingParam.Frequency`.
    #[error("repeat mode `Period` needs a frequency: give one, such as `rate(5m)`, or leave the mode out")]
    FrequencyMissing,
}

impl RepeatMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [Self::Once, Self::Period, Self::NextRebootOnly, Self::EveryReboot, Self::DryRun];

    /// The name, as Cloud Assistant has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "Once",
            Self::Period => "Period",
            Self::NextRebootOnly => "NextRebootOnly",
            Self::EveryReboot => "EveryReboot",
            Self::DryRun => "DryRun",
        }
    }

    /// The mode of an invocation that asks for this mode and has a frequency or none: with a frequency it is always
    /// `Period`, without either it is `Once`.
    ///
    /// # Errors
    /// `Period` without a frequency.
    pub fn resolve(asked: Option<Self>, has_frequency: bool) -> Result<Self, RepeatModeError> {
        match asked {
            _ if has_frequency => Ok(Self::Period),
            Some(Self::Period) => Err(RepeatModeError::FrequencyMissing),
            asked => Ok(asked.unwrap_or_default()),
        }
    }

    /// The mode of a signed order.
    pub fn of(repeat: &Repeat) -> Self {
        match repeat {
            Repeat::Once => Self::Once,
            Repeat::DryRun => Self::DryRun,
            Repeat::Series(series) => match series.due {
                Due::Frequency(_) => Self::Period,
                Due::NextReboot => Self::NextRebootOnly,
                Due::EveryReboot => Self::EveryReboot,
            },
        }
    }
}

impl FromStr for RepeatMode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            ParseError::new("repeat mode", text, format!("write one of {all}"))
        })
    }
}

impl fmt::Display for RepeatMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(RepeatMode);
