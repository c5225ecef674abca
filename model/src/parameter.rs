//! Parameters of commands: what a command declares, and what a caller gives. Owns the rules of
//! values; substitution in scripts and passing to plugins are done elsewhere with what
//! [`resolve`] returns.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::is_deceptive;
use crate::limits::{PARAMETER_ALLOWED_MAX, PARAMETER_VALUE_MAX_BYTES, PARAMETERS_MAX, SUMMARY_MAX_BYTES};
use crate::name::ParameterName;
use crate::pattern::Pattern;

/// How a value is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// Any text.
    #[default]
    Text,
    /// A decimal number of 32 bits with sign: `-12`, no `+`, no leading zeros (JavaScript guests have no 64-bit integer).
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// One parameter that a command takes: `[[parameters]]` in a manifest, or what a plugin describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    /// The name, unique in the command.
    pub name: ParameterName,
    /// How a value is written.
    #[serde(default)]
    pub kind: ParameterKind,
    /// One line for people, at most 200 bytes.
    #[serde(default)]
    pub description: String,
    /// The value where none is given; without it the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Where not empty, the only values accepted; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

/// Something wrong with a parameter, declared or given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` {problem}")]
pub struct ParameterFault {
    /// The parameter's name as it was given; empty where the fault is of all together.
    pub name: String,
    /// What is wrong.
    pub problem: ParameterProblem,
}

/// What can be wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterProblem {
    /// The command does not take it.
    #[error("is not declared by the command, which takes {}", names(.known))]
    Undeclared {
        /// What the command takes.
        known: Vec<String>,
    },
    /// It has no default and was not given.
    #[error("is required: give it a value")]
    Missing,
    /// The value is longer than 64 KiB.
    #[error("has a value of {bytes} bytes; at most {PARAMETER_VALUE_MAX_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The value is not written as its kind is.
    #[error("must be {expected}")]
    Kind {
        /// How it is written.
        expected: &'static str,
    },
    /// The value does not match the pattern.
    #[error("must match `{pattern}` as a whole")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// The value is none of those allowed.
    #[error("must be one of {}", names(.allowed))]
    NotAllowed {
        /// Those allowed.
        allowed: Vec<String>,
    },
    /// There are more than 20 parameters.
    #[error("is one of {count} parameters; at most {PARAMETERS_MAX} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Two parameters of a command have this name.
    #[error("is declared twice")]
    Twice,
    /// The description is longer than 200 bytes or more than one line.
    #[error("has a description that is not one line of at most {SUMMARY_MAX_BYTES} bytes")]
    Description,
    /// More than 100 values are listed as allowed.
    #[error("lists more than {PARAMETER_ALLOWED_MAX} allowed values")]
    TooManyAllowed,
    /// The declared default or an allowed value breaks the parameter's own rules.
    #[error("declares the value {value:?}, which {problem}")]
    Declared {
        /// The value.
        value: String,
        /// Which rule it breaks.
        problem: Box<ParameterProblem>,
    },
}

