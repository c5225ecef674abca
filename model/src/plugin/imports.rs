//! What a component's imports can reach. *Inert* ones are always linked, as they reach nothing
//! by themselves; *strict* ones are linked only where a capability is granted; all others are never linked.

use std::fmt;

use super::wit::{numbers, same_track};
use crate::capability::{Capabilities, CapabilityKind};

/// What becomes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportClass {
    /// Always linked.
    Inert,
    /// Linked where there is a capability of this kind.
    Strict(CapabilityKind),
    /// Never linked in this release.
    Unknown,
}

/// The WASI version whose track is linked: 0.2.x.
const WASI: [u32; 3] = [0, 2, 0];
/// The version of `orderly:plugin` that is linked.
const PLUGIN: [u32; 3] = [0, 1, 0];

/// What becomes of the import of this name, as components have it: `wasi:io/streams@0.2.6`.
///
/// Any version of the linked track counts as the linked one; that the host is new enough is
/// found when it is linked. Sockets are unknown in this release, whatever is granted.
pub fn classify(import_name: &str) -> ImportClass {
    let Some((interface, version)) = import_name.split_once('@') else {
        return ImportClass::Unknown;
    };
    let linked = if interface.starts_with("wasi:") { WASI } else { PLUGIN };
    if !numbers(version).is_some_and(|version| same_track(version, linked)) {
        return ImportClass::Unknown;
    }
    match interface {
        "wasi:io/error" | "wasi:io/poll" | "wasi:io/streams" => ImportClass::Inert,
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => ImportClass::Inert,
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => ImportClass::Inert,
        "wasi:cli/environment" | "wasi:cli/exit" | "wasi:cli/stdin" | "wasi:cli/stdout" | "wasi:cli/stderr" => {
            ImportClass::Inert
        }
        "wasi:cli/terminal-input"
        | "wasi:cli/terminal-output"
        | "wasi:cli/terminal-stdin"
        | "wasi:cli/terminal-stdout"
        | "wasi:cli/terminal-stderr" => ImportClass::Inert,
        "wasi:filesystem/types" | "wasi:filesystem/preopens" => ImportClass::Inert,
        "wasi:http/types" | "wasi:http/outgoing-handler" => ImportClass::Strict(CapabilityKind::Http),
        // `command` as an import holds types only.
        "orderly:plugin/log" | "orderly:plugin/report" | "orderly:plugin/command" => ImportClass::Inert,
        "orderly:plugin/facts" => ImportClass::Strict(CapabilityKind::Facts),
        "orderly:plugin/mounts" => ImportClass::Strict(CapabilityKind::Mounts),
        "orderly:plugin/files" => ImportClass::Strict(CapabilityKind::FilesRead),
        "orderly:plugin/process" => ImportClass::Strict(CapabilityKind::Process),
        _ => ImportClass::Unknown,
    }
}

/// An import that will not be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImport {
    /// The import's name as the component has it.
    pub import: String,
    /// Why it is not linked.
    pub reason: MissingReason,
}

/// Why an import is not linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingReason {
    /// A capability of this kind would be needed.
    Needs(CapabilityKind),
    /// This release does not offer it.
    NotOffered,
}

impl fmt::Display for MissingImport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "import `{}`", self.import)?;
        match self.reason {
            MissingReason::Needs(kind) => write!(out, " needs the capability `{kind}`, which is not granted"),
            MissingReason::NotOffered => write!(out, " is not offered to plugins by this release"),
        }
    }
}

/// All imports that would not be linked with these capabilities, in the order in which they come.
pub fn missing_for<'a>(imports: impl IntoIterator<Item = &'a str>, capabilities: &Capabilities) -> Vec<MissingImport> {
    let missing = imports.into_iter().filter_map(|import| {
        let reason = match classify(import) {
            ImportClass::Inert => return None,
            ImportClass::Strict(kind) if capabilities.has(kind) => return None,
            ImportClass::Strict(kind) => MissingReason::Needs(kind),
            ImportClass::Unknown => MissingReason::NotOffered,
        };
        Some(MissingImport { import: import.to_owned(), reason })
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_name_and_track() {
        use CapabilityKind::{Facts, FilesRead, Http, Mounts, Process};
        for (name, class) in [
            ("wasi:filesystem/types@0.2.12", ImportClass::Inert),
            ("wasi:cli/stdout@0.2.0", ImportClass::Inert),
            ("orderly:plugin/log@0.1.0", ImportClass::Inert),
            ("orderly:plugin/report@0.1.7", ImportClass::Inert),
            ("wasi:http/outgoing-handler@0.2.3", ImportClass::Strict(Http)),
            ("orderly:plugin/facts@0.1.0", ImportClass::Strict(Facts)),
            ("orderly:plugin/mounts@0.1.0", ImportClass::Strict(Mounts)),
            ("orderly:plugin/files@0.1.0", ImportClass::Strict(FilesRead)),
            ("orderly:plugin/process@0.1.0", ImportClass::Strict(Process)),
        ] {
            assert_eq!(classify(name), class, "{name}");
        }
        for unknown in [
            "wasi:sockets/tcp@0.2.0",
            "wasi:sockets/ip-name-lookup@0.2.0",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:filesystem/types@0.3.0",
            "wasi:filesystem/types",
            "wasi:filesystem/types@0.2.0-rc-2023-11-10",
            "wasi:filesystem/types@latest",
            "orderly:plugin/facts@0.2.0",
            "orderly:plugin/facts@1.1.0",
            "orderly:pluginx/facts@0.1.0",
            "evil:plugin/log@0.1.0",
            "log",
            "",
        ] {
            assert_eq!(classify(unknown), ImportClass::Unknown, "{unknown}");
        }
    }

    #[test]
    fn all_missing_imports_are_told() {
        let imports = [
            "wasi:io/streams@0.2.0",
            "orderly:plugin/facts@0.1.0",
            "wasi:sockets/tcp@0.2.0",
            "orderly:plugin/mounts@0.1.0",
        ];
        let capabilities = Capabilities { facts: true, ..Capabilities::none() };
        let texts: Vec<String> = missing_for(imports, &capabilities).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "import `wasi:sockets/tcp@0.2.0` is not offered to plugins by this release",
                "import `orderly:plugin/mounts@0.1.0` needs the capability `mounts`, which is not granted",
            ]
        );
    }
}
