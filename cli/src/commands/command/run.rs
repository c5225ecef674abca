//! `orderly command run`: a kept command on instances, followed to its end.
//!
//! Owns what is signed: the command as it was fetched and told in words, never the server's word for it. Who wants to be sure of what
//! that is pins the digest over all of it.

use std::collections::BTreeMap;

use clap::Args;
use orderly_model::command::{CommandBody, CommandDraft, CommandType, ContainerDraft, ContainerId, ContentEncoding};
use orderly_model::limits;
use orderly_model::parameter::{ParameterSpec, Values};
use orderly_signing::Digest;
use orderly_signing::order::{Action, Resources};
use orderly_wire::http::command::{CommandDetail, CreateCommand, RunCommand};

use super::show;
use crate::args::{key_value, timeout};
use crate::client::Client;
use crate::commands::run::{TargetArgs, preview, send, unique};
use crate::commands::sending::{Sending, spreads};
use crate::commands::verify::words;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::order::{self, Kept, Script, Work};
use crate::output::time;

/// Run a kept command on instances, and follow it to its end
///
/// The order is made and signed here, of the command as the server shows it: look at it with `orderly command show`, and pin what
/// you saw with `--pin`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Its id or name
    command: String,
    #[command(flatten)]
    targets: TargetArgs,
    /// Which version; the newest where absent
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// Refuse to sign a command that is not all as `orderly command show` has shown it: the digest there, sha256:…
    #[arg(long, value_name = "DIGEST")]
    pin: Option<Digest>,
    /// Refuse to sign a script with another digest than this, sha256:…; how it is started and what it gets is not in that
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
    #[command(flatten)]
    sending: Sending,
}

impl Run {
    /// Fetches, shows, signs, sends and follows.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        // What is only looked at needs no key.
        let key = if self.preview { None } else { self.sending.operator(context)? };
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
        let (kept, whole) = kept(&found, asked, &Pins { whole: self.pin, content: self.content })?;
        let shown = &found.view.shown;
        context.printer.remark(&format!(
            "`{}`, {} version {}, changed {} UTC by {}, all of it {whole}: {}",
            shown.name,
            found.view.id,
            shown.version,
            time(shown.changed_ms),
            shown.changed_by,
            words::action(&Action::Script(kept.action.clone()))
        ));
        let instances = self.targets.find(&context.printer, &client, self.preview).await?;
        let frame = self.sending.frame(key.as_ref(), &instances, self.name)?;
        let work = Work::Kept(Box::new(kept));
        if let Some(spreads) = spreads(&work, &frame) {
            context.printer.remark(&spreads);
        }
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
    let content = Some(Digest::of(&script.content));
    let (output_bytes, values) = (script.output_bytes, script.options.parameters.clone());
    let command = draft(name, script)?;
    let request = CreateCommand { command: command.clone(), tags: BTreeMap::new() };
    let made: CommandDetail = client.post("/v1/commands", &request).await?;
    context.printer.remark(&format!("kept as `{}`, {} version 1", command.name, made.view.id));
    let asked = RunCommand {
        id: made.view.id.clone(),
        version: Some(made.view.shown.version),
        parameters: values,
        user: None,
        cwd: None,
        timeout_s: None,
        output_bytes: Some(output_bytes),
    };
    // What is signed is what was typed here, whatever the server shows.
    let (kept, _) = kept(&CommandDetail { command, ..made }, asked, &Pins { content, whole: None })?;
    Ok(Work::Kept(Box::new(kept)))
}

