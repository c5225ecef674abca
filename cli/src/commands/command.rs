//! `orderly command`: scripts that the server keeps, in versions.
//!
//! Owns listing, showing, making, changing and deleting them. What is kept is not signed; `run` signs what it has shown.

mod draft;
mod run;
mod show;

use clap::Subcommand;
use orderly_model::id::CommandId;
use orderly_wire::http::command::{
    ChangeCommand, CloneCommand, CommandDetail, CommandView, CreateCommand, VersionView,
};

use crate::args::key_value;
use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::output::{Tone, bytes, plain, time};
use draft::{DraftArgs, Kind};
pub(super) use run::save;

/// Keep scripts on the server, and run them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep a script as a new command
    Create {
        /// Its name
        name: String,
        /// What runs the script
        #[arg(long = "type", value_enum, default_value_t = Kind::Shell, value_name = "TYPE")]
        kind: Kind,
        #[command(flatten)]
        draft: DraftArgs,
        /// A label of the command
        #[arg(long = "tag", short = 't', value_name = "KEY=VALUE", value_parser = key_value)]
        tags: Vec<(String, String)>,
    },
    /// List commands
    List {
        /// Only those whose name begins with this
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Only those whose name holds this
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
        /// Only those of this type
        #[arg(long = "type", value_enum, value_name = "TYPE")]
        kind: Option<Kind>,
        /// Only those that have this label
        #[arg(long = "tag", short = 't', value_name = "KEY=VALUE", value_parser = key_value)]
        tags: Vec<(String, String)>,
    },
    /// Show a command with its script
    Show {
        /// Its id or name
        command: String,
        /// Which version; the newest where absent
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Change a command: a new version; what is left out stays as it is
    Edit {
        /// Its id or name
        command: String,
        /// Another name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        draft: DraftArgs,
    },
    /// List the versions of a command: who changed what, when
    Versions {
        /// Its id or name
        command: String,
    },
    /// Make a new command that is the same under another name
    Clone {
        /// Its id or name
        command: String,
        /// The new command's name
        name: String,
        /// Of which version; of the newest where absent
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Delete a command with all its versions; refused while it runs
    Delete {
        /// Its id or name
        command: String,
    },
    Run(Box<run::Run>),
}

impl Command {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        if let Self::Run(run) = self {
            return run.run(context).await;
        }
        let client = context.client()?;
        let printer = &context.printer;
        match self {
            Self::Create { name, kind, draft, tags } => {
                let request = CreateCommand { command: draft.made(name, kind)?, tags: tags.into_iter().collect() };
                let made: CommandDetail = client.post("/v1/commands", &request).await?;
                printer.one(&made, |printer| printer.line(&made.view.id));
            }
            Self::List { prefix, contains, kind, tags } => {
                let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let query = [
                    ("prefix", prefix),
                    ("contains", contains),
                    ("type", kind.map(|kind| kind.as_str().to_owned())),
                    ("tags", Some(tags.join(",")).filter(|tags| !tags.is_empty())),
                ];
                let rows: Vec<CommandView> = client.all(&path(&query)).await?;
                printer.many(&rows, |printer| {
                    let header = ["command", "name", "type", "version", "changed (UTC)", "by", "description"];
                    printer.table(&header, rows.iter().map(row).collect());
                });
            }
            Self::Show { command, version } => {
                let found = find(&client, &command, version).await?;
                show::show(printer, &found)?;
            }
            Self::Edit { command, rename, draft } => {
                let now = find(&client, &command, None).await?;
                let request =
                    ChangeCommand { from: now.view.newest, command: draft.edited(now.command, rename)?, tags: None };
                let path = format!("/v1/commands/{}", encode(&now.view.id));
                let changed: CommandDetail = client.put(&path, &request).await?;
                printer.one(&changed, |printer| {
                    let (before, after) = (now.view.newest, changed.view.newest);
                    if before == after {
                        printer.line(&format!("nothing changes: version {after}"));
                    } else {
                        printer.line(&format!("version {after}"));
                    }
                });
            }
            Self::Versions { command } => {
                let id = id(&client, &command).await?;
                let rows: Vec<VersionView> = client.all(&format!("/v1/commands/{}/versions", encode(&id))).await?;
                printer.many(&rows, |printer| {
                    let header = ["version", "changed (UTC)", "by", "name", "size", "content"];
                    printer.table(&header, rows.iter().map(version_row).collect());
                });
            }
            Self::Clone { command, name, version } => {
                let id = id(&client, &command).await?;
                let path = format!("/v1/commands/{}/clone", encode(&id));
                let made: CommandDetail = client.post(&path, &CloneCommand { name, version }).await?;
                printer.one(&made, |printer| printer.line(&made.view.id));
            }
            Self::Delete { command } => {
                let id = id(&client, &command).await?;
                client.delete(&format!("/v1/commands/{}", encode(&id))).await?;
                printer.remark(&format!("`{id}` is deleted"));
            }
            Self::Run(_) => {}
        }
        Ok(Exit::Success)
    }
}

