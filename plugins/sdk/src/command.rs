//! What a command says of itself, what it is given and what it answers.
//!
//! Owns the typed view of parameters and results. Never checks what the agent has checked already
//! (patterns, allowed values, required parameters), but never trusts it to have done so: a value that does
//! not read as its type is a [`Failure`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::bindings::exports::orderly::plugin::command as wit;

/// A public command.
pub trait Command {
    /// Says what the command is. Name and version must be those of `plugin.toml`.
    ///
    /// Called without any capability when the plugin is published.
    fn describe() -> Description;

    /// Does the work, once in a fresh instance.
    ///
    /// # Errors
    /// Whatever kept the command from doing its work. Something found that needs attention is no failure but an
    /// [`Outcome::attention`].
    fn run(arguments: Arguments) -> Result<Outcome, Failure>;
}

/// What a command is.
#[derive(Debug, Clone)]
pub struct Description {
    name: String,
    version: String,
    summary: String,
    parameters: Vec<Parameter>,
}

impl Description {
    /// Begins a description. The summary is one line for people, at most 200 bytes.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), summary: summary.into(), parameters: Vec::new() }
    }

    /// Adds a parameter. At most 20.
    #[must_use]
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The parameters in their order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(crate) fn into_wit(self) -> wit::Description {
        wit::Description {
            name: self.name,
            version: self.version,
            summary: self.summary,
            parameters: self.parameters.into_iter().map(Parameter::into_wit).collect(),
        }
    }
}

/// One parameter that a command takes.
#[derive(Debug, Clone)]
pub struct Parameter(wit::Parameter);

impl Parameter {
    /// A parameter that is any text.
    #[must_use]
    pub fn text(name: &str, description: &str) -> Self {
        Self::new(name, description, wit::ParameterType::Text)
    }

    /// A parameter that is a whole number.
    #[must_use]
    pub fn integer(name: &str, description: &str) -> Self {
        Self::new(name, description, wit::ParameterType::Integer)
    }

    /// A parameter that is `true` or `false`.
    #[must_use]
    pub fn boolean(name: &str, description: &str) -> Self {
        Self::new(name, description, wit::ParameterType::Boolean)
    }

    /// The value where none is given. Without one the parameter is required.
    #[must_use]
    pub fn default_value(mut self, value: impl Display) -> Self {
        self.0.default_value = Some(value.to_string());
        self
    }

    /// A regular expression that the whole value must match.
    #[must_use]
    pub fn pattern(mut self, pattern: &str) -> Self {
        self.0.pattern = Some(pattern.to_owned());
        self
    }

    /// The only values that are accepted.
    #[must_use]
    pub fn allowed<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.allowed = values.into_iter().map(str::to_owned).collect();
        self
    }

    fn new(name: &str, description: &str, kind: wit::ParameterType) -> Self {
        Self(wit::Parameter {
            name: name.to_owned(),
            kind,
            description: description.to_owned(),
            default_value: None,
            pattern: None,
            allowed: Vec::new(),
        })
    }

    fn into_wit(self) -> wit::Parameter {
        self.0
    }
}

/// The values that the parameters have in this run, defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Takes the given values and, for parameters without one, their defaults.
    pub fn new(given: impl IntoIterator<Item = (String, String)>, description: &Description) -> Self {
        let mut values = description
            .parameters
            .iter()
            .filter_map(|Parameter(parameter)| {
                let value = parameter.default_value.clone()?;
                Some((parameter.name.clone(), value))
            })
            .collect::<BTreeMap<_, _>>();
        values.extend(given);
        Self(values)
    }

    /// The value of a parameter, where it has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// When it has none.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Failure::invalid_parameter(name, "is required"))
    }

    /// The value of a parameter as a whole number.
    ///
    /// # Errors
    /// When it has none, or one that is no whole number or does not fit into the type asked for.
    pub fn integer<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.text(name)?.parse().map_err(|_| Failure::invalid_parameter(name, "is not a whole number in its range"))
    }

    /// The value of a parameter that is `true` or `false`.
    ///
    /// # Errors
    /// When it has none, or another one.
    pub fn boolean(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name)? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Failure::invalid_parameter(name, "is neither `true` nor `false`")),
        }
    }
}

/// How a run that reached its end came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    attention: bool,
    summary: String,
}

impl Outcome {
    /// The work is done and nothing needs attention. The summary is one line, at most 1,000 bytes.
    #[must_use]
    pub fn pass(summary: impl Into<String>) -> Self {
        Self { attention: false, summary: summary.into() }
    }

    /// The work is done and something was found that needs attention.
    #[must_use]
    pub fn attention(summary: impl Into<String>) -> Self {
        Self { attention: true, summary: summary.into() }
    }

    /// Whether something needs attention.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.attention
    }

    /// The line for people.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    pub(crate) fn into_wit(self) -> wit::Outcome {
        wit::Outcome {
            verdict: if self.attention { wit::Verdict::Attention } else { wit::Verdict::Pass },
            summary: self.summary,
        }
    }
}

/// Why a run did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A parameter is wrong.
    InvalidParameter {
        /// Its name.
        name: String,
        /// What is wrong with its value.
        reason: String,
    },
    /// Something that the command needs is not on this instance.
    NotApplicable(String),
    /// A grant that the command needs was refused.
    Denied(String),
    /// Anything else.
    Failed(String),
}

impl Failure {
    /// A parameter is wrong: `reason` reads on after its name.
    #[must_use]
    pub fn invalid_parameter(name: &str, reason: &str) -> Self {
        Self::InvalidParameter { name: name.to_owned(), reason: reason.to_owned() }
    }

    pub(crate) fn into_wit(self) -> wit::Failure {
        match self {
            Self::InvalidParameter { name, reason } => wit::Failure::InvalidParameter((name, reason)),
            Self::NotApplicable(reason) => wit::Failure::NotApplicable(reason),
            Self::Denied(reason) => wit::Failure::Denied(reason),
            Self::Failed(reason) => wit::Failure::Failed(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn arguments(given: &[(&str, &str)]) -> Arguments {
        let description = Description::new("x", "1.0.0", "x")
            .parameter(Parameter::integer("limit", "").default_value(90))
            .parameter(Parameter::text("path", ""));
        Arguments::new(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), &description)
    }

    #[test]
    fn a_default_stands_until_a_value_is_given() {
        assert_eq!(arguments(&[]).integer::<u8>("limit").unwrap(), 90);
        assert_eq!(arguments(&[("limit", "5")]).integer::<u8>("limit").unwrap(), 5);
    }

    #[test]
    fn what_does_not_read_as_its_type_names_the_parameter() {
        let wrong = arguments(&[("limit", "300"), ("path", "maybe")]);
        for failure in [
            wrong.integer::<u8>("limit").unwrap_err(),
            wrong.boolean("path").unwrap_err(),
            wrong.text("other").unwrap_err(),
        ] {
            assert!(matches!(failure, Failure::InvalidParameter { .. }), "{failure:?}");
        }
    }
}
