//! The values of a command's parameters, resolved. Owns who sees them: a secret one is never shown by `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use super::{ParameterFault, ParameterProblem, ParameterSpec};
use crate::limits::PARAMETERS_MAX;
use crate::name::ParameterName;

/// One value for every parameter that a command declares.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<ParameterName, Value>);

#[derive(Clone, PartialEq, Eq)]
struct Value {
    text: String,
    secret: bool,
}

impl Values {
    /// The value of every declared parameter: given, else its default, else empty where it is not required. Capitals make no
    /// difference in the names that are given.
    ///
    /// # Errors
    /// All faults at once: undeclared, given twice, missing, too long, not as declared, too many.
    pub fn resolve(specs: &[ParameterSpec], given: &BTreeMap<String, String>) -> Result<Self, Vec<ParameterFault>> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, problem| faults.push(ParameterFault { name: name.to_owned(), problem });
        if given.len() > PARAMETERS_MAX {
            let name = given.keys().next_back().cloned().unwrap_or_default();
            fault(&name, ParameterProblem::TooMany { count: given.len() });
        }
        let mut named: BTreeMap<ParameterName, &String> = BTreeMap::new();
        for (text, value) in given {
            let name = text.parse::<ParameterName>().ok();
            match name.filter(|name| specs.iter().any(|spec| spec.name == *name)) {
                None => {
                    let known = specs.iter().map(|spec| spec.name.to_string()).collect();
                    fault(text, ParameterProblem::Undeclared { known });
                }
                Some(name) => {
                    if named.insert(name, value).is_some() {
                        fault(text, ParameterProblem::GivenTwice);
                    }
                }
            }
        }
        let mut values = BTreeMap::new();
        for spec in specs {
            let checked = match (named.get(&spec.name).copied(), &spec.default) {
                (Some(value), _) | (None, Some(value)) => spec.check_value(value).map(|()| value.clone()),
                (None, None) if spec.required => Err(ParameterProblem::Missing),
                (None, None) => Ok(String::new()),
            };
            match checked {
                Ok(text) => drop(values.insert(spec.name.clone(), Value { text, secret: spec.secret })),
                Err(problem) => fault(spec.name.as_str(), problem),
            }
        }
        if faults.is_empty() { Ok(Self(values)) } else { Err(faults) }
    }

    /// The values as a signed order has them, none of them secret: all that an agent knows of a script's parameters.
    ///
    /// # Errors
    /// All faults at once: what is no name, two names that differ in capitals only, values that are too long or hold a zero
    /// byte, too many.
    pub fn of_order(parameters: &BTreeMap<String, String>) -> Result<Self, Vec<ParameterFault>> {
        let names = parameters.keys().filter_map(|name| name.parse().ok());
        let specs: Vec<_> = names.map(ParameterSpec::implied).collect();
        Self::resolve(&specs, parameters)
    }

    /// The value of a parameter, also of a secret one: for the script, never for a log.
    pub fn text(&self, name: &ParameterName) -> Option<&str> {
        self.0.get(name).map(|value| value.text.as_str())
    }

    /// Whether a parameter's value is a secret.
    pub fn is_secret(&self, name: &ParameterName) -> bool {
        self.0.get(name).is_some_and(|value| value.secret)
    }

    /// Names and values, also secret ones.
    pub fn iter(&self) -> impl Iterator<Item = (&ParameterName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.text.as_str()))
    }

    /// Names and values as plain texts, also secret ones: what is signed in an order or given to a plugin.
    pub fn into_texts(self) -> BTreeMap<String, String> {
        self.0.into_iter().map(|(name, value)| (name.to_string(), value.text)).collect()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.0.iter().map(|(name, value)| (name, Shown(value)))).finish()
    }
}

struct Shown<'a>(&'a Value);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.secret { out.write_str("(secret)") } else { write!(out, "{:?}", self.0.text) }
    }
}
