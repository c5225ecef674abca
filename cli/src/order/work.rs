//! What to run, as the person asked for it: what is signed of it, and what is asked of the server.

use std::collections::BTreeMap;

use orderly_signing::Digest;
use orderly_signing::order::{Action, CollectAction, FileAction, ScriptAction, ScriptKind};
use orderly_wire::http::command::RunCommand;
use orderly_wire::http::file::{RunCollect, RunFile};
use orderly_wire::http::invocation::{Run, RunPlugin, RunScript};
use orderly_wire::http::script::ScriptOptions;

/// A script as the person asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// What runs it.
    pub(crate) interpreter: ScriptKind,
    /// The bytes.
    pub(crate) content: Vec<u8>,
    /// The user to run as.
    pub(crate) user: Option<String>,
    /// The working directory.
    pub(crate) cwd: Option<String>,
    /// Seconds.
    pub(crate) timeout_s: u32,
    /// Environment variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// Bytes of output to keep.
    pub(crate) output_bytes: u32,
    /// How it is started, what it gets, what it may use and how it ends.
    pub(crate) options: ScriptOptions,
    /// Whether it is told instead of run.
    pub(crate) dry_run: bool,
}

/// A plugin as the person asked for it, with digests that a verified approval names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// SHA-256 of the component.
    pub(crate) component: Digest,
    /// SHA-256 of the manifest.
    pub(crate) manifest: Digest,
    /// Values of its parameters.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Seconds.
    pub(crate) timeout_s: u32,
    /// Bytes of output to keep.
    pub(crate) output_bytes: u32,
    /// Whether it is told instead of run.
    pub(crate) dry_run: bool,
}

/// A script that the server keeps, as it was fetched and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What is asked of the server, which has the script.
    pub(crate) request: RunCommand,
    /// What is signed.
    pub(crate) action: ScriptAction,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// A script.
    Script(Script),
    /// A plugin.
    Plugin(Plugin),
    /// A script that the server keeps.
    Kept(Box<Kept>),
    /// A file to be put on instances.
    File(FileAction),
    /// A file to be collected from them.
    Collect(CollectAction),
}

impl Work {
    /// What is signed of it.
    pub(crate) fn action(&self) -> Action {
        match self.clone() {
            Self::Script(script) => Action::Script(script.options.of(ScriptAction {
                interpreter: script.interpreter,
                user: script.user,
                cwd: script.cwd,
                timeout_s: script.timeout_s,
                environment: script.environment,
                output_bytes: script.output_bytes,
                ..ScriptAction::new(&script.content)
            })),
            Self::Plugin(plugin) => Action::Plugin {
                name: plugin.name,
                version: plugin.version,
                component: plugin.component,
                manifest: plugin.manifest,
                parameters: plugin.parameters,
                timeout_s: plugin.timeout_s,
                output_bytes: plugin.output_bytes,
            },
            Self::Kept(kept) => Action::Script(kept.action),
            Self::File(file) => Action::File(file),
            Self::Collect(collect) => Action::Collect(collect),
        }
    }

    /// Seconds that it may take on an instance.
    pub(super) fn timeout_s(&self) -> u32 {
        match self {
            Self::Script(script) => script.timeout_s,
            Self::Plugin(plugin) => plugin.timeout_s,
            Self::Kept(kept) => kept.action.timeout_s,
            Self::File(file) => file.timeout_s,
            Self::Collect(collect) => collect.timeout_s,
        }
    }

    /// Whether instances tell what would run, and run nothing.
    pub(super) fn is_dry_run(&self) -> bool {
        match self {
            Self::Script(script) => script.dry_run,
            Self::Plugin(plugin) => plugin.dry_run,
            Self::Kept(_) | Self::File(_) | Self::Collect(_) => false,
        }
    }

    /// What is asked of the server.
    pub(super) fn run(&self) -> Run {
        match self.clone() {
            Self::Script(script) => Run::Script(RunScript {
                interpreter: interpreter_name(script.interpreter).to_owned(),
                content: script.content,
                user: script.user,
                cwd: script.cwd,
                timeout_s: Some(script.timeout_s),
                environment: script.environment,
                output_bytes: Some(script.output_bytes),
                options: script.options,
            }),
            Self::Plugin(plugin) => Run::Plugin(RunPlugin {
                name: plugin.name,
                version: Some(plugin.version),
                parameters: plugin.parameters,
                timeout_s: Some(plugin.timeout_s),
                output_bytes: Some(plugin.output_bytes),
            }),
            Self::Kept(kept) => Run::Command(kept.request),
            Self::File(file) => Run::File(RunFile {
                directory: file.directory,
                name: file.name,
                content: file.content,
                content_bytes: file.content_bytes,
                owner: file.owner,
                group: file.group,
                mode: Some(format!("{:04o}", file.mode)),
                overwrite: file.overwrite,
                timeout_s: Some(file.timeout_s),
            }),
            Self::Collect(collect) => Run::Collect(RunCollect {
                path: collect.path,
                max_bytes: collect.max_bytes,
                timeout_s: Some(collect.timeout_s),
            }),
        }
    }
}

/// The name of an interpreter in a request.
const fn interpreter_name(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Shell => "shell",
        ScriptKind::PowerShell => "power-shell",
        ScriptKind::Bat => "bat",
    }
}
