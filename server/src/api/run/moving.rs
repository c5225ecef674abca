//! Files to be put on instances, and to be collected from them.

use orderly_model::file::{CollectDraft, FileDraft, FileFault};
use orderly_signing::keyring::Tier;
use orderly_signing::order::Action;
use orderly_wire::http::file::{RunCollect, RunFile};

use super::super::Api;
use super::super::problem::ApiError;
use super::{Checked, Faults};
use crate::clock;

/// The agent's own user moves files, which only the instance knows.
const TIERS: &[Tier] = &[Tier::NativeRoot, Tier::NativeUser];

fn wrong(found: Vec<FileFault>) -> ApiError {
    let mut faults = Faults::default();
    for fault in found {
        faults.add(fault.field, fault.problem);
    }
    ApiError::faults(faults.0)
}

pub(super) async fn file(api: &Api, file: RunFile) -> Result<Checked, ApiError> {
    let draft = FileDraft {
        directory: file.directory,
        name: file.name,
        owner: file.owner,
        group: file.group,
        mode: file.mode,
        overwrite: file.overwrite,
        timeout_s: file.timeout_s,
    };
    let action = draft.check(file.content, file.content_bytes).map_err(wrong)?;
    // Also says that it is wanted, so that it is not removed before the invocation says so.
    let bytes = i64::try_from(file.content_bytes).unwrap_or(i64::MAX);
    if !api.store.touch_blob(file.content, bytes, clock::now_ms()).await? {
        return Err(ApiError::conflict("blob-missing", "the file's content is not on this server")
            .detail(format!("{} with {} bytes", file.content, file.content_bytes))
            .hint("bring it with `PUT /v1/blobs/{digest}`, as `orderly file push` does"));
    }
    Ok(Checked {
        blob: Some(file.content),
        summary: super::first_line(format!("{}/{}", action.directory.trim_end_matches('/'), action.name).as_bytes()),
        action: Action::File(action),
        tiers: TIERS,
        kind: "file",
        content: None,
        plugin: None,
        command: None,
    })
}

pub(super) fn collect(collect: RunCollect) -> Result<Checked, ApiError> {
    let draft = CollectDraft { path: collect.path, max_bytes: collect.max_bytes, timeout_s: collect.timeout_s };
    let action = draft.check().map_err(wrong)?;
    Ok(Checked {
        summary: super::first_line(action.path.as_bytes()),
        action: Action::Collect(action),
        tiers: TIERS,
        kind: "collect",
        content: None,
        plugin: None,
        blob: None,
        command: None,
    })
}
