//! `orderly plugin sign`: a built plugin to a signed package.
//!
//! Owns the statement that a publisher signs: this component, with this manifest, built by this tool.

use std::path::PathBuf;

use clap::Args;
use orderly_signing::Digest;
use orderly_signing::sign::sign_statement;
use orderly_signing::statement::{Build, Predicate};
use serde::Serialize;

use crate::component;
use crate::context::Context;
use crate::error::{Exit, OrFail as _, Outcome};
use crate::source::Source;
use crate::trust::write_whole;
use orderly_wire::package::Package;

/// Options of `plugin sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The plugin: its folder, or its component
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    plugin: PathBuf,
    /// The manifest, where it does not lie beside the component
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The publisher's key: a name in `keys/`, or a path
    #[arg(long, default_value = "publisher", value_name = "KEY")]
    key: String,
    /// Where the source is, for people: a URL
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// The package to write; NAME-VERSION.orderly.tar where absent
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct View {
    package: PathBuf,
    name: String,
    version: String,
    component: Digest,
    publisher: String,
}

impl Sign {
    /// Signs and packs.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let source = Source::read(&self.plugin, self.manifest.as_deref())?;
        // A signature on what no instance can run helps nobody.
        component::imports(&source.component).or_usage(|| "the component cannot be read".to_owned())?;
        let key = context.keys.secret(&self.key)?;
        let (name, version) = (source.manifest.name.to_string(), source.manifest.version.to_string());
        let predicate = Predicate {
            name: name.clone(),
            version: version.clone(),
            manifest: Digest::of(&source.manifest_bytes),
            wit: source.manifest.wit.to_string(),
            build: Build { tool: concat!("orderly ", env!("CARGO_PKG_VERSION")).to_owned(), source: self.source },
        };
        let component = Digest::of(&source.component);
        let statement =
            sign_statement(component, predicate, &key).or_usage(|| "the statement cannot be signed".to_owned())?;
        let package =
            Package { component: source.component, manifest: source.manifest_bytes, statement: statement.to_json() };
        let to = self.to.unwrap_or_else(|| PathBuf::from(format!("{name}-{version}.orderly.tar")));
        let bytes = package.write().or_usage(|| "the package cannot be written".to_owned())?;
        write_whole(&to, &bytes)?;
        let publisher = key.public().key_id().to_string();
        let view = View { package: to, name, version, component, publisher };
        context.printer.one(&view, |printer| {
            printer.line(&view.package.display().to_string());
            printer.remark(&format!("`{}` {} is signed by the publisher {}", view.name, view.version, view.publisher));
        });
        Ok(Exit::Success)
    }
}
