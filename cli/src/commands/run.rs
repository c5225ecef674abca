//! `orderly run`: a script or a plugin on instances, followed to its end.
//!
//! Owns the options and what is signed. The order is built here, from the command line, and signed with the operator's
//! key; the server only carries it.

pub(super) mod preview;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use orderly_model::limits;
use orderly_signing::key::SecretKey;
use orderly_signing::order::ScriptKind;

use super::sending::{Sending, create, spreads};
use crate::args::{key_value, timeout};
use crate::catalogue;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::follow;
use crate::order::{self, Frame, Plugin, Script, Work};

mod options;
mod targets;
mod when;

pub(super) use targets::TargetArgs;

/// Run a script or a plugin on instances, and follow it to its end
///
/// One word after `--` is a script; several are one command with its arguments. While it is followed, the first ctrl-c
/// asks the server to stop it and the second leaves without waiting.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    targets: TargetArgs,

    /// A plugin to run, instead of a script; its newest approved version where none is named
    #[arg(long, value_name = "NAME[@VERSION]", conflicts_with_all = ["script", "file", "user", "cwd", "environment", "interpreter", "OptionArgs"])]
    plugin: Option<String>,
    /// A value for a parameter of the plugin, or of the script, which finds it in the variable `ORDERLY_PARAM_NAME`
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = key_value)]
    parameters: Vec<(String, String)>,

    /// A file that holds the script; `-` is standard input
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "script")]
    file: Option<PathBuf>,
    /// What runs the script
    #[arg(long, value_enum, default_value_t = Interpreter::Shell)]
    interpreter: Interpreter,
    /// The user to run as; the agent's own where absent
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The working directory; the user's home where absent
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// An environment variable of the script
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = key_value)]
    environment: Vec<(String, String)>,

    #[command(flatten)]
    options: options::OptionArgs,
    /// Have instances check everything and tell what would run, and run nothing
    #[arg(long, conflicts_with = "when")]
    dry_run: bool,

    #[command(flatten)]
    when: when::WhenArgs,
    /// How long a task may run; 60 s, or what the plugin's manifest says
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    timeout: Option<u32>,
    /// Bytes of output to keep of each task
    #[arg(
        long, value_name = "BYTES", default_value_t = limits::OUTPUT_KEPT_DEFAULT_BYTES,
        value_parser = clap::value_parser!(u32).range(..=i64::from(limits::OUTPUT_KEPT_MAX_BYTES))
    )]
    keep: u32,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Keep the script on the server as a command of this name, and run that
    #[arg(long, value_name = "NAME", conflicts_with_all = ["plugin", "preview", "dry_run"])]
    save: Option<String>,
    /// Do not wait for the end; print the invocation's id
    #[arg(long)]
    detach: bool,
    /// Send nothing: show who is meant, who is offline, and who would refuse and why
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    sending: Sending,

    /// The script
    #[arg(last = true, value_name = "SCRIPT")]
    script: Vec<String>,
}

/// What runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Interpreter {
    /// What the script's first line says, else sh
    Shell,
    /// PowerShell
    Powershell,
    /// The Windows command processor
    Bat,
}

impl From<Interpreter> for ScriptKind {
    fn from(interpreter: Interpreter) -> Self {
        match interpreter {
            Interpreter::Shell => Self::Shell,
            Interpreter::Powershell => Self::PowerShell,
            Interpreter::Bat => Self::Bat,
        }
    }
}