/// The path of a list with what is asked of it.
fn path(query: &[(&str, Option<String>)]) -> String {
    let asked = query.iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_deref()?))));
    let asked = asked.collect::<Vec<_>>().join("&");
    if asked.is_empty() { "/v1/commands".to_owned() } else { format!("/v1/commands?{asked}") }
}

/// The id of a command that is named by id or name.
async fn id(client: &Client, named: &str) -> Result<String, Failure> {
    if named.parse::<CommandId>().is_ok() {
        return Ok(named.to_owned());
    }
    let found: Vec<CommandView> = client.all(&path(&[("prefix", Some(named.to_owned()))])).await?;
    one_named(&found, named)
}

fn one_named(found: &[CommandView], name: &str) -> Result<String, Failure> {
    let named: Vec<&CommandView> = found.iter().filter(|view| view.shown.name == name).collect();
    match named.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(Failure::usage(format!("there is no command `{name}`")).hint("`orderly command list` names them")),
        several => {
            let ids: Vec<&str> = several.iter().map(|view| view.id.as_str()).collect();
            Err(Failure::usage(format!("{} commands have the name `{name}`", several.len()))
                .hint(format!("say which by its id: {}", ids.join(", "))))
        }
    }
}

/// A command in a version, the newest where none is named.
async fn find(client: &Client, named: &str, version: Option<u32>) -> Result<CommandDetail, Failure> {
    let id = id(client, named).await?;
    let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
    let found: CommandDetail = client.get(&format!("/v1/commands/{}{query}", encode(&id))).await?;
    asked_for(&found.view, &id, version)?;
    Ok(found)
}

/// Whether a command is the one that was asked for: who asks for one that is known must not sign another.
fn asked_for(found: &CommandView, id: &str, version: Option<u32>) -> Result<(), Failure> {
    let wanted = version.unwrap_or(found.newest);
    if found.id == id && found.shown.version == wanted {
        return Ok(());
    }
    Err(Failure::not_verified(format!(
        "asked for version {wanted} of `{id}`, the server answered version {} of `{}`",
        found.shown.version, found.id
    )))
}

fn row(view: &CommandView) -> Vec<(String, Tone)> {
    plain([
        view.id.clone(),
        view.shown.name.clone(),
        view.kind.clone(),
        view.newest.to_string(),
        time(view.shown.changed_ms),
        view.shown.changed_by.clone(),
        view.shown.description.clone(),
    ])
}

fn version_row(view: &VersionView) -> Vec<(String, Tone)> {
    plain([
        view.version.to_string(),
        time(view.changed_ms),
        view.changed_by.clone(),
        view.name.clone(),
        bytes(view.content_bytes),
        view.content.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn view(id: &str, name: &str) -> CommandView {
        let shown = VersionView {
            version: 1,
            name: name.to_owned(),
            description: String::new(),
            content: None,
            content_bytes: 0,
            changed_ms: 0,
            changed_by: "alice".to_owned(),
        };
        CommandView {
            id: id.to_owned(),
            kind: "shell".to_owned(),
            shown,
            newest: 1,
            tags: Default::default(),
            created_ms: 0,
            created_by: "alice".to_owned(),
            used_ms: None,
        }
    }

    #[test]
    fn a_name_means_the_one_command_that_has_it() {
        let found = [view("c-1", "restart"), view("c-2", "restart web"), view("c-3", "twice"), view("c-4", "twice")];
        assert_eq!(one_named(&found, "restart").unwrap(), "c-1");
        assert!(one_named(&found, "rest").is_err());
        let ambiguous = one_named(&found, "twice").unwrap_err();
        assert!(ambiguous.hints()[0].contains("c-3, c-4"), "{ambiguous:?}");
    }

    #[test]
    fn another_command_or_version_than_was_asked_for_is_refused() {
        let found = CommandView { newest: 2, ..view("c-1", "restart") };
        assert!(asked_for(&found, "c-1", Some(1)).is_ok());
        assert!(asked_for(&found, "c-1", None).is_err(), "the newest is another");
        assert!(asked_for(&found, "c-1", Some(2)).is_err() && asked_for(&found, "c-2", Some(1)).is_err());
    }

    #[test]
    fn what_is_asked_of_a_list_is_written_for_a_url() {
        assert_eq!(path(&[("prefix", None)]), "/v1/commands");
        let asked = path(&[("prefix", Some("a b&c".to_owned())), ("type", None), ("tags", Some("k=v".to_owned()))]);
        assert!(asked.starts_with("/v1/commands?prefix=a") && !asked.contains("b&c"), "{asked}");
    }
}
