//! Parameters of commands: what a command declares, and what a caller gives. Owns the rules of
//! values; `template` puts [`Values`] into scripts, and plugins get what [`resolve`] returns.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::is_deceptive;
use crate::limits::{PARAMETER_ALLOWED_MAX, PARAMETER_VALUE_MAX_BYTES, PARAMETERS_MAX, SUMMARY_MAX_BYTES};
use crate::name::ParameterName;
use crate::pattern::Pattern;

pub use values::Values;

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
    /// The value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What the whole value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Where not empty, the only values accepted; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Whether a value must be given where there is no default. One that is not required, not given and without a default is
    /// empty, which its pattern and its allowed values do not judge (Cloud Assistant's rule for what is left out).
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub required: bool,
    /// Whether the value is a secret: never shown, never text in a script, without a default and a list of allowed values,
    /// which would both be public. Plugins take none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(required: &bool) -> bool {
    *required
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
    /// The value holds a zero byte, which no environment variable and no script can carry.
    #[error("has a value with a zero byte")]
    ZeroByte,
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
    /// Two parameters of a command have this name, or one differs from it in capitals only.
    #[error("is declared twice; capitals make no difference")]
    Twice,
    /// Two values were given under names that differ in capitals only.
    #[error("is given twice; capitals make no difference")]
    GivenTwice,
    /// Two parameters would be the same environment variable.
    #[error("would be the same variable `{variable}` as `{other}`: rename one of them")]
    SameVariable {
        /// The variable.
        variable: String,
        /// The other parameter.
        other: String,
    },
    /// It is secret and declares a value.
    #[error("is secret, so it can have neither a default nor allowed values: whoever sees the command would see them")]
    SecretDeclared,
    /// It is no text, and may be left out without a default.
    #[error("may be left out, so it needs a default: the empty text is no value of its kind")]
    EmptyKind,
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
    /// A parameter of which only the name is known: any text, empty where it is left out. What a script's own placeholders
    /// declare where nothing else does.
    pub fn implied(name: ParameterName) -> Self {
        Self {
            name,
            kind: ParameterKind::Text,
            description: String::new(),
            default: None,
            pattern: None,
            allowed: Vec::new(),
            required: false,
            secret: false,
        }
    }

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
        if value.contains('\0') {
            return Err(ParameterProblem::ZeroByte);
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
        if !self.required && self.default.is_none() && self.kind != ParameterKind::Text {
            problems.push(ParameterProblem::EmptyKind);
        }
        if self.secret {
            // What is declared is not looked at further: the fault would repeat it.
            if self.default.is_some() || !self.allowed.is_empty() {
                problems.push(ParameterProblem::SecretDeclared);
            }
            return problems;
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

/// Checks that each parameter has an environment variable of its own.
pub fn check_variables(specs: &[ParameterSpec]) -> Vec<ParameterFault> {
    let mut seen: BTreeMap<String, &ParameterName> = BTreeMap::new();
    let mut faults = Vec::new();
    for spec in specs {
        let variable = spec.name.variable().to_string();
        match seen.insert(variable.clone(), &spec.name) {
            Some(other) if *other != spec.name => {
                let problem = ParameterProblem::SameVariable { variable, other: other.to_string() };
                faults.push(ParameterFault { name: spec.name.to_string(), problem });
            }
            _ => {}
        }
    }
    faults
}

/// The value of every declared parameter of a plugin, by the name that the plugin declares: given, else its default.
///
/// # Errors
/// As [`Values::resolve`].
pub fn resolve(
    specs: &[ParameterSpec],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<ParameterFault>> {
    Values::resolve(specs, given).map(Values::into_texts)
}

#[cfg(test)]
mod tests;
