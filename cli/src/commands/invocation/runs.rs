//! `orderly invocation runs`: the runs of a series, and what was left out of it.

use orderly_wire::http::series::{RunView, SkipView};
use serde::Serialize;

use crate::client::{Client, encode};
use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::fleet;
use crate::output::{Printer, Row, Tone, time};
use crate::status;

#[derive(Debug, Serialize)]
struct Shown {
    runs: Vec<RunView>,
    skips: Vec<SkipView>,
}

/// Shows the newest runs, of all instances or one, and all that was left out there.
pub(super) async fn show(context: &Context, client: &Client, id: &str, instance: Option<&str>, limit: u32) -> Outcome {
    let base = format!("/v1/invocations/{}", encode(id));
    let instance = match instance {
        Some(name) => Some(fleet::one(client, name).await?.id),
        None => None,
    };
    let path = instance.as_ref().map_or_else(|| format!("{base}/runs"), |id| format!("{base}/tasks/{id}/runs"));
    let runs = client.page::<RunView>(&path, limit).await?.items;
    let mut skips: Vec<SkipView> = client.all(&format!("{base}/skips")).await?;
    skips.retain(|skip| instance.as_ref().is_none_or(|instance| skip.instance == *instance));
    let shown = Shown { runs, skips };
    context.printer.one(&shown, |printer| table(printer, &shown));
    Ok(Exit::Success)
}

fn table(printer: &Printer, shown: &Shown) {
    let runs = shown.runs.iter().map(run).collect();
    printer.table(&["instance", "run", "due (UTC)", "status", "took", "why"], runs);
    if !shown.skips.is_empty() {
        let skips = shown.skips.iter().map(skip).collect();
        printer.table(&["instance", "left out", "why", "first (UTC)", "last (UTC)"], skips);
    }
}

fn run(view: &RunView) -> Row {
    let RunView { task, due_ms, late } = view;
    let exit = task.exit_code.map(|code| format!("exit code {code}"));
    let late = late.as_ref().map(|late| format!("late: {late}"));
    let why = [late, task.code.clone(), exit, task.reason.clone()];
    vec![
        (task.instance_name.clone(), Tone::Plain),
        (task.generation.to_string(), Tone::Plain),
        (time(*due_ms), Tone::Plain),
        (task.status.clone(), status::tone(&task.status)),
        (status::took(task.started_ms, task.finished_ms), Tone::Plain),
        (why.into_iter().flatten().collect::<Vec<_>>().join(", "), Tone::Plain),
    ]
}

fn skip(view: &SkipView) -> Row {
    let more = if view.exact { "" } else { " and more" };
    vec![
        (view.instance_name.clone(), Tone::Plain),
        (format!("{}{more}", view.count), Tone::Attention),
        (view.reason.clone(), Tone::Plain),
        (time(view.first_ms), Tone::Plain),
        (time(view.last_ms), Tone::Plain),
    ]
}
