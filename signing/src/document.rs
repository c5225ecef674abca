//! What all signed payloads have in common: strict JSON and bounded values.
//!
//! Owns the one way from payload bytes to a document: size, no name twice at any depth, no unknown field, then the
//! document's own bounds. It never looks at signatures; `verify` calls it after they have verified.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};

use crate::{
    envelope::MAX_PAYLOAD_BYTES,
    error::{Check, Invalid, Refusal},
};

/// A payload that can be signed.
pub(crate) trait Document: Serialize + DeserializeOwned {
    /// Its payload type.
    const TYPE: &'static str;
    /// What people call it, for messages.
    const NAME: &'static str;

    /// Checks the bounds that the types do not check.
    fn bounds(&self) -> Result<(), Invalid>;
}

/// Reads a document from the payload bytes as they came.
pub(crate) fn parse<T: Document>(payload: &[u8]) -> Result<T, Refusal> {
    let name = T::NAME;
    if payload.len() > MAX_PAYLOAD_BYTES {
        let length = payload.len();
        return Err(Refusal::new(
            Check::Size,
            format!("the {name} has {length} bytes, at most {MAX_PAYLOAD_BYTES} are allowed"),
        ));
    }
    let refuse =
        |error: serde_json::Error| Refusal::new(Check::Payload, format!("the payload is not a valid {name}: {error}"));
    let Root = serde_json::from_slice(payload).map_err(refuse)?;
    let document: T = serde_json::from_slice(payload).map_err(refuse)?;
    document.bounds().map_err(|invalid| Refusal::new(Check::Payload, format!("in the {name}, {invalid}")))?;
    Ok(document)
}

/// An object whose values, at any depth, have no name twice. serde refuses that for structs, but not for maps.
struct Root;

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RootVisitor)
    }
}

struct RootVisitor;

impl<'de> Visitor<'de> for RootVisitor {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Root, A::Error> {
        AnyVisitor.visit_map(map).map(|Any| Root)
    }
}

struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Any, A::Error> {
        while list.next_element::<Any>()?.is_some() {}
        Ok(Any)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(de::Error::custom(format_args!("duplicate name `{name}`")));
            }
            names.insert(name);
            map.next_value::<Any>()?;
        }
        Ok(Any)
    }
}

/// Refuses another version than 1.
pub(crate) fn version_1(version: u32) -> Result<(), Invalid> {
    if version == 1 {
        Ok(())
    } else {
        Err(Invalid::new("version", format!("is {version}, this program knows version 1")))
    }
}

/// Refuses a text that is empty, longer than `most` bytes, or holds another character than `fits` allows.
pub(crate) fn text(field: &str, value: &str, most: usize, fits: impl Fn(char) -> bool) -> Result<(), Invalid> {
    if value.is_empty() || value.len() > most {
        return Err(Invalid::new(field, format!("has {} bytes, must have 1 to {most}", value.len())));
    }
    match value.chars().find(|&c| !fits(c)) {
        Some(c) => Err(Invalid::new(field, format!("holds the character {c:?}, which is not allowed there"))),
        None => Ok(()),
    }
}

/// Characters of ids, versions, codes.
pub(crate) fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+')
}

/// Characters of a line that people read.
pub(crate) fn line(c: char) -> bool {
    !c.is_control()
}

/// Refuses an id that does not begin with the prefix, or goes on with other than 1 to 64 characters of words.
pub(crate) fn id(field: &str, value: &str, prefix: &str) -> Result<(), Invalid> {
    let rest = value.strip_prefix(prefix).ok_or_else(|| Invalid::new(field, format!("must begin with `{prefix}`")))?;
    text(field, rest, 64, word)
}

/// Refuses a plugin name that is not `[a-z][a-z0-9-]{0,63}`.
pub(crate) fn plugin_name(field: &str, value: &str) -> Result<(), Invalid> {
    text(field, value, 64, |c| matches!(c, 'a'..='z' | '0'..='9' | '-'))?;
    if value.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err(Invalid::new(field, "must begin with a lower-case letter"))
    }
}

/// Refuses a number outside of the range.
pub(crate) fn within(field: &str, value: u64, least: u64, most: u64) -> Result<(), Invalid> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Invalid::new(field, format!("is {value}, must be {least} to {most}")))
    }
}

/// Refuses times that are before 1970 or not in order.
pub(crate) fn times(earlier: (&str, i64), later: (&str, i64)) -> Result<(), Invalid> {
    if earlier.1 < 0 {
        return Err(Invalid::new(earlier.0, "is before 1970"));
    }
    if later.1 <= earlier.1 {
        return Err(Invalid::new(later.0, format!("must be later than `{}`", earlier.0)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn strict(json: &str) -> Result<Root, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for json in
            [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"a":2}]}"#, r#"{"a":1,"\u0061":1}"#, r#"{"x":{"y":{"a":{},"a":{}}}}"#]
        {
            assert!(strict(json).err().unwrap().contains("duplicate name `a`"), "{json}");
        }
        assert!(strict(r#"{"a":[1,-1,1.5,null,true,"s",{"a":{"a":1}}],"b":{"a":2}}"#).is_ok());
    }

    #[test]
    fn only_one_whole_object_is_a_payload() {
        for json in ["", "[]", "1", "null", "{}{}", "{} x", "{", "\u{feff}{}"] {
            assert!(strict(json).is_err(), "{json}");
        }
        assert!(strict(&format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000))).is_err(), "depth is bounded");
    }

    #[test]
    fn helpers_hold_their_bounds() {
        assert!(id("order", "o-1", "o-").is_ok());
        assert!(id("order", "t-1", "o-").is_err());
        assert!(id("order", "o-", "o-").is_err());
        assert!(id("order", &format!("o-{}", "a".repeat(65)), "o-").is_err());
        assert!(plugin_name("name", "os-audit").is_ok());
        assert!(plugin_name("name", "-audit").is_err());
        assert!(plugin_name("name", "OS").is_err());
        assert!(within("n", 1, 1, 2).is_ok());
        assert!(within("n", 3, 1, 2).is_err());
        assert!(times(("a", 1), ("b", 2)).is_ok());
        assert!(times(("a", 2), ("b", 2)).is_err());
        assert!(times(("a", -1), ("b", 2)).is_err());
        assert!(version_1(2).is_err());
    }
}
