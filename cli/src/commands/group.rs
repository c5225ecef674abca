//! `orderly group`: names for selectors.
//!
//! Owns making, listing, showing and deleting them. Who is in a group is asked anew each time.

use clap::Subcommand;
use orderly_model::name::GroupName;
use orderly_model::selector::Selector;
use orderly_wire::http::group::{CreateGroup, GroupView};

use crate::client::encode;
use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::fleet::{self, Filter};
use crate::output::{plain, time};

/// Save selectors of instances under names
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Save a group
    Create {
        /// Its name: small letters, digits and `-`
        name: GroupName,
        /// Who is in it, such as 'env=prod and not role in (db,cache)'
        #[arg(long = "where", value_name = "SELECTOR")]
        selector: Selector,
    },
    /// List groups
    List,
    /// Show who is in a group now
    Show {
        /// Its name
        name: String,
    },
    /// Delete a group; its instances stay as they are
    Delete {
        /// Its name
        name: String,
    },
}

impl Group {
    /// Runs the sub-command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Create { name, selector } => {
                let made: GroupView = client.post("/v1/groups", &CreateGroup { name, selector }).await?;
                context.printer.one(&made, |printer| printer.line(&made.name));
            }
            Self::List => {
                let rows: Vec<GroupView> = client.all("/v1/groups").await?;
                context.printer.many(&rows, |printer| {
                    let rows = rows.iter().map(|row| {
                        plain([row.name.clone(), row.selector.clone(), time(row.created_ms), row.created_by.clone()])
                    });
                    printer.table(&["group", "where", "made (UTC)", "by"], rows.collect());
                });
            }
            Self::Show { name } => {
                let group: GroupView = client.get(&format!("/v1/groups/{}", encode(&name))).await?;
                let views = fleet::list(&client, &Filter { group: Some(name), ..Filter::default() }).await?;
                context.printer.remark(&group.selector);
                context.printer.many(&views, |printer| {
                    let rows = views.iter().map(|view| {
                        let link = if view.online { "up" } else { "down" };
                        plain([view.id.to_string(), view.name.clone(), link.to_owned()])
                    });
                    printer.table(&["instance", "name", "link"], rows.collect());
                });
            }
            Self::Delete { name } => {
                client.delete(&format!("/v1/groups/{}", encode(&name))).await?;
                context.printer.remark(&format!("`{name}` is deleted"));
            }
        }
        Ok(Exit::Success)
    }
}
