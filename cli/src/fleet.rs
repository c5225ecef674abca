//! Which instances a person means: by id, by name, by tags, or all of them.
//!
//! Owns that search and one check on every instance that comes back: its id must be that of its key. An id is all that
//! the CLI ever signs of what a server says, and ids certify themselves.

use std::collections::BTreeMap;

use orderly_signing::InstanceId;
use orderly_wire::http::instance::InstanceView;

use crate::client::{Client, encode};
use crate::error::Failure;

/// How instances are chosen. An instance must be among `names` (where there are any) or have all `tags`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Ids or names.
    pub(crate) names: Vec<String>,
    /// Tags, all of which must be there.
    pub(crate) tags: BTreeMap<String, String>,
    /// All instances.
    pub(crate) all: bool,
}

/// Finds the instances of a selection, each once, sorted by id.
///
/// # Errors
/// Nothing was selected, a name is unknown or names several, nothing matches, or an id is not that of its key.
pub(crate) async fn select(client: &Client, selection: &Selection) -> Result<Vec<InstanceView>, Failure> {
    if selection.names.is_empty() && selection.tags.is_empty() && !selection.all {
        return Err(Failure::usage("no instances are named").hint("`--instance ID|NAME`, `--tag KEY=VALUE` or `--all`"));
    }
    let mut found: BTreeMap<InstanceId, InstanceView> = BTreeMap::new();
    if selection.all {
        extend(&mut found, list(client, &BTreeMap::new()).await?);
    }
    if !selection.tags.is_empty() {
        let tagged = list(client, &selection.tags).await?;
        if tagged.is_empty() {
            let tags: Vec<String> = selection.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            return Err(Failure::usage(format!("no instance has the tag(s) {}", tags.join(" and ")))
                .hint("`orderly instance list` shows the tags that there are"));
        }
        extend(&mut found, tagged);
    }
    if !selection.names.is_empty() {
        let everything = if selection.names.iter().all(|name| name.parse::<InstanceId>().is_ok()) {
            None
        } else {
            Some(list(client, &BTreeMap::new()).await?)
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
    Ok(found.into_values().collect())
}

/// Finds one instance by id or name.
///
/// # Errors
/// As [`select`].
pub(crate) async fn one(client: &Client, name: &str) -> Result<InstanceView, Failure> {
    match name.parse::<InstanceId>() {
        Ok(id) => by_id(client, &id).await,
        Err(_) => by_name(&list(client, &BTreeMap::new()).await?, name),
    }
}

/// Lists the instances that have all of these tags.
///
/// # Errors
/// The server does not answer, or an id is not that of its key.
pub(crate) async fn list(client: &Client, tags: &BTreeMap<String, String>) -> Result<Vec<InstanceView>, Failure> {
    let path = if tags.is_empty() {
        "/v1/instances".to_owned()
    } else {
        let pairs: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        format!("/v1/instances?tags={}", encode(&pairs.join(",")))
    };
    let instances: Vec<InstanceView> = client.all(&path).await?;
    instances.iter().try_for_each(self_certified)?;
    Ok(instances)
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
