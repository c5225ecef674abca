//! Which instances a person means: by id, by name, by tags, by a selector or a saved group, those for which another invocation
//! did not come out well, or all of them; and a sample of those.
//!
//! Owns that search and two checks on every instance that comes back: its id must be that of its key, and the tags that it is
//! shown with must be what was asked for. An id is all that the CLI ever signs of what a server says, and ids certify
//! themselves; what no check here can find is a server that lies about tags or leaves instances out.

use std::collections::{BTreeMap, BTreeSet};

use orderly_model::id::InvocationId;
use orderly_model::name::{TagKey, TagValue};
use orderly_model::selector::{Selector, TagSelector, Tags};
use orderly_model::target::{Rest, Sample};
use orderly_model::task::TaskStatus;
use orderly_signing::InstanceId;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::task::TaskView;

use crate::client::{Client, encode};
use crate::error::{Failure, OrFail as _};

/// What an instance must have to be listed; all of it. Everything where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Tags, all of which must be there.
    pub(crate) tags: BTreeMap<String, String>,
    /// What must match.
    pub(crate) selector: Option<Selector>,
    /// The saved group whose selector must match.
    pub(crate) group: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.selector.is_none() && self.group.is_none()
    }

    /// The tags in one text, as the server reads it; nothing where there are none.
    fn pairs(&self) -> Option<String> {
        let pairs: Vec<String> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Some(pairs.join(",")).filter(|pairs| !pairs.is_empty())
    }

    /// Whether an instance that is shown with these tags is meant. What a saved group means only the server knows.
    fn means(&self, tags: &BTreeMap<String, String>) -> bool {
        let known =
            |(key, value): (&String, &String)| Some((key.parse::<TagKey>().ok()?, value.parse::<TagValue>().ok()?));
        let tags: Tags = tags.iter().filter_map(known).collect();
        let pairs = self.pairs().map(|pairs| pairs.parse::<TagSelector>());
        pairs.is_none_or(|pairs| pairs.is_ok_and(|pairs| pairs.matches(&tags)))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&tags))
    }

    fn path(&self) -> String {
        let asked = [
            ("tags", self.pairs()),
            ("where", self.selector.as_ref().map(ToString::to_string)),
            ("group", self.group.clone()),
        ];
        let asked = asked.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
        let asked = asked.collect::<Vec<_>>().join("&");
        if asked.is_empty() { "/v1/instances".to_owned() } else { format!("/v1/instances?{asked}") }
    }

    /// What nobody has, for people.
    fn shown(&self) -> String {
        let tags = self.tags.iter().map(|(key, value)| format!("the tag {key}={value}"));
        let selector = self.selector.iter().map(|selector| format!("`{selector}`"));
        let group = self.group.iter().map(|group| format!("the group `{group}`"));
        tags.chain(selector).chain(group).collect::<Vec<_>>().join(" and ")
    }
}

/// How instances are chosen. An instance must be among `names` (where there are any), or be what `filter` says, or be of `rest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Ids or names.
    pub(crate) names: Vec<String>,
    /// What they have.
    pub(crate) filter: Filter,
    /// All instances.
    pub(crate) all: bool,
    /// Those for which this invocation did not come out well: failed, or never reached.
    pub(crate) failed_of: Option<InvocationId>,
    /// Only so many of all these, taken by lot.
    pub(crate) sample: Option<u32>,
}

impl Selection {
    /// Whether the server is believed for which instances are meant, more than for who has a name.
    pub(crate) fn is_resolved(&self) -> bool {
        self.all || !self.filter.is_empty() || self.failed_of.is_some() || self.sample.is_some()
    }
}

/// Finds the instances of a selection, each once, sorted by id.
///
/// # Errors
/// Nothing was selected, a name is unknown or names several, nothing matches, an id is not that of its key, or tags are not those
/// that were asked for.
pub(crate) async fn select(client: &Client, selection: &Selection) -> Result<Vec<InstanceView>, Failure> {
    let nothing = selection.names.is_empty() && selection.filter.is_empty() && selection.failed_of.is_none();
    if nothing && !selection.all {
        return Err(Failure::usage("no instances are named")
            .hint("`--instance ID|NAME`, `--tag KEY=VALUE`, `--where SELECTOR`, `--group NAME` or `--all`"));
    }
    let mut found: BTreeMap<InstanceId, InstanceView> = BTreeMap::new();
    if selection.all {
        extend(&mut found, list(client, &Filter::default()).await?);
    }
    if !selection.filter.is_empty() {
        let filtered = list(client, &selection.filter).await?;
        if filtered.is_empty() {
            return Err(Failure::usage(format!("no instance has {}", selection.filter.shown()))
                .hint("`orderly instance list` shows the tags that there are"));
        }
        extend(&mut found, filtered);
    }
    if let Some(of) = &selection.failed_of {
        extend(&mut found, rest(client, of).await?);
    }
    if !selection.names.is_empty() {
        let everything = if selection.names.iter().all(|name| name.parse::<InstanceId>().is_ok()) {
            None
        } else {
            Some(list(client, &Filter::default()).await?)
        };
        for name in &selection.names {
            let one = match name.parse::<InstanceId>() {
                Ok(id) => by_id(client, &id).await?,
                Err(_) => by_name(everything.as_deref().unwrap_or_default(), name)?,
            };
            extend(&mut found, vec![one]);
        }
    }
    if found.is_empty() {
        return Err(Failure::usage("there are no instances yet")
            .hint("`orderly activation create` prints the line that enrols one"));
    }
    if let Some(count) = selection.sample {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).or_setup(|| "the system gives no random bytes".to_owned())?;
        keep_sample(&mut found, Sample { count, seed: u64::from_be_bytes(seed) });
    }
    Ok(found.into_values().collect())
}

