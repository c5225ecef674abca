//! The attempts, each with what it got or how it was refused.
//!
//! Owns the paths that should not work. Uses WASI itself, past the SDK's own care.

use orderly_plugin::bindings::orderly::plugin::files as host;
use orderly_plugin::files::{Files as _, Instance};
use orderly_plugin::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

/// Links that the test puts into the granted folder: `secret` beside the folder is what they lead to.
///
/// `link-relative` → `../secret`, `link-absolute` → the secret's absolute path, `link-parent` → `..`, `link-root` → `/`,
/// `link-chain` → `link-relative`, `link-passwd` → `/etc/passwd`.
const LINKS: [&str; 8] = [
    "link-relative",
    "link-absolute",
    "link-parent/secret",
    "link-root/etc/passwd",
    "link-chain",
    "link-passwd",
    "link-parent/granted/../secret",
    "./link-parent/./secret",
];

/// Ways to say "up" that a careless check lets through.
const UPWARDS: [&str; 9] = [
    "../secret",
    "..",
    "./../secret",
    "inside/../../secret",
    "inside/../../granted/../secret",
    "..//secret",
    "../secret/",
    "/etc/passwd",
    "//etc/passwd",
];

/// What was tried and what came of it.
pub(crate) struct Attempt {
    pub title: String,
    /// What was got, or the words of the refusal.
    pub got: Result<String, String>,
}

/// Attempts on one preopened folder.
pub(crate) fn through(preopen: &Descriptor, at: &str, folder: &str, neighbour: &str, into: &mut Vec<Attempt>) {
    let paths = UPWARDS.iter().chain(&LINKS);
    for path in paths {
        try_path(preopen, at, path, into);
    }
    // Where a single file was granted, its folder is open: nothing else in it may be.
    if let Some(name) = neighbour.strip_prefix(&format!("{}/", at.trim_end_matches('/'))) {
        for path in
            [name.to_owned(), format!("./{name}"), format!("{name}/"), format!("{name}/."), format!("x/../{name}")]
        {
            try_path(preopen, at, &path, into);
        }
        // The folder was not granted, so its names are not either.
        attempt(into, format!("list {at}"), || list(preopen));
        attempt(into, format!("list {at} opened as `.`"), || {
            let again = preopen.open_at(PathFlags::empty(), ".", OpenFlags::DIRECTORY, DescriptorFlags::READ);
            list(&again.map_err(|code| code.name().to_owned())?)
        });
    }
    if at.trim_end_matches('/') == folder {
        changes(preopen, at, into);
    }
}

/// Attempts through the interface that describes files.
pub(crate) fn through_host(folder: &str, neighbour: &str, into: &mut Vec<Attempt>) {
    for path in [
        format!("{folder}/../secret"),
        format!("{folder}/link-parent/secret"),
        format!("{folder}/link-root/etc/passwd"),
        format!("{folder}x"),
        neighbour.to_owned(),
        "/".to_owned(),
        "etc/passwd".to_owned(),
        String::new(),
        "/etc/hostname/../passwd".to_owned(),
        "/etc/hostname\0/../passwd".to_owned(),
    ] {
        attempt(into, format!("stat {path:?}"), || match host::stat(&path) {
            Ok(metadata) => Ok(format!("mode {:o} size {}", metadata.mode, metadata.size)),
            Err(host::Error::Denied) => Err("denied".to_owned()),
            Err(host::Error::NotFound) => Err("not found".to_owned()),
            Err(host::Error::Failed(why)) => Err(why),
        });
    }
}

/// Attempts in the way that an honest plugin reads files.
pub(crate) fn through_sdk(folder: &str, neighbour: &str, into: &mut Vec<Attempt>) {
    for path in [format!("{folder}/../secret"), format!("{folder}/link-absolute"), neighbour.to_owned()] {
        attempt(into, format!("read {path} through the SDK"), || match Instance.read_text(&path, 4_096) {
            Ok(text) => Ok(start(text.as_bytes())),
            Err(error) => Err(error.to_string()),
        });
    }
}

fn try_path(preopen: &Descriptor, at: &str, path: &str, into: &mut Vec<Attempt>) {
    for (flags, how) in [(PathFlags::SYMLINK_FOLLOW, "following links"), (PathFlags::empty(), "not following links")] {
        attempt(into, format!("open {path} in {at}, {how}"), || {
            let opened = preopen.open_at(flags, path, OpenFlags::empty(), DescriptorFlags::READ);
            let opened = opened.map_err(|code| code.name().to_owned())?;
            match opened.read(64, 0) {
                Ok((bytes, _)) => Ok(start(&bytes)),
                // An opened folder is as bad as a file: the way goes on from there.
                Err(_) => list(&opened),
            }
        });
    }
    attempt(into, format!("stat {path} in {at}, following links"), || {
        let stat = preopen.stat_at(PathFlags::SYMLINK_FOLLOW, path).map_err(|code| code.name().to_owned())?;
        Ok(format!("size {}", stat.size))
    });
}

/// The grant is for reading: nothing may be made, changed or removed.
fn changes(preopen: &Descriptor, at: &str, into: &mut Vec<Attempt>) {
    let code = |code: orderly_plugin::wasi::filesystem::types::ErrorCode| code.name().to_owned();
    attempt(into, format!("make a file in {at}"), || {
        let made = preopen.open_at(PathFlags::empty(), "made", OpenFlags::CREATE, DescriptorFlags::WRITE);
        made.map(|_| "made".to_owned()).map_err(code)
    });
    attempt(into, format!("write to a file in {at}"), || {
        let file = preopen.open_at(PathFlags::empty(), "inside/file", OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
        file.and_then(|file| file.write(b"x", 0)).map(|count| format!("{count} bytes")).map_err(code)
    });
    attempt(into, format!("make a link to / in {at}"), || {
        preopen.symlink_at("/", "made-link").map(|()| "made".to_owned()).map_err(code)
    });
    attempt(into, format!("link a file of {at} to another name"), || {
        preopen
            .link_at(PathFlags::empty(), "inside/file", preopen, "made-hard")
            .map(|()| "made".to_owned())
            .map_err(code)
    });
    attempt(into, format!("rename a file out of {at}"), || {
        preopen.rename_at("inside/file", preopen, "../moved").map(|()| "moved".to_owned()).map_err(code)
    });
    attempt(into, format!("make a folder in {at}"), || {
        preopen.create_directory_at("made-folder").map(|()| "made".to_owned()).map_err(code)
    });
    attempt(into, format!("remove a file of {at}"), || {
        preopen.unlink_file_at("inside/file").map(|()| "removed".to_owned()).map_err(code)
    });
}

fn attempt(into: &mut Vec<Attempt>, title: String, act: impl FnOnce() -> Result<String, String>) {
    into.push(Attempt { title, got: act() });
}

fn list(folder: &Descriptor) -> Result<String, String> {
    let stream = folder.read_directory().map_err(|code| code.name().to_owned())?;
    let mut names = Vec::new();
    while let Some(entry) = stream.read_directory_entry().map_err(|code| code.name().to_owned())? {
        names.push(entry.name);
        if names.len() == 10 {
            break;
        }
    }
    if names.is_empty() {
        Err("it shows no names".to_owned())
    } else {
        Ok(format!("a folder with {}", names.join(", ")))
    }
}

fn start(bytes: &[u8]) -> String {
    format!("read {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(64)]))
}
