//! Ids of things that Orderly makes itself. An id is a prefix that says of what, and 26 lower-case
//! Crockford base32 characters of 48 bits of Unix milliseconds and 80 random bits (a ULID in
//! small letters), so ids sort by time of making as texts, bytes and values. Never reads a clock
//! or a random source. Instance ids are not here: they certify a key ([`crate::InstanceId`]).

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

/// Crockford's alphabet in small letters: no `i`, `l`, `o`, `u`; in ASCII order, which sorting needs.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters after the prefix: 26 × 5 bits hold the 128.
const BODY_CHARS: usize = 26;
/// Prefix letter, hyphen, body.
const ID_CHARS: usize = 2 + BODY_CHARS;
/// The most milliseconds that 48 bits hold (the year 10889).
const TIME_MAX_MS: i64 = (1 << 48) - 1;

fn encode(prefix: u8, value: u128) -> [u8; ID_CHARS] {
    let mut text = [b'-'; ID_CHARS];
    text[0] = prefix;
    for (index, place) in text[2..].iter_mut().enumerate() {
        let shift = 5 * (BODY_CHARS - 1 - index);
        *place = ALPHABET[(value >> shift) as usize & 31];
    }
    text
}

fn decode(prefix: u8, what: &'static str, text: &str) -> Result<[u8; ID_CHARS], ParseError> {
    let bytes = text.as_bytes();
    let shape = || {
        let prefix = char::from(prefix);
        let why = format!("write `{prefix}-` and 26 characters of 0-9 and a-z without i, l, o, u");
        ParseError::new(what, text, why)
    };
    let array: [u8; ID_CHARS] = bytes.try_into().map_err(|_| shape())?;
    let body = &array[2..];
    // The first character carries 3 bits: 26 × 5 is 130, two more than there are.
    if array[0] != prefix || array[1] != b'-' || body[0] > b'7' || !body.iter().all(|c| ALPHABET.contains(c)) {
        return Err(shape());
    }
    Ok(array)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $what:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_CHARS]);

        impl $name {
            /// Makes an id from a time in Unix milliseconds (held to 0 … 2^48-1) and random bytes.
            ///
            /// The random bytes must come from the system's random source: two ids of the same
            /// millisecond differ by nothing else.
            pub fn new(now_ms: i64, random: [u8; 10]) -> Self {
                let time = now_ms.clamp(0, TIME_MAX_MS) as u128;
                let mut tail = [0; 16];
                tail[6..].copy_from_slice(&random);
                Self(encode($prefix, time << 80 | u128::from_be_bytes(tail)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                // Both constructors put ASCII in; an empty text would be seen as no id at all.
                std::str::from_utf8(&self.0).unwrap_or_default()
            }

            /// When the id was made, in Unix milliseconds, as its maker's clock said.
            pub fn made_ms(&self) -> i64 {
                self.0[2..12].iter().fold(0, |time, character| {
                    let value = ALPHABET.iter().position(|c| c == character).unwrap_or_default();
                    time << 5 | value as i64
                })
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                decode($prefix, $what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }

        serde_by_text!($name);
    )* };
}

ids! {
    /// One invocation: a command on a batch of instances. `t-…`, as Cloud Assistant's InvokeId.
    InvocationId b't' "invocation id";
    /// One order: the signed document that makes agents act. `o-…`
    OrderId b'o' "order id";
    /// One stored command. `c-…`
    CommandId b'c' "command id";
    /// One activation, with whose code instances enrol. `a-…`
    ActivationId b'a' "activation id";
    /// One API token; the id is no secret. `k-…`
    TokenId b'k' "token id";
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn looks_as_documented() {
        let id = InvocationId::new(1_764_000_000_000, [0xff; 10]);
        assert_eq!(id.as_str(), "t-01kav9ft00zzzzzzzzzzzzzzzz");
        assert_eq!(InvocationId::new(i64::MIN, [0; 10]).to_string(), format!("t-{}", "0".repeat(26)));
        assert_eq!(OrderId::new(i64::MAX, [0xff; 10]).to_string(), format!("o-7{}", "z".repeat(25)));
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"t-01kav9ft00zzzzzzzzzzzzzzzz\"");
    }

    #[test]
    fn only_one_text_names_an_id() {
        let good = format!("t-{}", "0".repeat(26));
        assert!(good.parse::<InvocationId>().is_ok());
        for bad in [
            String::new(),
            format!("o-{}", "0".repeat(26)),
            format!("t-8{}", "0".repeat(25)),
            format!("t-{}", "0".repeat(25)),
            format!("t-{}", "0".repeat(27)),
            format!("t-{}A", "0".repeat(25)),
            format!("t-{}l", "0".repeat(25)),
            format!(" t-{}", "0".repeat(25)),
        ] {
            assert!(bad.parse::<InvocationId>().is_err(), "{bad}");
            assert!(serde_json::from_value::<InvocationId>(bad.clone().into()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(ms in 0..=TIME_MAX_MS, random: [u8; 10]) {
            let id = OrderId::new(ms, random);
            prop_assert_eq!(id.as_str().parse::<OrderId>().unwrap(), id);
            prop_assert_eq!(id.made_ms(), ms);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
        }

        #[test]
        fn sorts_by_time_then_randomness(a in (0..=TIME_MAX_MS, any::<[u8; 10]>()), b in (0..=TIME_MAX_MS, any::<[u8; 10]>())) {
            let (first, second) = (OrderId::new(a.0, a.1), OrderId::new(b.0, b.1));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            prop_assert_eq!(first.as_str().cmp(second.as_str()), a.cmp(&b));
        }

        #[test]
        fn parsing_is_total(text in ".{0,40}") {
            if let Ok(id) = text.parse::<TokenId>() {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
