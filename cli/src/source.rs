//! A plugin on this machine: its component and its manifest, from a folder, a component file or a package.
//!
//! Owns where they are looked for and that both are within their limits. What they say is checked elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use orderly_model::limits::{COMPONENT_MAX_BYTES, MANIFEST_MAX_BYTES};
use orderly_model::plugin::Manifest;

use crate::error::{Failure, OrFail as _};
use orderly_wire::package::{COMPONENT, MANIFEST, Package};

/// Where `orderly plugin build` puts what it made, below a plugin's folder.
const BUILT: &str = "target/orderly";

/// A plugin's two parts.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The component.
    pub(crate) component: Vec<u8>,
    /// The bytes of the manifest: what digests are over.
    pub(crate) manifest_bytes: Vec<u8>,
    /// The manifest.
    pub(crate) manifest: Manifest,
}

impl Source {
    /// Reads a plugin: a package (`*.tar`), a component (`*.wasm`, its manifest beside it as `plugin.toml` or with its
    /// own name), or a folder (`plugin.wasm`, or what `plugin build` made there).
    ///
    /// # Errors
    /// A part is missing, too large, or the manifest does not parse: then with every fault of it.
    pub(crate) fn read(path: &Path, manifest: Option<&Path>) -> Result<Self, Failure> {
        if path.extension().is_some_and(|extension| extension == "tar") {
            let bytes = fs::read(path).or_usage(|| format!("cannot read `{}`", path.display()))?;
            let package = Package::parse(&bytes).or_usage(|| format!("`{}` is no plugin package", path.display()))?;
            let manifest = parse(&package.manifest, path)?;
            return Ok(Self { component: package.component, manifest_bytes: package.manifest, manifest });
        }
        let (component_path, beside) = locate(path)?;
        let manifest_path = manifest.map_or(beside, Path::to_owned);
        let component = read(&component_path, COMPONENT_MAX_BYTES)?;
        let manifest_bytes = read(&manifest_path, MANIFEST_MAX_BYTES)?;
        let manifest = parse(&manifest_bytes, &manifest_path)?;
        Ok(Self { component, manifest_bytes, manifest })
    }
}

/// The component and the manifest that a path means.
fn locate(path: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    if path.is_dir() {
        let places = [path.join(BUILT), path.to_owned()];
        return places
            .into_iter()
            .map(|dir| (dir.join(COMPONENT), dir.join(MANIFEST)))
            .find(|(component, _)| component.is_file())
            .ok_or_else(|| {
                Failure::usage(format!("`{}` has no component", path.display()))
                    .hint(format!("`orderly plugin build {}` makes it", path.display()))
            });
    }
    let own = path.with_extension("toml");
    let manifest = if own.is_file() { own } else { path.with_file_name(MANIFEST) };
    Ok((path.to_owned(), manifest))
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = || format!("cannot read `{}`", path.display());
    let size = fs::metadata(path).or_usage(failed)?.len();
    if size > limit as u64 {
        return Err(Failure::usage(format!("`{}` has {size} bytes, at most {limit} are allowed", path.display())));
    }
    fs::read(path).or_usage(failed)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Manifest, Failure> {
    let failed = || format!("the manifest of `{}` cannot be used", path.display());
    let text = std::str::from_utf8(bytes).or_usage(failed)?;
    Manifest::parse(text).or_usage(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const TOML: &str = "[plugin]\nname = \"x\"\nversion = \"1.0.0\"\nsummary = \"s\"\nwit = \"orderly:plugin@0.1.0\"\n";

    #[test]
    fn a_plugin_is_found_in_a_folder_beside_its_component_and_in_a_package() {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join(BUILT);
        fs::create_dir_all(&built).unwrap();
        fs::write(built.join(COMPONENT), b"one").unwrap();
        fs::write(built.join(MANIFEST), TOML).unwrap();
        assert_eq!(Source::read(dir.path(), None).unwrap().component, b"one");
        assert_eq!(Source::read(&built.join(COMPONENT), None).unwrap().manifest.name.as_str(), "x");
        fs::write(dir.path().join("y.wasm"), b"two").unwrap();
        fs::write(dir.path().join("y.toml"), TOML).unwrap();
        assert_eq!(Source::read(&dir.path().join("y.wasm"), None).unwrap().component, b"two");
        let package = Package { component: b"three".to_vec(), manifest: TOML.into(), statement: b"{}".to_vec() };
        fs::write(dir.path().join("p.tar"), package.write().unwrap()).unwrap();
        assert_eq!(Source::read(&dir.path().join("p.tar"), None).unwrap().component, b"three");
    }

    #[test]
    fn a_manifest_that_does_not_parse_says_where() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(COMPONENT), b"one").unwrap();
        fs::write(dir.path().join(MANIFEST), "[plugin]\nname = \"X\"\n").unwrap();
        let failure = Source::read(dir.path(), None).unwrap_err();
        assert!(!failure.causes().is_empty());
    }
}
