//! Commands that are kept: what they say is checked here and signed by whoever runs them.
//!
//! Owns their life: made, changed (a new version), cloned, deleted while nothing runs them. Never runs one; `run` does.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_model::command::{
    Command, CommandBody, CommandDraft, CommandFault, CommandType, ContentLimits, ContentUse, StoredCommand,
};
use orderly_model::id::CommandId;
use orderly_model::parameter::ParameterSpec;
use orderly_signing::digest::Digest;
use orderly_wire::http::Page;
use orderly_wire::http::command::{
    ChangeCommand, CloneCommand, CommandDetail, CommandView, CreateCommand, ListCommands, ListVersions, ShowCommand,
    VersionView,
};
use orderly_wire::http::problem::Fault;

use super::auth::Permit;
use super::body::{Json, Params, after, cut, limit, one_more, tag_faults};
use super::problem::ApiError;
use super::{Api, State, instances};
use crate::store::StoreError;
use crate::store::row::{CommandFilter, CommandRow, DeleteOutcome, NewCommand, NewVersion, VersionOutcome};
use crate::{clock, view};

/// Versions of one command, at most: each is kept whole until the command is deleted.
const VERSIONS_MAX: u32 = 1000;

/// Commands that are kept, at most.
const COMMANDS_MAX: i64 = 50_000;

/// Lists commands in their newest versions, by the order in which they were made.
#[utoipa::path(get, path = "/v1/commands", tag = "commands", params(
        ("prefix" = Option<String>, Query, description = "the name begins with this; capitals count"),
        ("contains" = Option<String>, Query, description = "the name holds this; capitals count"),
        ("type" = Option<String>, Query, description = "`shell`, `powershell`, `bat` or `plugin`"),
        ("tags" = Option<String>, Query, description = "`key=value` pairs joined by commas, all of which it has"),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<CommandView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Params(query): Params<ListCommands>,
) -> Result<axum::Json<Page<CommandView>>, ApiError> {
    let limit = limit(query.limit)?;
    let kind =
        query.kind.as_deref().map(str::parse::<CommandType>).transpose().map_err(|error| {
            ApiError::bad_request("type", "`type` is no type of commands").detail(error.to_string())
        })?;
    for (field, text) in [("prefix", &query.prefix), ("contains", &query.contains)] {
        // PostgreSQL's texts hold no NUL.
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(ApiError::bad_request("query", format!("`{field}` holds a NUL, which no name does")));
        }
    }
    let filter = CommandFilter {
        prefix: query.prefix,
        contains: query.contains,
        kind: kind.map(|kind| kind.to_string()),
        tags: query.tags.as_deref().map(instances::tag_selector).transpose()?.unwrap_or_default(),
    };
    let after = after(query.after.as_deref(), 0)?;
    let mut rows = api.store.commands(&filter, after, one_more(limit)).await?;
    let next = cut(&mut rows, limit, |row| row.key);
    Ok(axum::Json(Page { items: rows.into_iter().map(view::command).collect(), next }))
}

/// Makes a command, version 1.
#[utoipa::path(post, path = "/v1/commands", tag = "commands", request_body = CreateCommand,
    responses((status = CREATED, body = CommandDetail)))]
pub(crate) async fn create(
    permit: Permit,
    api: State,
    Json(request): Json<CreateCommand>,
) -> Result<(StatusCode, axum::Json<CommandDetail>), ApiError> {
    let mut faults = tag_faults(&request.tags);
    let id = new_id()?;
    let stored = match StoredCommand::create(id, &request.command, &api.scripts) {
        Ok(stored) => Some(stored),
        Err(found) => {
            faults.extend(told(found));
            None
        }
    };
    faults.extend(secrets(&request.command.parameters));
    let Some(stored) = stored.filter(|_| faults.is_empty()) else { return Err(ApiError::faults(faults)) };
    let detail = add(&api, &permit, &stored, request.tags).await?;
    Ok((StatusCode::CREATED, axum::Json(detail)))
}

/// Shows a command in its newest version or another.
#[utoipa::path(get, path = "/v1/commands/{id}", tag = "commands", params(("id" = String, Path,),
        ("version" = Option<u32>, Query, description = "which version; the newest where absent"),
    ), responses((status = OK, body = CommandDetail)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ShowCommand>,
) -> Result<axum::Json<CommandDetail>, ApiError> {
    Ok(axum::Json(detail(&api, &id, query.version).await?))
}

/// Changes a command: a new version, unless nothing changes. What runs keeps the version that it was started with.
#[utoipa::path(put, path = "/v1/commands/{id}", tag = "commands", params(("id" = String, Path,)),
    request_body = ChangeCommand, responses((status = OK, body = CommandDetail)))]