fn keep_sample(found: &mut BTreeMap<InstanceId, InstanceView>, sample: Sample) {
    let taken: BTreeSet<InstanceId> = sample.take(found.keys().cloned()).into_iter().collect();
    found.retain(|id, _| taken.contains(id));
}

/// The instances for which an invocation did not come out well: failed, or never reached.
async fn rest(client: &Client, of: &InvocationId) -> Result<Vec<InstanceView>, Failure> {
    let tasks: Vec<TaskView> = client.all(&format!("/v1/invocations/{of}/tasks")).await?;
    let meant = Rest { of: *of, failed: true, offline: true };
    let takes = |task: &&TaskView| {
        TaskStatus::ALL.into_iter().any(|status| status.as_str() == task.status && meant.takes(status))
    };
    let ids: BTreeSet<&InstanceId> = tasks.iter().filter(takes).map(|task| &task.instance).collect();
    if ids.is_empty() {
        return Err(Failure::usage(format!("no task of `{of}` has failed or found its instance offline"))
            .hint(format!("`orderly invocation show {of}` shows how they came out")));
    }
    let mut views = list(client, &Filter::default()).await?;
    views.retain(|view| ids.contains(&view.id));
    Ok(views)
}

/// Finds one instance by id or name.
///
/// # Errors
/// As [`select`].
pub(crate) async fn one(client: &Client, name: &str) -> Result<InstanceView, Failure> {
    match name.parse::<InstanceId>() {
        Ok(id) => by_id(client, &id).await,
        Err(_) => by_name(&list(client, &Filter::default()).await?, name),
    }
}

/// Lists the instances that have what the filter says.
///
/// # Errors
/// The server does not answer, an id is not that of its key, or tags are not those that were asked for.
pub(crate) async fn list(client: &Client, filter: &Filter) -> Result<Vec<InstanceView>, Failure> {
    let instances: Vec<InstanceView> = client.all(&filter.path()).await?;
    instances.iter().try_for_each(self_certified)?;
    match instances.iter().find(|view| !filter.means(&view.tags)) {
        None => Ok(instances),
        Some(other) => Err(Failure::not_verified(format!(
            "the server counts the instance `{}` to {}, and shows it with other tags",
            other.id,
            filter.shown()
        ))),
    }
}

async fn by_id(client: &Client, id: &InstanceId) -> Result<InstanceView, Failure> {
    let view: InstanceView = client.get(&format!("/v1/instances/{id}")).await?;
    if view.id != *id {
        return Err(Failure::not_verified(format!("asked for the instance `{id}`, the server answered `{}`", view.id)));
    }
    self_certified(&view)?;
    Ok(view)
}

fn by_name(instances: &[InstanceView], name: &str) -> Result<InstanceView, Failure> {
    let named: Vec<&InstanceView> = instances.iter().filter(|view| view.name == name).collect();
    match named.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::usage(format!("there is no instance `{name}`")).hint("`orderly instance list` names them")),
        several => {
            let ids: Vec<&str> = several.iter().map(|view| view.id.as_str()).collect();
            Err(Failure::usage(format!("{} instances have the name `{name}`", several.len()))
                .hint(format!("say which by its id: {}", ids.join(", "))))
        }
    }
}

fn self_certified(view: &InstanceView) -> Result<(), Failure> {
    let id = InstanceId::of(&view.key);
    if view.id == id {
        return Ok(());
    }
    Err(Failure::not_verified(format!(
        "the server shows the instance `{}` with the key of `{id}`: it would run orders elsewhere",
        view.id
    )))
}

fn extend(found: &mut BTreeMap<InstanceId, InstanceView>, views: Vec<InstanceView>) {
    found.extend(views.into_iter().map(|view| (view.id.clone(), view)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_is_asked_is_written_for_a_url() {
        assert_eq!(Filter::default().path(), "/v1/instances");
        let filter = Filter {
            tags: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
            selector: Some("not role in (db,cache)".parse().unwrap()),
            group: Some("web".to_owned()),
        };
        let path = filter.path();
        assert!(path.contains("tags=env%3Dprod&where=not") && path.ends_with("&group=web"), "{path}");
        assert!(!path.contains(' ') && !path.contains('('), "{path}");
        assert_eq!(filter.shown(), "the tag env=prod and `not role in (db,cache)` and the group `web`");
    }

    #[test]
    fn an_instance_that_the_server_counts_in_against_its_tags_is_not_meant() {
        let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let filter = Filter {
            tags: tags(&[("env", "prod")]),
            selector: Some("not role in (db,cache)".parse().unwrap()),
            group: None,
        };
        assert!(filter.means(&tags(&[("env", "prod"), ("role", "web")])));
        assert!(!filter.means(&tags(&[("env", "prod"), ("role", "db")])), "the selector");
        assert!(!filter.means(&tags(&[("env", "test")])) && !filter.means(&tags(&[])), "the tag");
        assert!(Filter::default().means(&tags(&[])));
    }

    #[test]
    fn only_instances_that_are_named_one_by_one_are_not_resolved() {
        let names = Selection { names: vec!["web-1".to_owned()], ..Selection::default() };
        assert!(!names.is_resolved());
        assert!(Selection { sample: Some(1), ..names.clone() }.is_resolved());
        assert!(
            Selection { filter: Filter { group: Some("web".to_owned()), ..Filter::default() }, ..names }.is_resolved()
        );
    }
}
