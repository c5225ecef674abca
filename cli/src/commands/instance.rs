//! `orderly instance`: the machines of the fleet.
//!
//! Owns listing, showing and tagging them.

use std::collections::BTreeMap;

use clap::Subcommand;
use orderly_model::selector::Selector;
use orderly_wire::http::instance::{InstanceView, SetTags};

use crate::args::key_value;
use crate::context::Context;
use crate::error::{Exit, Failure, Outcome};
use crate::fleet::{self, Filter};
use crate::output::{Printer, Tone, time, time_or_dash};

/// List, show and tag instances
#[derive(Debug, Subcommand)]
pub(crate) enum Instance {
    /// List instances
    List {
        /// Only those that have this tag
        #[arg(long = "tag", short = 't', value_name = "KEY=VALUE", value_parser = key_value)]
        tags: Vec<(String, String)>,
        /// Only those that a selector means, such as 'env=prod and not role in (db,cache)'
        #[arg(long = "where", value_name = "SELECTOR")]
        selector: Option<Selector>,
        /// Only those of a saved group
        #[arg(long, short = 'g', value_name = "NAME")]
        group: Option<String>,
        /// Only those whose link is up
        #[arg(long)]
        online: bool,
    },
    /// Show one instance
    Show {
        /// Its id or name
        instance: String,
    },
    /// Change the tags of an instance
    Tag {
        /// Its id or name
        instance: String,
        /// A tag to set
        #[arg(value_name = "KEY=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// A tag to remove
        #[arg(long = "remove", value_name = "KEY")]
        remove: Vec<String>,
    },
}

impl Instance {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { tags, selector, group, online } => {
                let filter = Filter { tags: tags.into_iter().collect(), selector, group };
                let mut views = fleet::list(&client, &filter).await?;
                views.retain(|view| view.online || !online);
                context.printer.many(&views, |printer| {
                    printer.table(
                        &["instance", "name", "link", "seen (UTC)", "system", "tags"],
                        views.iter().map(row).collect(),
                    );
                });
            }
            Self::Show { instance } => {
                let view = fleet::one(&client, &instance).await?;
                context.printer.one(&view, |printer| show(printer, &view));
            }
            Self::Tag { instance, set, remove } => {
                let view = fleet::one(&client, &instance).await?;
                let mut tags = view.tags;
                for key in &remove {
                    if tags.remove(key).is_none() {
                        return Err(Failure::usage(format!("`{}` has no tag `{key}`", view.name)));
                    }
                }
                tags.extend(set);
                let view: InstanceView =
                    client.put(&format!("/v1/instances/{}/tags", view.id), &SetTags { tags }).await?;
                context.printer.one(&view, |printer| printer.line(&pairs(&view.tags)));
            }
        }
        Ok(Exit::Success)
    }
}

fn row(view: &InstanceView) -> Vec<(String, Tone)> {
    vec![
        (view.id.to_string(), Tone::Plain),
        (view.name.clone(), Tone::Plain),
        link(view),
        (time_or_dash(view.last_seen_ms), Tone::Plain),
        (format!("{} {}", view.facts.system, view.facts.architecture), Tone::Plain),
        (pairs(&view.tags), Tone::Plain),
    ]
}

fn link(view: &InstanceView) -> (String, Tone) {
    if view.online { ("up".to_owned(), Tone::Good) } else { ("down".to_owned(), Tone::Attention) }
}

fn pairs(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn show(printer: &Printer, view: &InstanceView) {
    let release = view.facts.os_release.iter().find(|(key, _)| key == "PRETTY_NAME").map_or("-", |(_, value)| value);
    let rows = [
        ("id", view.id.to_string()),
        ("name", view.name.clone()),
        ("key id", view.key.key_id().to_string()),
        ("enrolled (UTC)", time(view.enrolled_ms)),
        ("seen (UTC)", time_or_dash(view.last_seen_ms)),
        ("host name", view.facts.hostname.clone()),
        ("system", format!("{release}, {} {}, {}", view.facts.system, view.facts.kernel, view.facts.architecture)),
        ("agent", view.facts.agent_version.clone()),
        ("tags", pairs(&view.tags)),
    ];
    let mut rows: Vec<_> =
        rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect();
    rows.insert(3, vec![("link".to_owned(), Tone::Dim), link(view)]);
    printer.table(&["", ""], rows);
}
