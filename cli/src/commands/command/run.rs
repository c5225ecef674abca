//! `orderly command run`: a kept command on instances, followed to its end.
//!
//! Owns what is signed: the script as it was fetched and shown, never the server's word for it. Who wants to be sure of what that
//! is pins its digest.

use std::collections::BTreeMap;

use clap::Args;
use orderly_model::command::{
    CommandBody, CommandDraft, CommandType, ContentEncoding, ContentLimits, ContentUse, StoredCommand,
};
use orderly_model::limits;
use orderly_model::parameter::Values;
use orderly_model::template::Substitution;
use orderly_signing::Digest;
use orderly_signing::order::ScriptKind;
use orderly_wire::http::command::{CommandDetail, CreateCommand, RunCommand};

use crate::args::{deadline, key_value, timeout};
use crate::client::Client;
use crate::commands::run::{TargetArgs, preview, principal, send, unique};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::fleet;
use crate::order::{self, Frame, Kept, Script, Work};
use crate::output::{now_ms, time};

/// Run a kept command on instances, and follow it to its end
///
/// The order is made and signed here, of the script as the server shows it: look at it with `orderly command show`, and pin what
/// you saw with `--content`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Its id or name
    command: String,
    #[command(flatten)]
    targets: TargetArgs,
    /// Which version; the newest where absent
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// Refuse to sign a script with another digest than this, sha256:…
    #[arg(long, value_name = "DIGEST")]
    content: Option<Digest>,
    /// A value for a parameter
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = key_value)]
    parameters: Vec<(String, String)>,
    /// The user to run as, instead of the command's
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The working directory, instead of the command's
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// How long a task may run, instead of what the command says
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    timeout: Option<u32>,
    /// Within which time an instance must have accepted it; more makes it wait for instances that are offline
    #[arg(long, value_name = "SPAN", value_parser = deadline, default_value = "60s")]
    deadline: u32,
    /// Bytes of output to keep of each task
    #[arg(
        long, value_name = "BYTES", default_value_t = limits::OUTPUT_KEPT_DEFAULT_BYTES,
        value_parser = clap::value_parser!(u32).range(..=i64::from(limits::OUTPUT_KEPT_MAX_BYTES))
    )]
    keep: u32,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Do not wait for the end; print the invocation's id
    #[arg(long)]
    detach: bool,
    /// Send nothing: show who is meant, who is offline, and who would refuse and why
    #[arg(long)]
    preview: bool,
    /// The key that signs: a name in `keys/`, or a path
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Send no signature of an operator; instances then obey only where the fleet's policy accepts the server's alone
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
}

impl Run {
    /// Fetches, shows, signs, sends and follows.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let name = self.key.as_deref().unwrap_or(&context.settings.operator_key);
        // What is only looked at needs no key.
        let key = if self.unsigned || self.preview { None } else { Some(context.keys.secret(name)?) };
        let client = context.client()?;
        let found = super::find(&client, &self.command, self.version).await?;
        let asked = RunCommand {
            id: found.view.id.clone(),
            version: Some(found.view.shown.version),
            parameters: unique(self.parameters, "--set")?,
            user: self.user,
            cwd: self.cwd,
            timeout_s: self.timeout,
            output_bytes: Some(self.keep),
        };
        let kept = kept(&found, asked, self.content.as_ref())?;
        let shown = &found.view.shown;
        context.printer.remark(&format!(
            "`{}`, {} version {}, changed {} UTC by {}, content {}",
            shown.name,
            found.view.id,
            shown.version,
            time(shown.changed_ms),
            shown.changed_by,
            kept.action.content
        ));
        let instances = fleet::select(&client, &self.targets.selection()?).await?;
        let frame = Frame {
            principal: principal(key.as_ref()),
            instances: instances.iter().map(|view| view.id.clone()).collect(),
            deadline_s: self.deadline,
            name: self.name,
            now_ms: now_ms(),
        };
        let work = Work::Kept(Box::new(kept));
        if self.preview {
            preview::show(&context.printer, &order::draft(&work, &frame)?, &instances);
            return Ok(Exit::Success);
        }
        send(context, &client, &work, &frame, key.as_ref(), self.detach).await
    }
}

/// Keeps a script as a new command, and answers what runs it as such.
///
/// # Errors
/// The server refuses it, or shows another script than was sent.
pub(in crate::commands) async fn save(
    context: &Context,
    client: &Client,
    name: String,
    script: Script,
) -> Result<Work, Failure> {
    let sent = Digest::of(&script.content);
    let (encoding, content) = ContentEncoding::encode(&script.content);
    let kind = match script.interpreter {
        ScriptKind::Shell => CommandType::Shell,
        ScriptKind::PowerShell => CommandType::PowerShell,
        ScriptKind::Bat => CommandType::Bat,
    };
    let command = CommandDraft {
        name,
        kind: kind.to_string(),
        content: Some(content),
        encoding: Some(encoding.to_string()),
        user: script.user,
        working_dir: script.cwd,
        timeout_s: Some(script.timeout_s),
        environment: script.environment,
        substitution: Some(Substitution::Off),
        ..CommandDraft::default()
    };
    let request = CreateCommand { command: command.clone(), tags: BTreeMap::new() };
    let made: CommandDetail = client.post("/v1/commands", &request).await?;
    context.printer.remark(&format!("kept as `{}`, {} version 1", command.name, made.view.id));
    let asked = RunCommand {
        id: made.view.id.clone(),
        version: Some(made.view.shown.version),
        parameters: BTreeMap::new(),
        user: None,
        cwd: None,
        timeout_s: None,
        output_bytes: Some(script.output_bytes),
    };
    // What is signed is what was typed here, whatever the server shows.
    kept(&CommandDetail { command, ..made }, asked, Some(&sent)).map(|kept| Work::Kept(Box::new(kept)))
}

