//! What stands in double braces in a script, and what is put in its place. Owns the grammar, the two ways in which values reach
//! a script, and the limits of both; where a value comes from is the caller's affair.
//!
//! A placeholder goes from the last `{{` before a `}}` to that `}}`. Blanks and line breaks around its name mean nothing. It is
//!
//! - `{{name}}`: a parameter, `[A-Za-z0-9_-]{1,64}`, capitals make no difference, at most 20 names in a script;
//! - `{{ACS::InstanceId}}` and its kind: a built-in ([`BuiltIn`]), `{{ACS::Tag::key}}` for the instance's tag `key`;
//! - `{{ACS::ScriptFileName}}` and `{{ACS::ScriptFileName|Ext(".py")}}`: the script's file, in launchers only ([`Launcher`]).
//!
//! **Text** ([`Template`]) is Cloud Assistant's way: values are pasted as they are, nothing is quoted, and whoever chooses a value
//! chooses what the script does. What stands in double braces and is no placeholder is refused. A value is never looked at again,
//! so `{{x}}` in a value stays. What only the server knows is pasted only where it can do no harm: as
//! `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}` without `..`, no option and no way out of a directory. Secrets never are.
//!
//! **Environment** ([`variables`]) is the safe way: the script stays as it was signed, byte for byte, and values are environment
//! variables, `ORDERLY_PARAM_MY_NAME` for `my-name`. A placeholder in the script is refused, as it would stay and be wrong
//! ([`refuse_placeholders`]); other double braces (`docker ps --format '{{.Names}}'`) are the script's own. What the script does
//! with a variable is up to it: shells want `"$X"` in quotes, and a batch file `!X!` (delayed expansion), as `%X%` is text again.

mod built_in;
mod fault;
mod launcher;
mod scan;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Position;
use crate::limits::PARAMETERS_MAX;
use crate::name::{EnvName, ParameterName};
use crate::parameter::{ParameterSpec, Values};

pub use built_in::{BuiltIn, BuiltIns};
pub use fault::{FAULTS_MAX, PLACEHOLDERS_MAX, TemplateFault, TemplateProblem};
pub use launcher::Launcher;
use scan::{Inner, Token, scan};

/// How values reach a script. The order that an agent gets says the same.
pub use orderly_signing::order::Substitution;

/// A script whose placeholders have been found, once and for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(ParameterName, Position),
    BuiltIn(BuiltIn, Position),
}

/// Bytes of the Base64 form of so many bytes.
pub fn base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

impl Template {
    /// Finds the placeholders of a script.
    ///
    /// Content that is not UTF-8 cannot be a template: in some encodings a brace is half of another character.
    ///
    /// # Errors
    /// Everything in double braces that is no placeholder, more than 20 names, and more than 10,000 placeholders; at most
    /// [`FAULTS_MAX`] of them.
    pub fn parse(text: &str) -> Result<Self, Vec<TemplateFault>> {
        let mut pieces = Vec::new();
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        let mut placeholders = 0;
        for token in scan(text) {
            let (inner, at) = match token {
                Token::Text(text) => {
                    pieces.push(Piece::Text(text.to_owned()));
                    continue;
                }
                Token::Braces(inner, at) => (inner, at),
            };
            placeholders += 1;
            if placeholders > PLACEHOLDERS_MAX {
                faults.push(TemplateFault::new(at, inner, TemplateProblem::TooManyPlaceholders));
                break;
            }
            let problem = match Inner::parse(inner) {
                Ok(Inner::Parameter(name)) => {
                    let count = names.len() + 1;
                    let too_many = names.insert(name.clone()) && count == PARAMETERS_MAX + 1;
                    pieces.push(Piece::Parameter(name, at));
                    if !too_many {
                        continue;
                    }
                    TemplateProblem::TooMany
                }
                Ok(Inner::BuiltIn(built_in)) => {
                    pieces.push(Piece::BuiltIn(built_in, at));
                    continue;
                }
                Ok(Inner::ScriptFile(_)) => TemplateProblem::LauncherOnly,
                Err(problem) => problem,
            };
            faults.push(TemplateFault::new(at, inner, problem));
            if faults.len() == FAULTS_MAX {
                break;
            }
        }
        if faults.is_empty() { Ok(Self { pieces }) } else { Err(faults) }
    }