pub(crate) async fn change(
    permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<ChangeCommand>,
) -> Result<axum::Json<CommandDetail>, ApiError> {
    let (row, now) = find(&api, &id, None).await?;
    if request.from != now.version {
        return Err(faster(&id, request.from, now.version));
    }
    let mut faults = request.tags.as_ref().map(tag_faults).unwrap_or_default();
    let next = match now.modify(request.from, &request.command, &api.scripts) {
        Ok(next) => Some(next),
        Err(found) => {
            faults.extend(told(found));
            None
        }
    };
    faults.extend(secrets(&request.command.parameters));
    let Some(next) = next.filter(|_| faults.is_empty()) else { return Err(ApiError::faults(faults)) };
    let retagged = request.tags.as_ref().is_some_and(|tags| *tags != row.tags);
    if next.version == now.version && !retagged {
        return Ok(axum::Json(detail(&api, &id, None).await?));
    }
    if now.version >= VERSIONS_MAX {
        return Err(ApiError::conflict("command-versions", format!("a command has at most {VERSIONS_MAX} versions"))
            .detail(format!("`{id}` has {}", now.version))
            .hint(format!("go on with a copy: `orderly command clone {id}`")));
    }
    let new = version(&permit, &next.command, request.tags)?;
    match api.store.change_command(&id, row.newest, new).await? {
        VersionOutcome::Stored(_) => Ok(axum::Json(detail(&api, &id, None).await?)),
        VersionOutcome::Stale(newest) => Err(faster(&id, request.from, u32::try_from(newest).unwrap_or(0))),
        VersionOutcome::Unknown => Err(ApiError::unknown("command", id.escape_debug())),
    }
}

fn faster(id: &str, from: u32, now: u32) -> ApiError {
    ApiError::conflict("command-changed", "the command was changed meanwhile")
        .detail(format!("the change is made from version {from}, `{id}` is at version {now}"))
        .hint("look at the newest version and make the change again")
}

/// Makes a new command that is the same under another name.
#[utoipa::path(post, path = "/v1/commands/{id}/clone", tag = "commands", params(("id" = String, Path,)),
    request_body = CloneCommand, responses((status = CREATED, body = CommandDetail)))]
pub(crate) async fn duplicate(
    permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<CloneCommand>,
) -> Result<(StatusCode, axum::Json<CommandDetail>), ApiError> {
    let (row, from) = find(&api, &id, request.version).await?;
    let stored =
        from.clone_as(new_id()?, &request.name, &api.scripts).map_err(|faults| ApiError::faults(told(faults)))?;
    let detail = add(&api, &permit, &stored, row.tags).await?;
    Ok((StatusCode::CREATED, axum::Json(detail)))
}

/// Lists the versions of a command, newest first: who changed what, when.
#[utoipa::path(get, path = "/v1/commands/{id}/versions", tag = "commands", params(("id" = String, Path,),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<VersionView>)))]
pub(crate) async fn versions(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListVersions>,
) -> Result<axum::Json<Page<VersionView>>, ApiError> {
    let limit = limit(query.limit)?;
    let before = after(query.after.as_deref(), i64::from(i32::MAX))?;
    let (row, _) = find(&api, &id, None).await?;
    let before = i32::try_from(before).unwrap_or(i32::MAX);
    let mut rows = api.store.command_versions(row.key, before, one_more(limit)).await?;
    let next = cut(&mut rows, limit, |row| i64::from(row.version));
    Ok(axum::Json(Page { items: rows.into_iter().map(view::version).collect(), next }))
}

/// Deletes a command with all its versions; refused while an invocation of it has not ended.
#[utoipa::path(delete, path = "/v1/commands/{id}", tag = "commands", params(("id" = String, Path,)),
    responses((status = NO_CONTENT)))]
pub(crate) async fn delete(_permit: Permit, api: State, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    known_form(&id)?;
    match api.store.delete_command(&id).await? {
        DeleteOutcome::Deleted => Ok(StatusCode::NO_CONTENT),
        DeleteOutcome::Unknown => Err(ApiError::unknown("command", id.escape_debug())),
        DeleteOutcome::Running(invocations) => {
            let mut named: Vec<String> = invocations.iter().take(5).map(|uid| format!("`{uid}`")).collect();
            if named.len() < invocations.len() {
                named.push("more".to_owned());
            }
            Err(ApiError::conflict("command-running", "the command is not deleted: invocations of it have not ended")
                .detail(named.join(", "))
                .hint("wait for their end, or stop them with `orderly invocation stop`"))
        }
    }
}

