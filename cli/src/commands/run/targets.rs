//! Where to run: the options that say it, and which instances that came to.
//!
//! Owns that nobody signs for instances unseen: which ones tags, selectors, groups and other invocations mean is the server's word,
//! so they are told before anything is signed, and who has seen them can pin them. Never signs.

use clap::Args;
use orderly_model::id::InvocationId;
use orderly_model::selector::Selector;
use orderly_signing::Digest;
use orderly_signing::merkle::Targets;
use orderly_wire::http::instance::InstanceView;

use super::unique;
use crate::args::key_value;
use crate::client::Client;
use crate::error::Failure;
use crate::fleet::{self, Filter, Selection};
use crate::order;
use crate::output::Printer;

/// Most instances that are told by name.
const NAMES_MAX: usize = 8;

/// Where to run.
#[derive(Debug, Args)]
pub(in crate::commands) struct TargetArgs {
    /// An instance, by id or name
    #[arg(long = "instance", short = 'i', value_name = "ID|NAME")]
    instances: Vec<String>,
    /// A tag that instances must have; several must all be there
    #[arg(long = "tag", short = 't', value_name = "KEY=VALUE", value_parser = key_value)]
    tags: Vec<(String, String)>,
    /// Instances that a selector means, such as 'env=prod and not role in (db,cache)'
    #[arg(long = "where", value_name = "SELECTOR")]
    selector: Option<Selector>,
    /// Instances of a saved group; with `--tag` and `--where` those that have all of it
    #[arg(long, short = 'g', value_name = "NAME")]
    group: Option<String>,
    /// Instances for which this invocation failed, or which it did not reach
    #[arg(long, value_name = "INVOCATION")]
    failed_of: Option<InvocationId>,
    /// All instances
    #[arg(long, conflicts_with_all = ["instances", "tags", "selector", "group", "failed_of"])]
    all: bool,
    /// Only so many of these, taken by lot
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Refuse to sign for any other set of instances than the one with this root, sha256:…, that a preview or an order has told
    #[arg(long = "targets", value_name = "ROOT", conflicts_with = "sample")]
    root: Option<Digest>,
}

impl TargetArgs {
    /// Finds the instances, and tells which ones where the server has said that; a preview shows them itself.
    ///
    /// # Errors
    /// A tag is there twice, there are no such instances, the server shows what cannot be, or they are not the pinned ones.
    pub(in crate::commands) async fn find(
        self,
        printer: &Printer,
        client: &Client,
        preview: bool,
    ) -> Result<Vec<InstanceView>, Failure> {
        let pinned = self.root;
        let selection = self.selection()?;
        let instances = fleet::select(client, &selection).await?;
        let targets = order::targets(instances.iter().map(|view| view.id.clone()))?;
        check(pinned, &targets)?;
        if selection.is_resolved() && !preview {
            printer.remark(&told(&instances, &targets));
        }
        Ok(instances)
    }

    /// As the fleet's search takes it.
    fn selection(self) -> Result<Selection, Failure> {
        Ok(Selection {
            names: self.instances,
            filter: Filter { tags: unique(self.tags, "--tag")?, selector: self.selector, group: self.group },
            all: self.all,
            failed_of: self.failed_of,
            sample: self.sample,
        })
    }
}

fn check(pinned: Option<Digest>, found: &Targets) -> Result<(), Failure> {
    match pinned.filter(|pinned| *pinned != found.root) {
        None => Ok(()),
        Some(pinned) => Err(Failure::not_verified(format!(
            "these are {} instance(s) with the root {}, not {pinned}: nothing was signed",
            found.count, found.root
        ))
        .hint("`--preview` shows which ones they are now")),
    }
}

/// Which instances, in a line.
fn told(instances: &[InstanceView], targets: &Targets) -> String {
    let mut names: Vec<&str> = instances.iter().map(|view| view.name.as_str()).take(NAMES_MAX).collect();
    let more = instances.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.sort_unstable();
    format!("{} instance(s): {}{more}, targets {}", targets.count, names.join(", "), targets.root)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::{InstanceId, SecretKey};

    use super::*;

    fn targets(seeds: &[u8]) -> Targets {
        order::targets(seeds.iter().map(|seed| InstanceId::of(SecretKey::from_seed([*seed; 32]).public()))).unwrap()
    }

    #[test]
    fn an_instance_that_the_server_adds_or_leaves_out_under_a_pinned_root_is_refused() {
        let seen = targets(&[1, 2]);
        assert!(check(Some(seen.root), &targets(&[2, 1])).is_ok() && check(None, &seen).is_ok());
        let others: [&[u8]; 3] = [&[1, 2, 3], &[1], &[1, 3]];
        for other in others {
            let refused = check(Some(seen.root), &targets(other)).unwrap_err();
            assert_eq!(refused.exit(), crate::error::Exit::NotVerified);
        }
    }
}
