//! `orderly verify plugin`: a package, its publisher and, where there is one, the security team's approval.
//!
//! Owns which key a statement must be of: that of a publisher in the keyring, or one that is named.

use std::path::PathBuf;

use clap::Args;
use orderly_model::plugin::Manifest;
use orderly_signing::keyring::{Keyring, Role};
use orderly_signing::statement::Statement;
use orderly_signing::verify::{verify_plugin, verify_statement};
use orderly_signing::{Digest, PublicKey, Verified};
use serde::Serialize;

use super::Anchors;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::evidence::read;
use crate::output::{Tone, now_ms};
use orderly_wire::package::Package;

/// Options of `verify plugin`.
#[derive(Debug, Args)]
pub(crate) struct PluginFile {
    /// The package, a tar
    package: PathBuf,
    /// The approval, a DSSE envelope; then it is verified too
    #[arg(long, value_name = "FILE")]
    approval: Option<PathBuf>,
    /// The publisher's public key; one of the keyring's publishers where absent
    #[arg(long, value_name = "FILE")]
    publisher_key: Option<PathBuf>,
    #[command(flatten)]
    anchors: Anchors,
}

#[derive(Debug, Serialize)]
struct View {
    verified: bool,
    name: String,
    version: String,
    component: Digest,
    manifest: Digest,
    publisher: String,
    approved: bool,
}

impl PluginFile {
    /// Verifies the package.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let package = Package::parse(&read(&self.package)?)
            .or_not_verified(|| format!("`{}` is no plugin package", self.package.display()))?;
        let keyring = match &self.publisher_key {
            Some(_) if self.approval.is_none() => None,
            _ => Some(self.anchors.load(context)?),
        };
        let keys: Vec<PublicKey> = match (&self.publisher_key, &keyring) {
            (Some(file), _) => vec![
                orderly_signing::key::file::load_public(file)
                    .or_usage(|| "the publisher's key cannot be used".to_owned())?,
            ],
            (None, Some(keyring)) => publishers(keyring),
            (None, None) => Vec::new(),
        };
        let (statement, key) = check_package(&package, &keys)?;
        if let (Some(file), Some(keyring)) = (&self.approval, &keyring) {
            let component = Digest::of(&package.component);
            verify_plugin(None, keyring, component, &package.manifest, &package.statement, &read(file)?, now_ms())
                .or_not_verified(|| format!("`{}` does not approve this package", file.display()))?;
        }
        let name = keyring.as_ref().and_then(|keyring| keyring.key(&key.key_id())).map(|entry| entry.name.clone());
        let view = View {
            verified: true,
            name: statement.predicate.name.clone(),
            version: statement.predicate.version.clone(),
            component: Digest::of(&package.component),
            manifest: Digest::of(&package.manifest),
            publisher: name.unwrap_or_else(|| key.key_id().to_string()),
            approved: self.approval.is_some(),
        };
        context.printer.one(&view, |printer| {
            let rows = [
                ("plugin", format!("{} {}", view.name, view.version)),
                ("component", view.component.to_string()),
                ("manifest", view.manifest.to_string()),
                ("publisher", view.publisher.clone()),
                ("built with", statement.predicate.build.tool.clone()),
            ];
            printer.table(
                &["", ""],
                rows.into_iter().map(|(key, value)| vec![(key.to_owned(), Tone::Dim), (value, Tone::Plain)]).collect(),
            );
            printer.line(if view.approved {
                "verified, and approved"
            } else {
                "verified; whether it is approved was not asked (`--approval FILE`)"
            });
        });
        Ok(Exit::Success)
    }
}

/// The keys that hold the publisher's role.
pub(crate) fn publishers(keyring: &Keyring) -> Vec<PublicKey> {
    keyring.role(Role::Publisher).keys.iter().filter_map(|id| keyring.key(id)).map(|entry| entry.key.clone()).collect()
}

/// Checks that one of the keys signed the statement, and that it, the component and the manifest say the same.
///
/// # Errors
/// None of the keys signed, a digest differs, or the manifest says another name or version.
pub(crate) fn check_package(
    package: &Package,
    keys: &[PublicKey],
) -> Result<(Verified<Statement>, PublicKey), Failure> {
    let mut last = None;
    for key in keys {
        match verify_statement(&package.statement, key) {
            Ok(statement) => {
                check_statement(package, &statement)?;
                return Ok((statement, key.clone()));
            }
            Err(refusal) => last = Some(refusal),
        }
    }
    let failure = Failure::not_verified(format!(
        "the package's statement is by none of the {} publisher(s) known here",
        keys.len()
    ))
    .hint("a publisher is added with `orderly trust publish --add publisher:NAME=FILE`");
    Err(match last {
        Some(refusal) => failure.because(refusal),
        None => failure,
    })
}

fn check_statement(package: &Package, statement: &Statement) -> Result<(), Failure> {
    let differs = |what: &str, said: String, found: String| {
        Err(Failure::not_verified(format!("the statement says {what} {said}, the package has {found}")))
    };
    let (component, manifest) = (Digest::of(&package.component), Digest::of(&package.manifest));
    if statement.component() != Some(component) {
        let said = statement.component().map_or_else(|| "-".to_owned(), |digest| digest.to_string());
        return differs("component", said, component.to_string());
    }
    if statement.predicate.manifest != manifest {
        return differs("manifest", statement.predicate.manifest.to_string(), manifest.to_string());
    }
    let text = std::str::from_utf8(&package.manifest).or_not_verified(|| "the manifest is no text".to_owned())?;
    let parsed = Manifest::parse(text).or_not_verified(|| "the manifest does not parse".to_owned())?;
    let said = format!("{} {}", statement.predicate.name, statement.predicate.version);
    let found = format!("{} {}", parsed.name, parsed.version);
    if said != found {
        return differs("plugin", said, found);
    }
    Ok(())
}