/// What is asked of the command, by the rules that the server has too.
fn kept(found: &CommandDetail, asked: RunCommand, pinned: Option<&Digest>) -> Result<Kept, Failure> {
    let id = found.view.id.as_str();
    let draft = CommandDraft {
        user: asked.user.clone().or_else(|| found.command.user.clone()),
        working_dir: asked.cwd.clone().or_else(|| found.command.working_dir.clone()),
        timeout_s: asked.timeout_s.or(found.command.timeout_s),
        ..found.command.clone()
    };
    let command = draft.check(&ContentLimits::MOST, ContentUse::Stored).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(format!("`{id}` cannot be run like this: {}", faults.join("; ")))
    })?;
    let stored = StoredCommand {
        id: id
            .parse()
            .map_err(|error| Failure::server(format!("the server shows the command `{id}`")).because(error))?,
        version: found.view.shown.version,
        command,
    };
    let CommandBody::Script(script) = &stored.command.body else {
        return Err(Failure::usage(format!("`{id}` keeps a plugin, not a script"))
            .hint("run it with `orderly run --plugin NAME@VERSION`, which checks what was approved"));
    };
    let content = Digest::of(&script.content);
    if found.view.shown.content != Some(content) {
        return Err(Failure::not_verified(format!("the server shows a script with another digest than {content}")));
    }
    if let Some(pinned) = pinned.filter(|pinned| **pinned != content) {
        return Err(Failure::not_verified(format!(
            "version {} of `{id}` has the content {content}, not {pinned}: nothing was signed",
            stored.version
        ))
        .hint(format!("`orderly command versions {id}` says who changed what")));
    }
    let values: Values = Values::resolve(&script.parameters, &asked.parameters).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(faults.join("; ")).hint(format!("`orderly command show {id}` shows what it takes"))
    })?;
    let output_bytes = asked.output_bytes.unwrap_or(limits::OUTPUT_KEPT_DEFAULT_BYTES);
    // The values with their defaults, as the order says them: the server must find the same.
    let parameters: BTreeMap<String, String> = values.clone().into_texts();
    let action = script.action(Some(stored.id), &values, output_bytes);
    Ok(Kept { request: RunCommand { parameters, ..asked }, action })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_model::parameter::ParameterSpec;
    use orderly_wire::http::command::{CommandView, VersionView};

    use super::*;

    const ID: &str = "c-00000000000000000000000000";

    fn found(content: &str) -> CommandDetail {
        let who = ParameterSpec { default: Some("world".into()), ..ParameterSpec::implied("who".parse().unwrap()) };
        CommandDetail {
            view: CommandView {
                id: ID.to_owned(),
                kind: "shell".to_owned(),
                shown: VersionView {
                    version: 3,
                    name: "greet".to_owned(),
                    description: String::new(),
                    content: Some(Digest::of(content.as_bytes())),
                    content_bytes: 4,
                    changed_ms: 0,
                    changed_by: "alice".to_owned(),
                },
                newest: 3,
                tags: BTreeMap::new(),
                created_ms: 0,
                created_by: "alice".to_owned(),
                used_ms: None,
            },
            command: CommandDraft {
                name: "greet".to_owned(),
                kind: "shell".to_owned(),
                content: Some(content.to_owned()),
                parameters: vec![who],
                ..CommandDraft::default()
            },
        }
    }

    fn asked(parameters: &[(&str, &str)]) -> RunCommand {
        RunCommand {
            id: ID.to_owned(),
            version: Some(3),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            user: Some("root".to_owned()),
            cwd: None,
            timeout_s: None,
            output_bytes: None,
        }
    }

    #[test]
    fn the_order_says_what_was_shown_and_asked() {
        let kept = kept(&found("echo"), asked(&[]), Some(&Digest::of(b"echo"))).unwrap();
        assert_eq!(kept.action.content, Digest::of(b"echo"));
        assert_eq!((kept.action.command.as_deref(), kept.action.user.as_deref()), (Some(ID), Some("root")));
        assert_eq!(kept.action.parameters["who"], "world");
        assert_eq!(kept.request.parameters, kept.action.parameters);
    }

    #[test]
    fn a_script_that_is_not_what_it_was_is_not_signed() {
        assert!(kept(&found("echo"), asked(&[]), Some(&Digest::of(b"other"))).is_err(), "pinned");
        let mut swapped = found("echo");
        swapped.command.content = Some("rm -r /".to_owned());
        assert!(kept(&swapped, asked(&[]), None).is_err(), "the digest is that of another script");
    }

    #[test]
    fn values_that_the_command_does_not_take_are_refused_before_anything_is_sent() {
        assert!(kept(&found("echo"), asked(&[("x", "y")]), None).is_err());
        assert!(kept(&found("echo {{who}}"), asked(&[]), None).is_err(), "it would reach the shell as it stands");
    }
}
