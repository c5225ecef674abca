//! Plugin packages and approvals: what must hold before they are stored.
//!
//! Owns the checks of an upload. The server refuses early what agents would refuse; agents check all of it again, since they do not
//! trust this server.

use orderly_model::capability::{Capabilities, CapabilityKind};
use orderly_model::plugin::Manifest;
use orderly_signing::digest::Digest;
use orderly_signing::error::Refusal;
use orderly_signing::keyring::{Keyring, Role};
use orderly_signing::verify::{Verified, verify_approval, verify_plugin, verify_statement};

use orderly_wire::package::{Package, PackageError};

use crate::store::row::{PluginDocuments, PluginRow};

/// Why an upload is refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The package is not one.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The manifest does not parse.
    #[error("`plugin.toml` is not a manifest: {0}")]
    Manifest(String),
    /// A signature or what it covers.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No publisher of the keyring signed the statement.
    #[error("`statement.json` is not signed by any of the {publishers} publisher key(s) of the keyring: {last}")]
    Publisher {
        /// How many there are.
        publishers: usize,
        /// What the last check said.
        last: String,
    },
    /// The statement is about something else.
    #[error("`statement.json` says {what} `{said}`, and the package holds `{found}`")]
    Differs {
        /// What differs.
        what: &'static str,
        /// What the statement says.
        said: String,
        /// What is there.
        found: String,
    },
}

/// Checks a package wholly: its form, the manifest, the publisher's statement and the digests.
///
/// # Errors
/// The first thing that does not hold.
pub fn check_package(
    package: &Package,
    keyring: &Verified<Keyring>,
    now_ms: i64,
) -> Result<(PluginRow, PluginDocuments), CatalogueError> {
    let text = std::str::from_utf8(&package.manifest).map_err(|error| CatalogueError::Manifest(error.to_string()))?;
    let manifest = Manifest::parse(text).map_err(|errors| CatalogueError::Manifest(errors.to_string()))?;
    let publishers = keyring.role(Role::Publisher);
    let mut last = "the keyring has no publisher; add one and publish the keyring again".to_owned();
    let mut verified = None;
    for id in &publishers.keys {
        let Some(entry) = keyring.key(id) else { continue };
        match verify_statement(&package.statement, &entry.key) {
            Ok(statement) => {
                verified = Some((statement, *id));
                break;
            }
            Err(refusal) => last = refusal.to_string(),
        }
    }
    let (statement, publisher) =
        verified.ok_or(CatalogueError::Publisher { publishers: publishers.keys.len(), last })?;
    let component = Digest::of(&package.component);
    let manifest_digest = Digest::of(&package.manifest);
    let predicate = &statement.predicate;
    for (what, said, found) in [
        ("the component", statement.component().unwrap_or(Digest::ZERO).to_string(), component.to_string()),
        ("the manifest", predicate.manifest.to_string(), manifest_digest.to_string()),
        ("the name", predicate.name.clone(), manifest.name.to_string()),
        ("the version", predicate.version.clone(), manifest.version.to_string()),
    ] {
        if said != found {
            return Err(CatalogueError::Differs { what, said, found });
        }
    }
    let row = PluginRow {
        key: 0,
        name: manifest.name.to_string(),
        version: manifest.version.to_string(),
        summary: manifest.summary.clone(),
        component,
        component_bytes: i64::try_from(package.component.len()).unwrap_or(i64::MAX),
        manifest_digest,
        publisher: publisher.to_string(),
        tier: manifest.capabilities.tier().to_string(),
        capabilities: lines(&manifest.capabilities).join("\n"),
        approval_revision: None,
        created_ms: now_ms,
    };
    let documents =
        PluginDocuments { manifest: package.manifest.clone(), statement: package.statement.clone(), approval: None };
    Ok((row, documents))
}

/// What a set of capabilities lets a plugin touch, a line each.
fn lines(asked: &Capabilities) -> Vec<String> {
    fn each<T: std::fmt::Display>(kind: CapabilityKind, list: &[T]) -> impl Iterator<Item = String> + '_ {
        list.iter().map(move |entry| format!("{kind} {entry}"))
    }
    let mut lines = Vec::new();
    lines.extend(each(CapabilityKind::FilesRead, &asked.files_read));
    lines.extend(each(CapabilityKind::FilesWrite, &asked.files_write));
    lines.extend(each(CapabilityKind::Http, &asked.http));
    lines.extend(each(CapabilityKind::Process, &asked.process));
    lines.extend(each(CapabilityKind::Environment, &asked.environment));
    let flags = [
        CapabilityKind::FilesPrivileged,
        CapabilityKind::Clock,
        CapabilityKind::Random,
        CapabilityKind::Facts,
        CapabilityKind::Mounts,
    ];
    lines.extend(flags.into_iter().filter(|kind| asked.has(*kind)).map(|kind| kind.to_string()));
    if asked.has(CapabilityKind::User) {
        lines.push(format!("{} {}", CapabilityKind::User, asked.user));
    }
    lines
}

/// Checks an approval for a stored plugin as an agent would, and answers its revision.
///
/// # Errors
/// Where it does not verify or is about something else.
pub fn check_approval(
    plugin: &PluginRow,
    documents: &PluginDocuments,
    approval: &[u8],
    keyring: &Verified<Keyring>,
    now_ms: i64,
) -> Result<u64, CatalogueError> {
    let approved = verify_approval(approval, keyring)?;
    for (what, said, found) in
        [("the name", &approved.name, &plugin.name), ("the version", &approved.plugin_version, &plugin.version)]
    {
        if said != found {
            return Err(CatalogueError::Differs { what, said: said.clone(), found: found.clone() });
        }
    }
    verify_plugin(None, keyring, plugin.component, &documents.manifest, &documents.statement, approval, now_ms)?;
    Ok(approved.revision)
}