/// A script as a command that does the same with all its options. Values are not kept, the names that they are for are.
fn draft(name: String, script: Script) -> Result<CommandDraft, Failure> {
    let (encoding, content) = ContentEncoding::encode(&script.content);
    let options = script.options;
    let resources =
        Resources { cpu_percent: options.cpu_percent, memory_mib: options.memory_mib, processes: options.processes };
    let required = |name| ParameterSpec { required: true, ..ParameterSpec::implied(name) };
    let parameters: Result<Vec<_>, _> = options.parameters.keys().map(|name| name.parse().map(required)).collect();
    Ok(CommandDraft {
        name,
        kind: CommandType::from(script.interpreter).to_string(),
        content: Some(content),
        encoding: Some(encoding.to_string()),
        user: script.user,
        working_dir: script.cwd,
        timeout_s: Some(script.timeout_s),
        environment: script.environment,
        termination: options.termination,
        stdin: options.stdin,
        launcher: options.launcher,
        resources: (resources != Resources::default()).then_some(resources),
        exit_effects: options.exit_effects,
        container: options.container.map(container),
        substitution: Some(options.substitution),
        parameters: parameters.or_usage(|| "`--set` is refused".to_owned())?,
        ..CommandDraft::default()
    })
}

/// A container as a command has it: what could be an id is one.
fn container(text: String) -> ContainerDraft {
    match text.parse::<ContainerId>() {
        Ok(_) => ContainerDraft { id: Some(text), name: None },
        Err(_) => ContainerDraft { id: None, name: Some(text) },
    }
}

/// What a command must still be.
#[derive(Debug, Default)]
struct Pins {
    /// All of it.
    whole: Option<Digest>,
    /// Its script.
    content: Option<Digest>,
}