/// What has not the form of an id is the id of nothing.
fn known_form(id: &str) -> Result<(), ApiError> {
    id.parse::<CommandId>().map(drop).map_err(|_| ApiError::unknown("command", id.escape_debug()))
}

fn new_id() -> Result<CommandId, ApiError> {
    let random = clock::random().map_err(|error| ApiError::internal(&error))?;
    Ok(CommandId::new(clock::now_ms(), random))
}

fn told(faults: Vec<CommandFault>) -> Vec<Fault> {
    let told = |fault: CommandFault| Fault { field: format!("command.{}", fault.field), message: fault.problem };
    faults.into_iter().map(told).collect()
}

/// Values of kept commands travel in signed orders, which auditors read: there is no way yet for one that nobody may read.
fn secrets(parameters: &[ParameterSpec]) -> Vec<Fault> {
    let secret = parameters.iter().filter(|spec| spec.secret);
    let message = "is secret, but a run's values stand in its signed order, which is no secret: \
                   let the script read the secret on the instance";
    secret
        .map(|spec| Fault { field: format!("command.parameters.{}", spec.name), message: message.to_owned() })
        .collect()
}

async fn add(
    api: &Api,
    permit: &Permit,
    stored: &StoredCommand,
    tags: BTreeMap<String, String>,
) -> Result<CommandDetail, ApiError> {
    let uid = stored.id.to_string();
    let first = version(permit, &stored.command, Some(tags))?;
    let kind = stored.command.kind().to_string();
    if !api.store.add_command(NewCommand { uid: uid.clone(), kind, first }, COMMANDS_MAX).await? {
        return Err(ApiError::conflict("commands-full", format!("at most {COMMANDS_MAX} commands are kept"))
            .hint("delete those that nobody runs any more with `orderly command delete`"));
    }
    detail(api, &uid, None).await
}

fn version(permit: &Permit, command: &Command, tags: Option<BTreeMap<String, String>>) -> Result<NewVersion, ApiError> {
    let content = match &command.body {
        CommandBody::Script(script) => Some(script.content.as_slice()),
        CommandBody::Plugin { .. } => None,
    };
    Ok(NewVersion {
        changed_ms: clock::now_ms(),
        changed_by: permit.principal().to_owned(),
        name: command.name.to_string(),
        description: command.description.clone(),
        content_digest: content.map(Digest::of),
        content_bytes: content.map_or(0, |content| i64::try_from(content.len()).unwrap_or(i64::MAX)),
        draft: serde_json::to_string(&command.draft()).map_err(|error| ApiError::internal(&error))?,
        tags,
    })
}

/// A command in a version, the newest where none is named.
pub(super) async fn find(api: &Api, id: &str, version: Option<u32>) -> Result<(CommandRow, StoredCommand), ApiError> {
    let (row, draft) = read(api, id, version).await?;
    let stored = stored(&row, &draft)?;
    Ok((row, stored))
}

/// A row as the model has it. What was stored under larger limits stays what it is.
pub(super) fn stored(row: &CommandRow, draft: &CommandDraft) -> Result<StoredCommand, ApiError> {
    let unreadable = || ApiError::from(StoreError::Row { table: "commands", value: row.uid.clone() });
    Ok(StoredCommand {
        id: row.uid.parse().map_err(|_| unreadable())?,
        version: u32::try_from(row.version.version).map_err(|_| unreadable())?,
        command: draft.check(&ContentLimits::MOST, ContentUse::Stored).map_err(|_| unreadable())?,
    })
}

/// A command's row in a version, and what it says there.
pub(super) async fn read(api: &Api, id: &str, version: Option<u32>) -> Result<(CommandRow, CommandDraft), ApiError> {
    known_form(id)?;
    let number = version.map(|version| i32::try_from(version).unwrap_or(i32::MAX));
    let Some((row, draft)) = api.store.command(id, number).await? else {
        return Err(match version {
            Some(version) if api.store.command(id, None).await?.is_some() => {
                ApiError::new(StatusCode::NOT_FOUND, "unknown-version", format!("`{id}` has no version {version}"))
                    .hint(format!("list them with `orderly command versions {id}`"))
            }
            _ => ApiError::unknown("command", id.escape_debug()),
        });
    };
    let draft = serde_json::from_str(&draft)
        .map_err(|_| ApiError::from(StoreError::Row { table: "command_versions", value: row.uid.clone() }))?;
    Ok((row, draft))
}

async fn detail(api: &Api, id: &str, version: Option<u32>) -> Result<CommandDetail, ApiError> {
    let (row, command) = read(api, id, version).await?;
    Ok(CommandDetail { view: view::command(row), command })
}
