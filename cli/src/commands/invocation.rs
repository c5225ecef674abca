//! `orderly invocation`: what was run, and how it went.
//!
//! Owns listing, showing, following and stopping invocations, and fetching their evidence. What all of their results come to, and what
//! is said to a rollout, is in files of its own.

mod diff;
mod export;
mod group;
mod rollout;
mod runs;

use clap::Subcommand;
use orderly_signing::InstanceId;
use orderly_wire::http::invocation::{InvocationView, StopInvocation};
use orderly_wire::http::retention::RetentionView;
use orderly_wire::http::task::TaskView;
use serde::Serialize;

use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::evidence;
use crate::fleet;
use crate::follow;
use crate::output::{Printer, Row, Tone, time, time_or_dash};
use crate::status;

/// Tasks that are shown of one invocation where nothing else is asked.
const TASKS_SHOWN: u32 = 200;

/// List, show, compare, follow and stop invocations
#[derive(Debug, Subcommand)]
pub(crate) enum Invocation {
    /// List invocations, the newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        limit: u32,
    },
    /// Show one invocation and its tasks
    Show {
        /// The invocation, t-…
        id: String,
    },
    /// Show the newest runs of a schedule or boot mode, and what was left out of it
    Runs {
        /// The invocation, t-…
        id: String,
        /// Only on this instance, by id or name
        instance: Option<String>,
        /// How many runs
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        limit: u32,
    },
    /// Follow one invocation to its end, as `run` does
    Follow {
        /// The invocation, t-…
        id: String,
    },
    /// Stop what runs of it, and keep what has not begun from beginning; a schedule or boot mode ends
    Stop {
        /// The invocation, t-…
        id: String,
        /// Only on this instance, by id or name
        #[arg(long = "instance", short = 'i', value_name = "ID|NAME")]
        instances: Vec<String>,
        /// Do not wait until it has ended
        #[arg(long)]
        detach: bool,
    },
    Halt(rollout::Halt),
    Resume(rollout::Resume),
    Confirm(rollout::Confirm),
    Group(group::Group),
    Diff(diff::Diff),
    Export(export::Export),
    /// Show for how long the server keeps them
    Retention,
    /// Download what an auditor needs to verify it without the server
    Evidence {
        /// The invocation, t-…
        id: String,
        /// A new directory for it
        #[arg(long, value_name = "DIR")]
        dir: std::path::PathBuf,
    },
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    invocation: InvocationView,
    tasks: Vec<TaskView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Invocation {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { limit } => {
                let views = client.page::<InvocationView>("/v1/invocations", limit).await?.items;
                context.printer.many(&views, |printer| {
                    printer.table(
                        &["invocation", "made (UTC)", "what", "status", "tasks"],
                        views.iter().map(row).collect(),
                    );
                });
                Ok(Exit::Success)
            }
            Self::Show { id } => {
                let invocation = get(&client, &id).await?;
                let page =
                    client.page::<TaskView>(&format!("/v1/invocations/{}/tasks", encode(&id)), TASKS_SHOWN).await?;
                let shown = Shown { invocation, tasks: page.items, next: page.next };
                context.printer.one(&shown, |printer| show(printer, &shown));
                Ok(Exit::Success)
            }
            Self::Runs { id, instance, limit } => runs::show(context, &client, &id, instance.as_deref(), limit).await,
            Self::Follow { id } => {
                let invocation = get(&client, &id).await?;
                follow::follow(&client, &context.printer, &invocation).await
            }
            Self::Stop { id, instances, detach } => {
                let mut ids: Vec<InstanceId> = Vec::new();
                for name in &instances {
                    ids.push(fleet::one(&client, name).await?.id);
                }
                client
                    .post_only(&format!("/v1/invocations/{}/stop", encode(&id)), &StopInvocation { instances: ids })
                    .await?;
                if detach {
                    context.printer.remark(&format!("`{id}` is being stopped"));
                    return Ok(Exit::Success);
                }
                let invocation = get(&client, &id).await?;
                // How the tasks ended is shown; that they were stopped is what was asked, so it is no failure.
                follow::follow(&client, &context.printer, &invocation).await.map(|exit| match exit {
                    Exit::Interrupted => Exit::Interrupted,
                    _ => Exit::Success,
                })
            }
            Self::Retention => {
                let view: RetentionView = client.get("/v1/retention").await?;
                context.printer.one(&view, |printer| retention(printer, &view));
                Ok(Exit::Success)
            }
            Self::Halt(halt) => halt.run(context, &client).await,
            Self::Resume(resume) => resume.run(context, &client).await,
            Self::Confirm(confirm) => confirm.run(context, &client).await,
            Self::Group(group) => group.run(context).await,
            Self::Diff(diff) => diff.run(context).await,
            Self::Export(export) => export.run(context).await,
            Self::Evidence { id, dir } => {
                let count = evidence::download(&client, context, &id, &dir).await?;
                context.printer.remark(&format!(
                    "{count} receipt(s) are in `{}`; `orderly verify evidence {}` works without a network",
                    dir.display(),
                    dir.display()
                ));
                Ok(Exit::Success)
            }
        }
    }
}

async fn get(client: &Client, id: &str) -> Result<InvocationView, Failure> {
    client.get(&format!("/v1/invocations/{}", encode(id))).await
}

fn retention(printer: &Printer, view: &RetentionView) {
    let days = view.keep_days.map_or_else(|| "for ever".to_owned(), |days| format!("{days} days after the end"));
    let count = view.keep_count.map_or_else(|| "all".to_owned(), |count| format!("the newest {count}"));
    let rows = [
        ("kept", format!("{days}, {count}")),
        ("invocations", view.invocations.to_string()),
        ("oldest (UTC)", time_or_dash(view.oldest_ms)),
        ("removed", view.removed.to_string()),
        ("last removed (UTC)", time_or_dash(view.removed_ms)),
    ];
    printer.table(
        &["", ""],
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
    );
}

fn row(view: &InvocationView) -> Row {
    vec![
        (view.id.clone(), Tone::Plain),
        (time(view.created_ms), Tone::Plain),
        (view.name.clone().unwrap_or_else(|| view.summary.clone()), Tone::Plain),
        (view.status.clone(), status::tone(&view.status)),
        (status::counts(&view.counts), Tone::Plain),
    ]
}

fn show(printer: &Printer, shown: &Shown) {
    let view = &shown.invocation;
    let mut rows = vec![
        ("invocation", view.id.clone()),
        ("what", format!("{}: {}", view.kind, view.summary)),
        ("for", view.principal.clone()),
        ("made (UTC)", time(view.created_ms)),
        ("ended (UTC)", time_or_dash(view.finished_ms)),
        ("order", view.order.clone()),
        (
            "status",
            format!(
                "{} ({} of {} shown: {})",
                view.status,
                shown.tasks.len(),
                view.targets,
                status::counts(&view.counts)
            ),
        ),
    ];
    if let Some(found) = &view.rollout {
        rows.push(("rollout", status::rollout(found)));
        rows.push(("it spreads", status::policy(&found.policy, view.targets)));
    }
    printer.table(
        &["", ""],
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
    );
    printer.table(&status::HEADER, shown.tasks.iter().map(|task| status::row(task, &view.kind)).collect());
    if let Some(next) = view.rollout.as_ref().and_then(|found| status::next(found, &view.id)) {
        printer.remark(&next);
    }
}