    /// The names of the parameters, each once, as they are written first.
    pub fn parameters(&self) -> Vec<&ParameterName> {
        let mut seen = BTreeSet::new();
        let names = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(name, _) => Some(name),
            _ => None,
        });
        names.filter(|name| seen.insert(*name)).collect()
    }

    /// The built-ins, each once, in their order.
    pub fn built_ins(&self) -> BTreeSet<&BuiltIn> {
        let built_ins = self.pieces.iter().filter_map(|piece| match piece {
            Piece::BuiltIn(built_in, _) => Some(built_in),
            _ => None,
        });
        built_ins.collect()
    }

    /// What the script declares by naming it, for a command that declares nothing itself: any text, empty where left out.
    pub fn implied(&self) -> Vec<ParameterSpec> {
        self.parameters().into_iter().cloned().map(ParameterSpec::implied).collect()
    }

    /// Checks that each parameter in the script is declared, and is no secret.
    ///
    /// # Errors
    /// Every placeholder of which that is not so; at most [`FAULTS_MAX`] of them.
    pub fn check(&self, specs: &[ParameterSpec]) -> Result<(), Vec<TemplateFault>> {
        let mut faults = Vec::new();
        for piece in &self.pieces {
            let Piece::Parameter(name, at) = piece else { continue };
            let problem = match specs.iter().find(|spec| spec.name == *name) {
                Some(spec) if spec.secret => TemplateProblem::Secret,
                Some(_) => continue,
                None => TemplateProblem::Undeclared { known: specs.iter().map(|spec| spec.name.to_string()).collect() },
            };
            faults.push(TemplateFault::new(*at, name.as_str(), problem));
            if faults.len() == FAULTS_MAX {
                break;
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The script with every value in its place.
    ///
    /// `max_base64_bytes` is measured on the Base64 form of what comes out, as Cloud Assistant does, and before anything is put
    /// together.
    ///
    /// # Errors
    /// All at once, at most [`FAULTS_MAX`]: values that are not there, a secret, a built-in of the server's that holds more than
    /// letters, digits, `.`, `_`, `:` and `-`; a script that becomes too large.
    pub fn render(
        &self,
        values: &Values,
        built_ins: &BuiltIns,
        max_base64_bytes: usize,
    ) -> Result<String, Vec<TemplateFault>> {
        let mut parts = Vec::with_capacity(self.pieces.len());
        let mut faults = Vec::new();
        for piece in &self.pieces {
            let (found, at) = match piece {
                Piece::Text(text) => {
                    parts.push(text.as_str());
                    continue;
                }
                Piece::Parameter(name, at) if values.is_secret(name) => (Err(TemplateProblem::Secret), at),
                Piece::Parameter(name, at) => (values.text(name).ok_or(TemplateProblem::Missing), at),
                Piece::BuiltIn(built_in, at) => (built_ins.as_text(built_in), at),
            };
            match found {
                Ok(value) => parts.push(value),
                Err(problem) => faults.push(TemplateFault::new(*at, &piece.name(), problem)),
            }
            if faults.len() == FAULTS_MAX {
                break;
            }
        }
        let bytes = parts.iter().fold(0usize, |bytes, part| bytes.saturating_add(part.len()));
        if base64_bytes(bytes) > max_base64_bytes {
            let problem = TemplateProblem::TooLarge { base64_bytes: base64_bytes(bytes), most: max_base64_bytes };
            faults.push(TemplateFault::of_all(problem));
        }
        if faults.is_empty() { Ok(parts.concat()) } else { Err(faults) }
    }
}

impl Piece {
    fn name(&self) -> String {
        match self {
            Self::Text(_) => String::new(),
            Self::Parameter(name, _) => name.to_string(),
            Self::BuiltIn(built_in, _) => built_in.to_string(),
        }
    }
}

/// Checks that a script whose values are environment variables has no placeholder, of whatever parameter: it would reach the
/// interpreter as it stands. Double braces that are no placeholder are the script's own.
///
/// # Errors
/// Every placeholder, with the variable that is to stand there instead; at most [`FAULTS_MAX`] of them.
pub fn refuse_placeholders(content: &[u8]) -> Result<(), Vec<TemplateFault>> {
    let text = String::from_utf8_lossy(content);
    let mut faults = Vec::new();
    for token in scan(&text) {
        let Token::Braces(inner, at) = token else { continue };
        let variable = match Inner::parse(inner) {
            Ok(Inner::Parameter(name)) => Some(name.variable()),
            Ok(Inner::BuiltIn(built_in)) => built_in.variable(),
            Ok(Inner::ScriptFile(_)) => None,
            Err(_) => continue,
        };
        let problem = match variable {
            Some(variable) => TemplateProblem::UseVariable { variable: variable.to_string() },
            None => TemplateProblem::LauncherOnly,
        };
        faults.push(TemplateFault::new(at, inner, problem));
        if faults.len() == FAULTS_MAX {
            break;
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The environment variables that carry values and built-ins to a script: `ORDERLY_PARAM_MY_NAME` for the parameter `my-name`,
/// `ORDERLY_INSTANCE_ID` and its kind for built-ins, `ORDERLY_TAG_TEAM` for the tag `team`.
///
/// A built-in that is not known has no variable. Nor has a tag whose key has other characters than ASCII letters, digits, `_`,
/// `-`, `.`, `/` and blanks, and none of several tags that would have the same one: a script never sees one tag as another.
///
/// # Errors
/// Parameters of which two would have the same variable; whoever declares them is told before.
pub fn variables(values: &Values, built_ins: &BuiltIns) -> Result<BTreeMap<EnvName, String>, Vec<TemplateFault>> {
    let mut variables = built_ins.variables();
    let mut faults = Vec::new();
    for (name, value) in values.iter() {
        let variable = name.variable();
        if variables.insert(variable.clone(), value.to_owned()).is_some() {
            let problem = TemplateProblem::SameVariable { variable: variable.to_string() };
            faults.push(TemplateFault::new(Position::START, name.as_str(), problem));
        }
    }
    if faults.is_empty() { Ok(variables) } else { Err(faults) }
}

#[cfg(test)]
mod tests;
