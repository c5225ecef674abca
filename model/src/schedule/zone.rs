//! A time zone as people write it. Owns the three forms; looks nothing up.

use std::fmt;

use jiff::tz::{Offset, TimeZone};

use super::token::{Fault, Token};

/// Longest name of a zone, in bytes. The longest of the IANA database has 32.
const NAME_MAX_BYTES: usize = 64;
/// Most hours that a written offset may have, as Cloud Assistant's agent takes them.
const OFFSET_MAX_HOURS: u32 = 14;

const MEND: &str = "write a name of the IANA database such as `Europe/Berlin`, an offset such as `GMT+8:00`, or `UTC`";

/// A time zone as it is written in a frequency.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Zone {
    /// `UTC`
    Utc,
    /// `GMT+8:00`, `GMT-7:30`: the hour without a leading zero, at most 14, always with minutes. In minutes, east positive.
    Offset(i16),
    /// A name of the IANA database, right by its shape only.
    Named(ZoneName),
}

/// A name of the IANA database by its shape: words of letters, digits, `_`, `+` and `-`, with `/` between.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneName(String);

impl ZoneName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Zone {
    /// The zone itself, where it takes no database.
    pub fn fixed(&self) -> Option<TimeZone> {
        match self {
            Self::Utc => Some(TimeZone::UTC),
            Self::Offset(minutes) => {
                Offset::from_seconds(i32::from(*minutes) * 60).ok().map(|offset| offset.to_time_zone())
            }
            Self::Named(_) => None,
        }
    }

    /// The name that the caller looks up, where it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name.as_str()),
            Self::Utc | Self::Offset(_) => None,
        }
    }

    pub(super) fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        if token.text == "UTC" {
            return Ok(Self::Utc);
        }
        // `GMT+8` is a name of old, with the opposite sign of `Etc/GMT+8`: whoever writes it would be surprised.
        if token.text.starts_with("GMT+") || token.text.starts_with("GMT-") {
            let mend =
                "write the offset as `GMT+8:00`: hours from 0 to 14 without a leading zero, then two digits of minutes";
            return offset(token).map(Self::Offset).ok_or_else(|| token.fault("time zone", mend));
        }
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
        };
        let named = token.text.len() <= NAME_MAX_BYTES
            && token.text.starts_with(|first: char| first.is_ascii_alphabetic())
            && token.text.split('/').all(word);
        if named { Ok(Self::Named(ZoneName(token.text.to_owned()))) } else { Err(token.fault("time zone", MEND)) }
    }
}

fn offset(token: &Token<'_>) -> Option<i16> {
    let (sign, rest) = if let Some(rest) = token.text.strip_prefix("GMT+") {
        (1, rest)
    } else {
        (-1, token.text.strip_prefix("GMT-")?)
    };
    let (hours, minutes) = rest.split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = hours.len() > 1 && hours.starts_with('0');
    if padded || !(1..=2).contains(&hours.len()) || minutes.len() != 2 || !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > OFFSET_MAX_HOURS || minutes > 59 {
        return None;
    }
    i16::try_from(hours * 60 + minutes).ok().map(|total| sign * total)
}

impl fmt::Display for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utc => out.write_str("UTC"),
            Self::Offset(minutes) => {
                let (sign, total) = (if *minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
                write!(out, "GMT{sign}{}:{:02}", total / 60, total % 60)
            }
            Self::Named(name) => out.write_str(name.as_str()),
        }
    }
}