impl Run {
    /// Signs, sends and follows.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let content = self.content()?;
        let client = context.client()?;
        let (work, key) = match &self.plugin {
            Some(plugin) => self.plugin(context, &client, plugin).await?,
            // What is only looked at needs no key.
            None if self.preview => (Work::Script(self.script(content)?), None),
            None => (Work::Script(self.script(content)?), self.sending.operator(context)?),
        };
        let instances = self.targets.find(&context.printer, &client, self.preview).await?;
        let mut frame = self.sending.frame(key.as_ref(), &instances, self.name)?;
        let timeout_s = match &work {
            Work::Plugin(plugin) => plugin.timeout_s,
            _ => self.timeout.unwrap_or(limits::TIMEOUT_DEFAULT_S),
        };
        if let Some((series, told)) = self.when.read(timeout_s, frame.now_ms)? {
            context.printer.remark(&told);
            frame.series = Some(series);
        }
        if let Some(spreads) = spreads(&work, &frame) {
            if frame.series.is_some() {
                return Err(Failure::usage(
                    "a schedule or boot mode cannot be a rollout: each instance keeps it by itself",
                )
                .hint("leave out the options of one of them"));
            }
            context.printer.remark(&spreads);
        }
        if self.preview {
            preview::show(&context.printer, &order::draft(&work, &frame)?, &instances);
            return Ok(Exit::Success);
        }
        let work = match (self.save, work) {
            (Some(name), Work::Script(script)) => super::command::save(context, &client, name, script).await?,
            (_, work) => work,
        };
        send(context, &client, &work, &frame, key.as_ref(), self.detach).await
    }

    /// The script's bytes; nothing for a plugin.
    fn content(&self) -> Result<Vec<u8>, Failure> {
        let content = match (&self.file, self.script.as_slice()) {
            _ if self.plugin.is_some() => return Ok(Vec::new()),
            (Some(file), _) => read_script(file)?,
            (None, []) => {
                return Err(Failure::usage("there is nothing to run")
                    .hint("put the script after `--`, or pass `--file FILE` or `--plugin NAME`"));
            }
            (None, words) => order::script_of_words(words),
        };
        if content.trim_ascii().is_empty() {
            return Err(Failure::usage("the script is empty").hint("put it after `--`, or into the file of `--file`"));
        }
        if content.len() > limits::CONTENT_MAX_BYTES {
            return Err(Failure::usage(format!(
                "the script has {} bytes, at most {} are allowed",
                content.len(),
                limits::CONTENT_MAX_BYTES
            ))
            .hint("put data into a file on the instance, and let a short script read it"));
        }
        Ok(content)
    }

    fn script(&self, content: Vec<u8>) -> Result<Script, Failure> {
        let parameters = unique(self.parameters.clone(), "--set")?;
        let options = self.options.read(&content, parameters, self.file.as_deref() == Some(Path::new("-")))?;
        Ok(Script {
            interpreter: self.interpreter.into(),
            content,
            user: self.user.clone(),
            cwd: self.cwd.clone(),
            timeout_s: self.timeout.unwrap_or(limits::TIMEOUT_DEFAULT_S),
            environment: unique(self.environment.clone(), "--env")?,
            output_bytes: self.keep,
            options,
            dry_run: self.dry_run,
        })
    }

    /// The plugin with the digests that the security team approved, and the key where one is needed.
    async fn plugin(
        &self,
        context: &Context,
        client: &Client,
        plugin: &str,
    ) -> Result<(Work, Option<SecretKey>), Failure> {
        let found = catalogue::find(client, plugin).await?;
        let name = self.sending.key_name(context);
        let keyring = context.trust.keyring()?;
        let at_hand = context.keys.has(name) && keyring.is_some();
        let needed = keyring.as_ref().is_none_or(|keyring| catalogue::needs_operator(keyring, &found.view));
        let key = match (self.sending.unsigned, at_hand) {
            (true, _) => None,
            (false, true) => Some(context.keys.secret(name)?),
            // Nobody here to sign: fine where the policy asks for no person.
            (false, false) if self.sending.key.is_none() && (!needed || keyring.is_none()) => None,
            (false, false) => Some(context.keys.secret(name)?),
        };
        if key.is_some() {
            // What gets an operator's signature are digests that the security team signed, never the server's word.
            catalogue::check_approved(&found, &context.trust.need_keyring()?)?;
        }
        let manifest = catalogue::manifest(&found)?;
        let parameters = unique(self.parameters.clone(), "--set")?;
        catalogue::check_parameters(&manifest, &parameters)?;
        let work = Work::Plugin(Plugin {
            name: found.view.name,
            version: found.view.version,
            component: found.view.component,
            manifest: found.view.manifest,
            parameters,
            timeout_s: self.timeout.unwrap_or(manifest.limits.timeout_s),
            output_bytes: self.keep,
            dry_run: self.dry_run,
        });
        Ok((work, key))
    }
}

/// Signs and sends, and follows to the end unless that is not wanted.
pub(super) async fn send(
    context: &Context,
    client: &Client,
    work: &Work,
    frame: &Frame,
    key: Option<&SecretKey>,
    detach: bool,
) -> Outcome {
    let (view, _) = create(client, work, frame, key).await?;
    // A series goes on for as long as it is due: nobody waits for that.
    if detach || frame.series.is_some() {
        context.printer.one(&view, |printer| printer.line(&view.id));
        return Ok(Exit::Success);
    }
    follow::follow(client, &context.printer, &view).await
}

pub(super) fn read_script(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = || format!("cannot read the script `{}`", file.display());
    // One byte over the limit is enough to know that it is too long.
    let limit = limits::CONTENT_MAX_BYTES as u64 + 1;
    let mut content = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut content).or_usage(failed)?;
    } else {
        fs::File::open(file).or_usage(failed)?.take(limit).read_to_end(&mut content).or_usage(failed)?;
    }
    Ok(content)
}

/// A map of pairs in which no key may come twice: the later would win unseen.
pub(super) fn unique(pairs: Vec<(String, String)>, option: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(Failure::usage(format!("`{option} {key}=…` is there twice")));
        }
        map.insert(key, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_key_twice_is_an_error() {
        let pair = |key: &str| (key.to_owned(), "v".to_owned());
        assert!(unique(vec![pair("a"), pair("b")], "--set").is_ok());
        assert!(unique(vec![pair("a"), pair("a")], "--set").is_err());
    }

    #[test]
    fn a_file_over_the_limit_is_read_no_further() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(limits::CONTENT_MAX_BYTES as u64 * 4).unwrap();
        assert_eq!(read_script(file.path()).unwrap().len(), limits::CONTENT_MAX_BYTES + 1);
    }
}
