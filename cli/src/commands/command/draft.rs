//! What a command that is kept says, from options and files.
//!
//! Owns the options that making and changing one share. Never judges values beyond what it must read: the server tells all that
//! is wrong at once, by the rules that orders have too.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use orderly_model::command::{CommandDraft, ContentEncoding};
use orderly_model::parameter::ParameterSpec;
use orderly_model::template::Substitution;
use serde::Deserialize;

use crate::args::timeout;
use crate::commands::run::read_script;
use crate::error::{Failure, OrFail as _};

/// What runs the script of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::commands) enum Kind {
    /// What the script's first line says, else sh
    Shell,
    /// PowerShell
    Powershell,
    /// The Windows command processor
    Bat,
}

impl Kind {
    /// As documents have it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Powershell => "powershell",
            Self::Bat => "bat",
        }
    }
}

/// How values reach the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// As environment variables, ORDERLY_PARAM_NAME
    Environment,
    /// Pasted in place of {{name}}, as they are: who chooses a value chooses what the script does
    Text,
    /// Not at all
    Off,
}

impl From<How> for Substitution {
    fn from(how: How) -> Self {
        match how {
            How::Environment => Self::Environment,
            How::Text => Self::Text,
            How::Off => Self::Off,
        }
    }
}

/// What a command says.
#[derive(Debug, Default, Args)]
pub(in crate::commands) struct DraftArgs {
    /// A file that holds the script; `-` is standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it is for, in a line
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A parameter of any text, with its default where there is one
    #[arg(long = "param", value_name = "NAME[=DEFAULT]", conflicts_with = "parameters")]
    params: Vec<String>,
    /// A TOML file of parameters, `[[parameters]]` as in a plugin's manifest
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// How values reach the script; as environment variables where a command has parameters
    #[arg(long, value_enum, value_name = "HOW")]
    values: Option<How>,
    /// How long a run may take; 60 s where absent
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    timeout: Option<u32>,
    /// The working directory; the user's home where absent
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// The user to run as; the agent's own where absent
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

/// A file of parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersFile {
    parameters: Vec<ParameterSpec>,
}

impl DraftArgs {
    /// A new command's draft.
    ///
    /// # Errors
    /// There is no script, or a file cannot be read.
    pub(super) fn made(self, name: String, kind: Kind) -> Result<CommandDraft, Failure> {
        if self.file.is_none() {
            return Err(Failure::usage("there is no script to keep").hint("pass `--file FILE`; `-` is standard input"));
        }
        let draft = CommandDraft { name, kind: kind.as_str().to_owned(), ..CommandDraft::default() };
        let mut draft = self.edited(draft, None)?;
        // Nothing to hand over: what stands in double braces is the script's own, and every agent can run it.
        if draft.parameters.is_empty() && draft.substitution.is_none() {
            draft.substitution = Some(Substitution::Off);
        }
        Ok(draft)
    }

    /// The draft with what is said here.
    ///
    /// # Errors
    /// A file cannot be read, or a parameter's name is none.
    pub(super) fn edited(self, before: CommandDraft, rename: Option<String>) -> Result<CommandDraft, Failure> {
        let mut draft = before;
        if let Some(file) = &self.file {
            let (encoding, content) = ContentEncoding::encode(&read_script(file)?);
            (draft.encoding, draft.content) = (Some(encoding.to_string()), Some(content));
        }
        let parameters = match &self.parameters {
            Some(file) => Some(read_parameters(file)?),
            None if self.params.is_empty() => None,
            None => Some(self.params.iter().map(|text| parameter(text)).collect::<Result<Vec<_>, _>>()?),
        };
        if let Some(parameters) = parameters {
            draft.parameters = parameters;
            // A command that had none becomes one that has some.
            if draft.substitution == Some(Substitution::Off) && self.values.is_none() {
                draft.substitution = None;
            }
        }
        draft.name = rename.unwrap_or(draft.name);
        draft.description = self.description.unwrap_or(draft.description);
        draft.substitution = self.values.map(Into::into).or(draft.substitution);
        draft.timeout_s = self.timeout.or(draft.timeout_s);
        draft.working_dir = self.cwd.or(draft.working_dir);
        draft.user = self.user.or(draft.user);
        Ok(draft)
    }
}

/// Reads `NAME` or `NAME=DEFAULT`; without a default a value must be given.
fn parameter(text: &str) -> Result<ParameterSpec, Failure> {
    let (name, default) = match text.split_once('=') {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (text, None),
    };
    let name = name.parse().or_usage(|| format!("`--param {text}` names no parameter"))?;
    Ok(ParameterSpec { required: true, default, ..ParameterSpec::implied(name) })
}

fn read_parameters(file: &Path) -> Result<Vec<ParameterSpec>, Failure> {
    let text = std::fs::read_to_string(file).or_usage(|| format!("cannot read `{}`", file.display()))?;
    let read: ParametersFile =
        toml::from_str(&text).or_usage(|| format!("`{}` is no file of `[[parameters]]`", file.display()))?;
    Ok(read.parameters)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let script = file("echo one");
        let args = DraftArgs { file: Some(script.path().to_owned()), user: Some("root".into()), ..Default::default() };
        let draft = args.made("one".to_owned(), Kind::Shell).unwrap();
        assert_eq!((draft.content.as_deref(), draft.substitution), (Some("echo one"), Some(Substitution::Off)));
        let edit = DraftArgs { timeout: Some(5), params: vec!["who=world".into(), "x".into()], ..Default::default() };
        let edited = edit.edited(draft.clone(), None).unwrap();
        assert_eq!((edited.content, edited.user, edited.timeout_s), (draft.content, draft.user, Some(5)));
        assert_eq!(edited.substitution, None, "parameters want a way to the script");
        assert_eq!(edited.parameters[0].default.as_deref(), Some("world"));
        assert!(edited.parameters[1].required);
        assert!(DraftArgs::default().made("two".to_owned(), Kind::Bat).is_err(), "no script");
    }

    #[test]
    fn parameters_of_a_file_have_all_that_a_manifest_can_say() {
        let good =
            file("[[parameters]]\nname = \"level\"\nkind = \"integer\"\ndefault = \"3\"\nallowed = [\"3\", \"4\"]\n");
        assert_eq!(read_parameters(good.path()).unwrap()[0].allowed.len(), 2);
        let unknown = file("[[parameters]]\nname = \"level\"\nkindd = \"integer\"\n");
        assert!(read_parameters(unknown.path()).is_err());
        assert!(parameter("no name").is_err() && parameter("=x").is_err());
    }
}
