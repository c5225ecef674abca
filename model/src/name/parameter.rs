//! Names of parameters, which are the same in capitals and small letters. Owns that rule and the name of the environment
//! variable that carries a parameter's value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::EnvName;
use crate::error::{ParseError, serde_by_text};
use crate::limits::PARAMETER_NAME_MAX_BYTES;

/// What the variables of all parameters begin with.
pub const PARAMETER_VARIABLE_PREFIX: &str = "ORDERLY_PARAM_";

/// The name of a parameter: `[A-Za-z0-9_-]{1,64}`, as Cloud Assistant has it. Kept as it was written; two names that differ
/// in capitals only are equal, in every comparison and in maps.
#[derive(Clone)]
pub struct ParameterName(Box<str>);

impl ParameterName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The environment variable that carries the value: `ORDERLY_PARAM_` and the name in capitals, with `_` for `-`.
    ///
    /// Two names that differ in `-` and `_` only have the same variable; a command with both is refused where variables are
    /// used.
    pub fn variable(&self) -> EnvName {
        EnvName::from_parts(PARAMETER_VARIABLE_PREFIX, &self.0.to_ascii_uppercase().replace('-', "_"))
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for ParameterName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !text.is_empty() && text.len() <= PARAMETER_NAME_MAX_BYTES && text.chars().all(known) {
            Ok(Self(text.into()))
        } else {
            Err(ParseError::new("parameter name", text, "write 1-64 of A-Z, a-z, 0-9, `-` and `_`"))
        }
    }
}

impl PartialEq for ParameterName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ParameterName {}

impl Ord for ParameterName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for ParameterName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for ParameterName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl AsRef<str> for ParameterName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl fmt::Debug for ParameterName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &*self.0)
    }
}

serde_by_text!(ParameterName);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeSet, HashSet};

    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> ParameterName {
        text.parse().unwrap()
    }

    #[test]
    fn capitals_do_not_make_another_name() {
        assert_eq!(name("Warn-Percent"), name("wARN-percent"));
        assert_eq!(name("Warn-Percent").to_string(), "Warn-Percent");
        assert_eq!(BTreeSet::from([name("A"), name("a"), name("b")]).len(), 2);
        assert_eq!(HashSet::from([name("A"), name("a"), name("b")]).len(), 2);
        assert_ne!(name("a-b"), name("a_b"));
    }

    #[test]
    fn one_rule_makes_the_variable() {
        assert_eq!(name("my-Name_1").variable().as_str(), "ORDERLY_PARAM_MY_NAME_1");
        assert_eq!(name("1").variable().as_str(), "ORDERLY_PARAM_1");
        assert_eq!(name("a-b").variable(), name("A_B").variable());
    }

    #[test]
    fn refuses_other_characters_and_lengths() {
        assert!("x".repeat(64).parse::<ParameterName>().is_ok());
        for bad in ["", "a b", "a.b", "ACS::x", "é", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<ParameterName>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<ParameterName>(bad.into()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_variable_is_a_name_of_a_variable(text in "[A-Za-z0-9_-]{1,64}") {
            let variable = name(&text).variable();
            prop_assert_eq!(variable.as_str().parse::<EnvName>().unwrap(), variable);
        }
    }
}
