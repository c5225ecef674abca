//! `orderly plugin list` and `orderly plugin show`: what the server has.
//!
//! Owns how plugins are shown.

use orderly_wire::http::plugin::{PluginDetail, PluginView};

use crate::catalogue;
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::output::{Printer, Row, Tone, bytes, time};

/// Lists the plugins.
pub(super) async fn list(context: &Context) -> Outcome {
    let views: Vec<PluginView> = context.client()?.all("/v1/plugins").await?;
    context.printer.many(&views, |printer| {
        printer.table(&["plugin", "version", "approved", "tier", "what it does"], views.iter().map(row).collect());
    });
    Ok(Exit::Success)
}

fn row(view: &PluginView) -> Row {
    vec![
        (view.name.clone(), Tone::Plain),
        (view.version.clone(), Tone::Plain),
        if view.approved { ("yes".to_owned(), Tone::Good) } else { ("no".to_owned(), Tone::Attention) },
        (view.tier.clone(), Tone::Plain),
        (view.summary.clone(), Tone::Plain),
    ]
}

/// Shows one version.
pub(super) async fn show(context: &Context, plugin: &str) -> Outcome {
    let client = context.client()?;
    let detail = match plugin.split_once('@') {
        Some((name, version)) => catalogue::get(&client, name, version).await?,
        None => {
            let views: Vec<PluginView> = client.all("/v1/plugins").await?;
            let newest = views.into_iter().filter(|view| view.name == plugin).max_by_key(|view| view.created_ms);
            let newest = newest.ok_or_else(|| {
                Failure::usage(format!("there is no plugin `{plugin}`")).hint("`orderly plugin list` names them")
            })?;
            catalogue::get(&client, &newest.name, &newest.version).await?
        }
    };
    context.printer.one(&detail, |printer| write(printer, &detail));
    Ok(Exit::Success)
}

fn write(printer: &Printer, detail: &PluginDetail) {
    let view = &detail.view;
    let rows = [
        ("plugin", format!("{} {}", view.name, view.version)),
        ("what it does", view.summary.clone()),
        ("component", format!("{} ({})", view.component, bytes(view.component_bytes))),
        ("manifest", view.manifest.to_string()),
        ("publisher", view.publisher.clone()),
        ("approved", if view.approved { "yes" } else { "no" }.to_owned()),
        ("tier", view.tier.clone()),
        ("uploaded (UTC)", time(view.created_ms)),
    ];
    printer.table(
        &["", ""],
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
    );
    printer.line("it may:");
    for line in &view.capabilities {
        printer.line(&format!("  {line}"));
    }
}
