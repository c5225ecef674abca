//! `orderly plugin new`: a new plugin in Rust, with the SDK and the WIT files in it.
//!
//! Owns the layout of a new plugin's folder. The files themselves are those of this repository, put into the program
//! when it was built; a new plugin builds without it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use orderly_model::name::PluginName;

use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};

/// What a new plugin is made of: name below the folder, and text.
static TEMPLATE: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/template.rs"));

/// The name of the plugin that the template is.
const TEMPLATE_NAME: &str = "hello";

/// Options of `plugin new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The plugin's name: a-z, 0-9 and hyphens
    name: PluginName,
    /// The folder to make; the name where absent
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

impl New {
    /// Writes the folder.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let dir = self.path.unwrap_or_else(|| PathBuf::from(self.name.as_str()));
        if dir.exists() {
            return Err(Failure::usage(format!("`{}` is there already", dir.display())).hint("nothing was written"));
        }
        for (name, text) in files(self.name.as_str()) {
            write(&dir.join(name), &text)?;
        }
        context.printer.line(&format!("made `{}`", dir.display()));
        context.printer.line("next:");
        context
            .printer
            .line(&format!("  orderly plugin build {0}\n  orderly plugin run {0} --set name=you", dir.display()));
        Ok(Exit::Success)
    }
}

/// The files of a new plugin.
fn files(name: &str) -> Vec<(String, String)> {
    let mut workspace = String::new();
    let mut files = vec![(".gitignore".to_owned(), "/target\n".to_owned())];
    let mut package = String::new();
    for (path, text) in TEMPLATE {
        match *path {
            "workspace.toml" => workspace = workspace_manifest(text),
            "plugin/Cargo.toml" => package = text.replacen(TEMPLATE_NAME, name, 1),
            // It locks the repository's own plugins; cargo writes a new one.
            "Cargo.lock" => {}
            "plugin/plugin.toml" => files.push(("plugin.toml".to_owned(), text.replacen(TEMPLATE_NAME, name, 1))),
            path => files.push((path.strip_prefix("plugin/").unwrap_or(path).to_owned(), (*text).to_owned())),
        }
    }
    files.push(("Cargo.toml".to_owned(), format!("{package}\n{workspace}")));
    files
}

/// The repository's workspace manifest, made that of a workspace of one plugin and its SDK.
fn workspace_manifest(text: &str) -> String {
    let line = |line: &str| match line {
        line if line.starts_with("members") => "members = [\"vendor/orderly-plugin\"]".to_owned(),
        line => line.replace("path = \"sdk\"", "path = \"vendor/orderly-plugin\""),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = || format!("cannot write `{}`", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).or_usage(failed)?;
    }
    fs::write(path, text).or_usage(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_model::plugin::Manifest;

    use super::*;

    fn file(name: &str) -> String {
        files("my-check").into_iter().find(|(path, _)| path == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn a_new_plugin_is_whole() {
        let cargo: toml::Table = file("Cargo.toml").parse().unwrap();
        assert_eq!(cargo["package"]["name"].as_str(), Some("my-check"));
        assert_eq!(cargo["workspace"]["members"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            cargo["workspace"]["dependencies"]["orderly-plugin"]["path"].as_str(),
            Some("vendor/orderly-plugin")
        );
        assert_eq!(Manifest::parse(&file("plugin.toml")).unwrap().name.as_str(), "my-check");
        assert!(file("src/lib.rs").contains("export!"));
        assert!(file("vendor/orderly-plugin/Cargo.toml").contains("orderly-plugin"));
        assert!(file("wit/orderly-plugin-0.1.0/plugin.wit").contains("world plugin"));
    }

    #[test]
    fn the_sdk_finds_the_wit_files_from_its_new_place() {
        assert!(file("vendor/orderly-plugin/src/bindings.rs").contains("\"../../wit/orderly-plugin-0.1.0\""));
    }
}