fn names(list: &[String]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let quoted: Vec<String> = list.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl ParameterSpec {
    /// Checks one value.
    ///
    /// # Errors
    /// The first rule that the value breaks.
    pub fn check_value(&self, value: &str) -> Result<(), ParameterProblem> {
        self.check_form(value)?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == value) {
            return Err(ParameterProblem::NotAllowed { allowed: self.allowed.clone() });
        }
        Ok(())
    }

    /// Everything but the list of allowed values.
    fn check_form(&self, value: &str) -> Result<(), ParameterProblem> {
        if value.len() > PARAMETER_VALUE_MAX_BYTES {
            return Err(ParameterProblem::TooLong { bytes: value.len() });
        }
        match self.kind {
            ParameterKind::Text => {}
            // One text for one number, so that a list of allowed values means numbers.
            ParameterKind::Integer if value.parse::<i32>().is_ok_and(|number| number.to_string() == value) => {}
            ParameterKind::Integer => {
                let expected = "a whole number from -2147483648 to 2147483647, without `+` and leading zeros";
                return Err(ParameterProblem::Kind { expected });
            }
            ParameterKind::Boolean if value == "true" || value == "false" => {}
            ParameterKind::Boolean => return Err(ParameterProblem::Kind { expected: "`true` or `false`" }),
        }
        match &self.pattern {
            Some(pattern) if !pattern.matches(value) => {
                Err(ParameterProblem::Pattern { pattern: pattern.as_str().to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn check_declaration(&self) -> Vec<ParameterProblem> {
        let mut problems = Vec::new();
        if self.description.len() > SUMMARY_MAX_BYTES || self.description.contains(is_deceptive) {
            problems.push(ParameterProblem::Description);
        }
        if self.allowed.len() > PARAMETER_ALLOWED_MAX {
            problems.push(ParameterProblem::TooManyAllowed);
        }
        let mut declared = |value: &String, checked: Result<(), ParameterProblem>| {
            if let Err(problem) = checked {
                problems.push(ParameterProblem::Declared { value: value.clone(), problem: Box::new(problem) });
            }
        };
        for value in &self.allowed {
            declared(value, self.check_form(value));
        }
        if let Some(value) = &self.default {
            declared(value, self.check_value(value));
        }
        problems
    }
}

/// Checks what a command declares: at most 20, unique names, defaults and allowed values that keep the parameter's own rules.
pub fn check_specs(specs: &[ParameterSpec]) -> Vec<ParameterFault> {
    let mut faults = Vec::new();
    if specs.len() > PARAMETERS_MAX {
        let name = specs.last().map(|spec| spec.name.to_string()).unwrap_or_default();
        faults.push(ParameterFault { name, problem: ParameterProblem::TooMany { count: specs.len() } });
    }
    let mut seen = BTreeSet::new();
    for spec in specs {
        let twice = (!seen.insert(&spec.name)).then_some(ParameterProblem::Twice);
        for problem in twice.into_iter().chain(spec.check_declaration()) {
            faults.push(ParameterFault { name: spec.name.to_string(), problem });
        }
    }
    faults
}

/// The value of every declared parameter: given, else its default.
///
/// # Errors
/// All faults at once: undeclared, missing, too long, not as declared, too many.
pub fn resolve(
    specs: &[ParameterSpec],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<ParameterFault>> {
    let mut faults = Vec::new();
    let mut values = BTreeMap::new();
    if given.len() > PARAMETERS_MAX {
        let name = given.keys().next_back().cloned().unwrap_or_default();
        faults.push(ParameterFault { name, problem: ParameterProblem::TooMany { count: given.len() } });
    }
    for name in given.keys() {
        if !specs.iter().any(|spec| spec.name.as_str() == name) {
            let known = specs.iter().map(|spec| spec.name.to_string()).collect();
            faults.push(ParameterFault { name: name.clone(), problem: ParameterProblem::Undeclared { known } });
        }
    }
    for spec in specs {
        let name = spec.name.as_str();
        let checked = match (given.get(name), &spec.default) {
            (Some(value), _) | (None, Some(value)) => spec.check_value(value).map(|()| value),
            (None, None) => Err(ParameterProblem::Missing),
        };
        match checked {
            Ok(value) => drop(values.insert(name.to_owned(), value.clone())),
            Err(problem) => faults.push(ParameterFault { name: name.to_owned(), problem }),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec(text: &str) -> ParameterSpec {
        serde_json::from_str(text).unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn specs() -> Vec<ParameterSpec> {
        vec![
            spec(r#"{"name":"path"}"#),
            spec(r#"{"name":"warn","kind":"integer","default":"80","pattern":"[0-9]{1,2}|100"}"#),
            spec(r#"{"name":"deep","kind":"boolean","default":"false"}"#),
            spec(r#"{"name":"mode","default":"fast","allowed":["fast","full"]}"#),
        ]
    }

    #[test]
    fn defaults_fill_what_is_not_given() {
        let values = resolve(&specs(), &given(&[("path", ""), ("warn", "100")])).unwrap();
        assert_eq!(values, given(&[("path", ""), ("warn", "100"), ("deep", "false"), ("mode", "fast")]));
    }

    #[test]
    fn all_faults_at_once() {
        let faults =
            resolve(&specs(), &given(&[("warn", "101"), ("deep", "yes"), ("mode", "slow"), ("wrn", "1")])).unwrap_err();
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "parameter `wrn` is not declared by the command, which takes `path`, `warn`, `deep`, `mode`",
                "parameter `path` is required: give it a value",
                "parameter `warn` must match `[0-9]{1,2}|100` as a whole",
                "parameter `deep` must be `true` or `false`",
                "parameter `mode` must be one of `fast`, `full`",
            ]
        );
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let text = [spec(r#"{"name":"a"}"#)];
        assert!(resolve(&text, &given(&[("a", &"x".repeat(PARAMETER_VALUE_MAX_BYTES))])).is_ok());
        let faults = resolve(&text, &given(&[("a", &"x".repeat(PARAMETER_VALUE_MAX_BYTES + 1))])).unwrap_err();
        assert_eq!(faults[0].problem, ParameterProblem::TooLong { bytes: PARAMETER_VALUE_MAX_BYTES + 1 });
        let many: BTreeMap<_, _> = (0..21).map(|n| (format!("p{n}"), String::new())).collect();
        let faults = resolve(&[], &many).unwrap_err();
        assert!(faults.iter().any(|fault| fault.problem == ParameterProblem::TooMany { count: 21 }));
        let number = spec(r#"{"name":"n","kind":"integer"}"#);
        for good in ["0", "-1", "2147483647", "-2147483648"] {
            assert!(number.check_value(good).is_ok(), "{good}");
        }
        for bad in ["", "+1", "01", "-0", "1.0", "2147483648", " 1", "0x1"] {
            assert!(number.check_value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn declarations_are_checked() {
        assert_eq!(check_specs(&specs()), []);
        let twice = [spec(r#"{"name":"a"}"#), spec(r#"{"name":"a","kind":"integer","default":"x"}"#)];
        let problems: Vec<_> = check_specs(&twice).into_iter().map(|fault| fault.problem).collect();
        assert!(matches!(&problems[..], [ParameterProblem::Twice, ParameterProblem::Declared { .. }]), "{problems:?}");
        let allowed = [spec(r#"{"name":"a","allowed":["x","y"],"default":"z","pattern":"[xz]"}"#)];
        assert_eq!(check_specs(&allowed).len(), 2);
        let many: Vec<_> = (0..21).map(|n| spec(&format!(r#"{{"name":"p{n}"}}"#))).collect();
        assert_eq!(check_specs(&many).len(), 1);
        assert!(serde_json::from_str::<ParameterSpec>(r#"{"name":"a","secret":true}"#).is_err());
    }
}
