//! Files to be put on instances, and to be collected from them.

use orderly_model::limits::{TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S, TIMEOUT_MIN_S};
use orderly_model::name::UserName;
use orderly_signing::keyring::Tier;
use orderly_signing::order::{Action, CollectAction, FileAction, MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES};
use orderly_wire::http::file::{RunCollect, RunFile};

use super::super::Api;
use super::super::problem::ApiError;
use super::{Checked, Faults};
use crate::clock;

/// The mode where none is said.
const MODE: &str = "0644";

/// The agent's own user moves files, which only the instance knows.
const TIERS: &[Tier] = &[Tier::NativeRoot, Tier::NativeUser];

fn timeout(faults: &mut Faults, asked: Option<u32>) -> u32 {
    let timeout_s = asked.unwrap_or(TIMEOUT_DEFAULT_S);
    faults.within("timeout_s", timeout_s, TIMEOUT_MIN_S, TIMEOUT_MAX_S);
    timeout_s
}

/// A path of an instance: absolute, in one line, and not up. The rest is that instance's to judge.
fn path(faults: &mut Faults, field: &str, path: &str) {
    if path.is_empty() || path.len() > MAX_PATH_BYTES || path.contains(char::is_control) {
        faults.add(field, format!("must have 1 to {MAX_PATH_BYTES} bytes in one line"));
    } else if !path.starts_with('/') {
        faults.add(field, format!("is `{}`, it must be absolute", path.escape_debug()));
    } else if path.split('/').any(|part| part == "..") {
        faults.add(field, format!("goes up with `..` (`{}`): write the path that is meant", path.escape_debug()));
    }
}

fn mode(faults: &mut Faults, text: &str) -> u32 {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal => mode,
        _ => {
            faults.add("mode", format!("is `{}`, it must be three or four octal digits", text.escape_debug()));
            0
        }
    }
}

pub(super) async fn file(api: &Api, file: RunFile) -> Result<Checked, ApiError> {
    let mut faults = Faults::default();
    path(&mut faults, "directory", &file.directory);
    let name = &file.name;
    if name.len() > MAX_NAME_BYTES || matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
        faults.add("name", format!("is `{}`, which is not the name of a file", name.escape_debug()));
    } else if name.contains(char::is_control) {
        faults.add("name", "must be in one line");
    }
    if let Some(Err(error)) = file.owner.as_deref().map(str::parse::<UserName>) {
        faults.add("owner", error.to_string());
    }
    if let Some(Err(error)) = file.group.as_deref().map(str::parse::<UserName>) {
        faults.add("group", error.to_string());
    }
    let mode = mode(&mut faults, file.mode.as_deref().unwrap_or(MODE));
    let timeout_s = timeout(&mut faults, file.timeout_s);
    faults.end()?;
    // Also says that it is wanted, so that it is not removed before the invocation says so.
    let bytes = i64::try_from(file.content_bytes).unwrap_or(i64::MAX);
    if !api.store.touch_blob(file.content, bytes, clock::now_ms()).await? {
        return Err(ApiError::conflict("blob-missing", "the file's content is not on this server")
            .detail(format!("{} with {} bytes", file.content, file.content_bytes))
            .hint("bring it with `PUT /v1/blobs/{digest}`, as `orderly file push` does"));
    }
    let summary = format!("{}/{}", file.directory.trim_end_matches('/'), file.name);
    Ok(Checked {
        blob: Some(file.content),
        action: Action::File(FileAction {
            directory: file.directory,
            name: file.name,
            content: file.content,
            content_bytes: file.content_bytes,
            owner: file.owner,
            group: file.group,
            mode,
            overwrite: file.overwrite,
            timeout_s,
        }),
        tiers: TIERS,
        kind: "file",
        summary: super::first_line(summary.as_bytes()),
        content: None,
        plugin: None,
    })
}

pub(super) fn collect(collect: RunCollect) -> Result<Checked, ApiError> {
    let mut faults = Faults::default();
    path(&mut faults, "path", &collect.path);
    if collect.path.ends_with('/') {
        faults.add("path", "names a directory, and only a file is collected");
    }
    if !(1..=MAX_FILE_BYTES).contains(&collect.max_bytes) {
        faults.add("max_bytes", format!("is {}, it must be 1 to {MAX_FILE_BYTES}", collect.max_bytes));
    }
    let timeout_s = timeout(&mut faults, collect.timeout_s);
    faults.end()?;
    Ok(Checked {
        summary: super::first_line(collect.path.as_bytes()),
        action: Action::Collect(CollectAction { path: collect.path, max_bytes: collect.max_bytes, timeout_s }),
        tiers: TIERS,
        kind: "collect",
        content: None,
        plugin: None,
        blob: None,
    })
}
