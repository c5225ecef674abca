//! Plugin packages as an author and a security team would make them, or bent ones.
//!
//! Owns the three files of a package, its statement and its approval. It reads components that `cargo xtask guests` built.

use std::fs;

use orderly_model::plugin::Manifest;
use orderly_signing::approval::Approval;
use orderly_signing::sign::{sign_approval, sign_statement};
use orderly_signing::statement::{Build, Predicate};
use orderly_signing::{Digest, SecretKey};
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::problem::Problem;
use reqwest::Method;

use crate::api::now_ms;
use crate::fleet::Fleet;
use crate::programs;
use crate::trust::DAY_MS;

/// The files of a package.
#[derive(Clone, Debug)]
pub struct Package {
    /// `plugin.wasm`
    pub component: Vec<u8>,
    /// `plugin.toml`
    pub manifest: Vec<u8>,
    /// `statement.json`
    pub statement: Vec<u8>,
}

impl Package {
    /// A package of a plugin of this repository, its statement signed by this key.
    ///
    /// # Panics
    /// Where the component has not been built.
    #[must_use]
    pub fn of(plugin: &str, publisher: &SecretKey) -> Self {
        let (component, manifest) = programs::component(plugin);
        Self::new(fs::read(component).expect("a component"), fs::read(manifest).expect("a manifest"), publisher)
    }

    /// A package of these bytes, its statement signed by this key.
    ///
    /// # Panics
    /// Where the manifest does not parse.
    #[must_use]
    pub fn new(component: Vec<u8>, manifest: Vec<u8>, publisher: &SecretKey) -> Self {
        let mut package = Self { component, manifest, statement: Vec::new() };
        package.sign(publisher);
        package
    }

    /// The manifest, read.
    ///
    /// # Panics
    /// Where it does not parse.
    #[must_use]
    pub fn read_manifest(&self) -> Manifest {
        let text = std::str::from_utf8(&self.manifest).expect("text");
        Manifest::parse(text).unwrap_or_else(|error| panic!("plugin.toml: {error}"))
    }

    /// Signs the statement anew for the bytes as they are now.
    ///
    /// # Panics
    /// Where the manifest does not parse.
    pub fn sign(&mut self, publisher: &SecretKey) {
        let manifest = self.read_manifest();
        let predicate = Predicate {
            name: manifest.name.to_string(),
            version: manifest.version.to_string(),
            manifest: Digest::of(&self.manifest),
            wit: "orderly:plugin@0.1.0".to_owned(),
            build: Build { tool: "test".to_owned(), source: None },
        };
        let signed = sign_statement(Digest::of(&self.component), predicate, publisher);
        self.statement = signed.expect("a statement within bounds").to_json();
    }

    /// The package: a tar of exactly these three files.
    ///
    /// # Panics
    /// Never: memory takes all that is written.
    #[must_use]
    pub fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let files =
            [("plugin.wasm", &self.component), ("plugin.toml", &self.manifest), ("statement.json", &self.statement)];
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, name, content.as_slice()).expect("written to memory");
        }
        tar.into_inner().expect("written to memory")
    }

    /// The security team's approval of exactly what the manifest asks for.
    ///
    /// # Panics
    /// Where the manifest does not parse.
    #[must_use]
    pub fn approval(&self, publisher: &SecretKey) -> Approval {
        let manifest = self.read_manifest();
        Approval {
            version: 1,
            name: manifest.name.to_string(),
            plugin_version: manifest.version.to_string(),
            component: Digest::of(&self.component),
            manifest: Digest::of(&self.manifest),
            publishers: vec![publisher.public().clone()],
            capabilities: manifest.capabilities.to_canonical_json(),
            issued_ms: now_ms() - 1000,
            expires_ms: now_ms() + 30 * DAY_MS,
            revision: 1,
        }
    }
}

impl Fleet {
    /// Uploads a package and its approval, both as they should be.
    pub fn publish_plugin(&self, plugin: &str) -> PluginView {
        let package = Package::of(plugin, &self.trust.publisher);
        let approval = package.approval(&self.trust.publisher);
        self.publish_package(&package, &approval)
    }

    /// Uploads this package and this approval.
    ///
    /// # Panics
    /// Where the server refuses one of them.
    pub fn publish_package(&self, package: &Package, approval: &Approval) -> PluginView {
        let view = self.api.push(package.tar()).unwrap_or_else(|problem| panic!("{problem:?}"));
        self.approve(&view, approval, &self.trust.vetting).unwrap_or_else(|problem| panic!("{problem:?}"));
        view
    }

    /// Uploads an approval signed by this key.
    ///
    /// # Errors
    /// The problem that the server answers.
    ///
    /// # Panics
    /// Where the approval is out of bounds.
    pub fn approve(&self, view: &PluginView, approval: &Approval, key: &SecretKey) -> Result<(), Box<Problem>> {
        let envelope = sign_approval(approval, key).expect("an approval within bounds").to_json();
        let path = format!("/v1/plugins/{}/{}/approval", view.name, view.version);
        self.api.send_bytes::<serde_json::Value>(Method::PUT, &path, "application/json", envelope).map(|_| ())
    }
}
