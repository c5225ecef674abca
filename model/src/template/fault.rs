//! What is wrong with a placeholder and where, for the person who writes the script.

use std::fmt;

use crate::error::{Position, Shown};
use crate::limits::PARAMETERS_MAX;

/// Most faults that are told of one script: a file that is no script can have as many as it has bytes.
pub const FAULTS_MAX: usize = 100;
/// Most placeholders of one script, so that what is read is not much larger than the script.
pub const PLACEHOLDERS_MAX: usize = 10_000;

/// One placeholder that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Where its first brace is; nothing where the fault is of the whole script.
    pub at: Option<Position>,
    /// What stands in the braces, cut; never a value.
    pub placeholder: String,
    /// What is wrong.
    pub problem: TemplateProblem,
}

/// What can be wrong with a placeholder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// There is nothing in the braces.
    #[error("names no parameter")]
    Empty,
    /// What is in the braces is no name.
    #[error(
        "is no name of a parameter: write 1-64 of A-Z, a-z, 0-9, `-` and `_`; a script with double braces of its own gets its values as environment variables"
    )]
    NoName,
    /// `ACS::` and a name that there is not.
    #[error(
        "is no built-in: there are ACS::RegionId, AccountId, InstanceId, InstanceName, InvokeId, CommandId and ACS::Tag::KEY"
    )]
    NoBuiltIn,
    /// `ACS::Tag::` and what is no key of a tag.
    #[error("names no tag: {why}")]
    NoTag {
        /// Why the key is none.
        why: String,
    },
    /// An extension that is none.
    #[error(
        "has no extension of a file: write `|Ext(\".py\")`, a dot and then 1-31 of A-Z, a-z, 0-9, `.`, `_` and `-`"
    )]
    Extension,
    /// The script's file outside of a launcher.
    #[error("is known to launchers only")]
    LauncherOnly,
    /// The 21st name.
    #[error("is one name too many: a command has at most {PARAMETERS_MAX}")]
    TooMany,
    /// The 10,001st placeholder.
    #[error("is one placeholder too many: a script has at most {PLACEHOLDERS_MAX}")]
    TooManyPlaceholders,
    /// The command does not declare it.
    #[error("is not declared by the command, which takes {}", list(.known))]
    Undeclared {
        /// What the command declares.
        known: Vec<String>,
    },
    /// It has no value.
    #[error("has no value here")]
    Missing,
    /// It is a secret.
    #[error("is a secret, which is never text in a script: use environment variables")]
    Secret,
    /// A value that the server told could be part of a script, an option or a way out of a directory.
    #[error(
        "has a value that is not pasted into scripts, as it is not 1-128 letters, digits, `.`, `_`, `:` and `-` that begin with a letter or a digit and have no `..`: use the environment variable `{variable}`"
    )]
    Unsafe {
        /// The variable that carries it.
        variable: String,
    },
    /// A placeholder where values are environment variables.
    #[error(
        "stays as it is, as values are environment variables: use `{variable}`, or run the script without parameters where it is the script's own"
    )]
    UseVariable {
        /// The variable that carries the value.
        variable: String,
    },
    /// Two values would be the same environment variable.
    #[error("would be the variable `{variable}` a second time")]
    SameVariable {
        /// The variable.
        variable: String,
    },
    /// The script with all values is too large.
    #[error("has {base64_bytes} bytes as Base64 once its values are in their places; at most {most} are allowed")]
    TooLarge {
        /// How large it is.
        base64_bytes: usize,
        /// How large it may be.
        most: usize,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no parameters".to_owned() } else { names.join(", ") }
}

impl TemplateFault {
    /// Most bytes of a placeholder that are kept, so that faults of a large script stay small.
    const KEPT_MAX_CHARS: usize = 81;

    pub(super) fn new(at: Position, placeholder: &str, problem: TemplateProblem) -> Self {
        let placeholder = placeholder.trim().chars().take(Self::KEPT_MAX_CHARS).collect();
        Self { at: Some(at), placeholder, problem }
    }

    pub(super) fn of_all(problem: TemplateProblem) -> Self {
        Self { at: None, placeholder: String::new(), problem }
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => {
                let braces = format!("{{{{{}}}}}", self.placeholder);
                write!(out, "{at}: {} {}", Shown(&braces), self.problem)
            }
            None => write!(out, "the script {}", self.problem),
        }
    }
}

impl std::error::Error for TemplateFault {}