/// What is asked of the command, by the rules that the server has too, and the digest over all of the command.
fn kept(found: &CommandDetail, asked: RunCommand, pins: &Pins) -> Result<(Kept, Digest), Failure> {
    let id = found.view.id.as_str();
    let draft = CommandDraft {
        user: asked.user.clone().or_else(|| found.command.user.clone()),
        working_dir: asked.cwd.clone().or_else(|| found.command.working_dir.clone()),
        timeout_s: asked.timeout_s.or(found.command.timeout_s),
        ..found.command.clone()
    };
    let stored = show::read(found, &draft)?;
    let whole = show::pin(&show::read(found, &found.command)?)?;
    let (CommandBody::Script(script), Some(whole)) = (&stored.command.body, whole) else {
        return Err(Failure::usage(format!("`{id}` keeps a plugin, not a script"))
            .hint("run it with `orderly run --plugin NAME@VERSION`, which checks what was approved"));
    };
    let content = Digest::of(&script.content);
    if found.view.shown.content != Some(content) {
        return Err(Failure::not_verified(format!("the server shows a script with another digest than {content}")));
    }
    for (what, pinned, now) in [("as a whole", pins.whole, whole), ("as its content", pins.content, content)] {
        if let Some(pinned) = pinned.filter(|pinned| *pinned != now) {
            return Err(Failure::not_verified(format!(
                "version {} of `{id}` has {what} the digest {now}, not {pinned}: nothing was signed",
                stored.version
            ))
            .hint(format!(
                "`orderly command versions {id}` says who changed what, `orderly command show {id}` what it is"
            )));
        }
    }
    let values: Values = Values::resolve(&script.parameters, &asked.parameters).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failure::usage(faults.join("; ")).hint(format!("`orderly command show {id}` shows what it takes"))
    })?;
    let output_bytes = asked.output_bytes.unwrap_or(limits::OUTPUT_KEPT_DEFAULT_BYTES);
    // The values with their defaults, as the order says them: the server must find the same.
    let parameters: BTreeMap<String, String> = values.clone().into_texts();
    let action = script.action(Some(stored.id), &values, output_bytes);
    Ok((Kept { request: RunCommand { parameters, ..asked }, action }, whole))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::order::{ScriptAction, ScriptKind, Substitution, Termination};
    use orderly_wire::http::command::{CommandView, VersionView};
    use orderly_wire::http::script::ScriptOptions;

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

    fn content(script: &[u8]) -> Pins {
        Pins { content: Some(Digest::of(script)), whole: None }
    }

    #[test]
    fn the_order_says_what_was_shown_and_asked() {
        let (kept, _) = kept(&found("echo"), asked(&[]), &content(b"echo")).unwrap();
        assert_eq!(kept.action.content, Digest::of(b"echo"));
        assert_eq!((kept.action.command.as_deref(), kept.action.user.as_deref()), (Some(ID), Some("root")));
        assert_eq!(kept.action.parameters["who"], "world");
        assert_eq!(kept.request.parameters, kept.action.parameters);
    }

    #[test]
    fn a_script_that_is_not_what_it_was_is_not_signed() {
        assert!(kept(&found("echo"), asked(&[]), &content(b"other")).is_err(), "pinned");
        let mut swapped = found("echo");
        swapped.command.content = Some("rm -r /".to_owned());
        assert!(kept(&swapped, asked(&[]), &Pins::default()).is_err(), "the digest is that of another script");
    }

    #[test]
    fn values_that_the_command_does_not_take_are_refused_before_anything_is_sent() {
        assert!(kept(&found("echo"), asked(&[("x", "y")]), &Pins::default()).is_err());
        assert!(
            kept(&found("echo {{who}}"), asked(&[]), &Pins::default()).is_err(),
            "it would reach the shell as it stands"
        );
    }

    #[test]
    fn a_launcher_added_under_a_pinned_command_is_refused() {
        let seen = found("echo");
        let (_, whole) = kept(&seen, asked(&[]), &Pins::default()).unwrap();
        let pins = Pins { whole: Some(whole), content: None };
        let other_run = RunCommand { timeout_s: Some(5), user: None, ..asked(&[("who", "me")]) };
        assert!(kept(&seen, other_run, &pins).is_ok(), "what a run says is not pinned");
        let changes: [fn(&mut CommandDraft); 7] = [
            |draft| draft.launcher = Some("sh -c id {{ACS::ScriptFileName}}".to_owned()),
            |draft| draft.environment = BTreeMap::from([("LD_PRELOAD".to_owned(), "/x.so".to_owned())]),
            |draft| draft.stdin = Some("y".to_owned()),
            |draft| draft.kind = "bat".to_owned(),
            |draft| draft.exit_effects = true,
            |draft| draft.user = Some("root".to_owned()),
            |draft| draft.parameters[0].default = Some("$(id)".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = found("echo");
            change(&mut changed.command);
            assert!(kept(&changed, asked(&[]), &content(b"echo")).is_ok(), "{number}: the content is the same");
            let refused = kept(&changed, asked(&[]), &pins).unwrap_err();
            assert_eq!(refused.exit(), Exit::NotVerified, "{number}: {refused}");
        }
    }

    #[test]
    fn a_saved_script_is_run_with_every_option_that_was_typed() {
        let script = Script {
            interpreter: ScriptKind::Shell,
            content: b"echo $ORDERLY_PARAM_WHO".to_vec(),
            user: Some("web".to_owned()),
            cwd: Some("/srv".to_owned()),
            timeout_s: 5,
            environment: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            output_bytes: 7,
            options: ScriptOptions {
                termination: Some(Termination::Process),
                stdin: Some("in".to_owned()),
                launcher: Some("sh -e {{ACS::ScriptFileName}}".to_owned()),
                substitution: Substitution::Environment,
                parameters: BTreeMap::from([("who".to_owned(), "me".to_owned())]),
                cpu_percent: Some(50),
                memory_mib: Some(64),
                processes: Some(9),
                exit_effects: true,
                container: None,
            },
            dry_run: false,
        };
        let command = draft("greet".to_owned(), script.clone()).unwrap();
        let saved = CommandDetail { view: found("echo $ORDERLY_PARAM_WHO").view, command };
        let run = RunCommand { user: None, output_bytes: Some(7), ..asked(&[("who", "me")]) };
        let (kept, _) = kept(&saved, run, &Pins::default()).unwrap();
        let plain = ScriptAction { command: None, ..kept.action };
        assert_eq!(Action::Script(plain), Work::Script(script).action());
    }
}
