//! What the command line says of a script besides what it is.
//!
//! Owns the options, and tells before anything is signed what every instance would refuse.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use orderly_model::command::{ContainerId, ContainerName};
use orderly_model::name::ParameterName;
use orderly_model::parameter::ParameterSpec;
use orderly_model::template::{self, Launcher, Template};
use orderly_signing::order::{MAX_VALUE_BYTES, Substitution, Termination};
use orderly_wire::http::script::ScriptOptions;

use crate::error::{Failure, OrFail as _};

/// How a script is started, what it gets, what it may use and how it ends.
#[derive(Debug, Args)]
pub(super) struct OptionArgs {
    /// A file that the script reads as its standard input, at most 64 KiB; `-` is this command's own
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Paste the values of `--set` over `{{name}}` in the script instead, as Cloud Assistant does: a value can then be code
    #[arg(long)]
    text_params: bool,
    /// The line that starts the script, such as `python3 -u {{ACS::ScriptFileName|Ext(".py")}}`
    #[arg(long, value_name = "LINE")]
    launcher: Option<String>,
    /// Processor time that the script may use, in percent of one processor
    #[arg(long, value_name = "PERCENT")]
    cpu: Option<u32>,
    /// Memory that the script may use, in MiB
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// Processes and threads that the script may have at a time
    #[arg(long, value_name = "N")]
    processes: Option<u32>,
    /// Let exit code 193 power the instance off and 194 restart it
    #[arg(long)]
    allow_restart: bool,
    /// Run it in this container of each instance, by its name or its id
    #[arg(
        long, value_name = "NAME|ID",
        conflicts_with_all = ["launcher", "cpu", "memory", "processes", "allow_restart"]
    )]
    container: Option<String>,
    /// What ends with the script, or when it is stopped
    #[arg(long, value_enum, default_value_t = Ends::Tree)]
    termination: Ends,
}

/// What ends with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ends {
    /// The script and all that it began
    Tree,
    /// The script's own process; what it left in the background lives on
    Process,
}

impl OptionArgs {
    /// The options for a script with this content and these values of its parameters. The content may have been read from standard input.
    ///
    /// # Errors
    /// A file cannot be read, or no instance would take it so.
    pub(super) fn read(
        &self,
        content: &[u8],
        parameters: BTreeMap<String, String>,
        stdin_is_taken: bool,
    ) -> Result<ScriptOptions, Failure> {
        let substitution = match (self.text_params, parameters.is_empty()) {
            (true, _) => Substitution::Text,
            (false, false) => Substitution::Environment,
            (false, true) => Substitution::Off,
        };
        let options = ScriptOptions {
            termination: (self.termination == Ends::Process).then_some(Termination::Process),
            stdin: self.stdin.as_deref().map(|file| input(file, stdin_is_taken)).transpose()?,
            launcher: self.launcher.clone(),
            substitution,
            parameters,
            cpu_percent: self.cpu,
            memory_mib: self.memory,
            processes: self.processes,
            exit_effects: self.allow_restart,
            container: self.container.clone(),
        };
        check(&options, content)?;
        Ok(options)
    }
}

fn input(file: &Path, taken: bool) -> Result<String, Failure> {
    let failed = || format!("cannot read the input `{}`", file.display());
    // One byte over the limit is enough to know that it is too long.
    let limit = MAX_VALUE_BYTES as u64 + 1;
    let mut text = String::new();
    if file == Path::new("-") {
        if taken {
            return Err(Failure::usage("`--file -` and `--stdin -` cannot both read standard input"));
        }
        std::io::stdin().lock().take(limit).read_to_string(&mut text).or_usage(failed)?;
    } else {
        fs::File::open(file).or_usage(failed)?.take(limit).read_to_string(&mut text).or_usage(failed)?;
    }
    if text.len() > MAX_VALUE_BYTES {
        return Err(Failure::usage(format!("the input has more than {MAX_VALUE_BYTES} bytes"))
            .hint("put data into a file on the instance"));
    }
    Ok(text)
}

fn check(options: &ScriptOptions, content: &[u8]) -> Result<(), Failure> {
    if let Some(launcher) = &options.launcher {
        launcher.parse::<Launcher>().or_usage(|| "`--launcher` is refused".to_owned())?;
    }
    if let Some(container) = &options.container {
        if container.parse::<ContainerId>().is_err() {
            container.parse::<ContainerName>().or_usage(|| "`--container` is refused".to_owned())?;
        }
        if options.termination.is_some() {
            return Err(Failure::usage("`--termination process` does not go with `--container`"));
        }
    }
    let names = options.parameters.keys().map(|name| name.parse::<ParameterName>());
    let names = names.collect::<Result<Vec<_>, _>>().or_usage(|| "`--set` is refused".to_owned())?;
    let found = match options.substitution {
        Substitution::Off => return Ok(()),
        Substitution::Environment => template::refuse_placeholders(content),
        Substitution::Text => {
            let text = std::str::from_utf8(content).or_usage(|| "the script is not UTF-8".to_owned())?;
            Template::parse(text).and_then(|template| {
                let specs: Vec<_> = names.into_iter().map(ParameterSpec::implied).collect();
                template.check(&specs)
            })
        }
    };
    found.map_err(|faults| {
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(format!("the script cannot have these values: {}", told.join("; ")))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: OptionArgs,
    }

    fn options(values: &[&str], words: &[&str], content: &str) -> Result<ScriptOptions, Failure> {
        let line = Line::parse_from(["x"].iter().chain(words));
        let values = values.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        line.options.read(content.as_bytes(), values, false)
    }

    #[test]
    fn nothing_said_is_nothing_asked() {
        assert!(options(&[], &[], "echo '{{name}}'").unwrap().is_empty());
    }

    #[test]
    fn values_are_environment_variables_unless_text_is_asked_for() {
        let said = options(&["name"], &[], "echo").unwrap();
        assert_eq!(said.substitution, Substitution::Environment);
        let said = options(&["name"], &["--text-params"], "echo {{name}}").unwrap();
        assert_eq!(said.substitution, Substitution::Text);
    }

    #[test]
    fn what_every_instance_would_refuse_is_told_before_it_is_signed() {
        for (values, words, content) in [
            (&["name"] as &[&str], &[] as &[&str], "echo {{name}}"),
            (&["na me"], &[], "echo"),
            (&[], &["--text-params"], "echo {{name}}"),
            (&[], &["--launcher", "python3"], "echo"),
            (&[], &["--stdin", "/no/such/file"], "echo"),
            (&[], &["--container", "a b"], "echo"),
            (&[], &["--container", "web", "--termination", "process"], "echo"),
        ] {
            assert!(options(values, words, content).is_err(), "{values:?} {words:?} {content}");
        }
    }
}
