//! A plugin package: a tar of exactly `plugin.wasm`, `plugin.toml` and `statement.json`.
//!
//! Owns packing and strict unpacking. What the parts say and who signed them is checked by `orderly-signing`.

use std::io::{self, Read as _};
use std::path::Path;

use orderly_model::limits::{COMPONENT_MAX_BYTES, MANIFEST_MAX_BYTES};
use orderly_signing::envelope::MAX_ENVELOPE_BYTES;

/// The component's file name in a package.
pub(crate) const COMPONENT: &str = "plugin.wasm";
/// The manifest's file name in a package.
pub(crate) const MANIFEST: &str = "plugin.toml";
/// The statement's file name in a package.
pub(crate) const STATEMENT: &str = "statement.json";

/// The parts of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// The component.
    pub(crate) component: Vec<u8>,
    /// The bytes of `plugin.toml`.
    pub(crate) manifest: Vec<u8>,
    /// The publisher's statement, a DSSE envelope.
    pub(crate) statement: Vec<u8>,
}

/// Bytes are not a package.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    /// Not a tar.
    #[error("it is not a tar archive")]
    Tar(#[source] io::Error),
    /// Holds something else.
    #[error(
        "it holds `{0}`; a package holds exactly `plugin.wasm`, `plugin.toml` and `statement.json`, as plain files"
    )]
    Unexpected(String),
    /// One name twice.
    #[error("it holds `{0}` twice")]
    Twice(&'static str),
    /// One is missing.
    #[error("it has no `{0}`")]
    Missing(&'static str),
    /// Larger than allowed.
    #[error("`{name}` has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// The part.
        name: &'static str,
        /// Its size.
        size: u64,
        /// Its limit.
        limit: usize,
    },
}

impl Package {
    /// Reads a package.
    ///
    /// # Errors
    /// Anything but the three plain files, each once and within its limit.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, PackageError> {
        let (mut component, mut manifest, mut statement) = (None, None, None);
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().map_err(PackageError::Tar)? {
            let mut entry = entry.map_err(PackageError::Tar)?;
            let path = entry.path_bytes().into_owned();
            let (name, limit, part) = match path.as_slice() {
                b"plugin.wasm" => (COMPONENT, COMPONENT_MAX_BYTES, &mut component),
                b"plugin.toml" => (MANIFEST, MANIFEST_MAX_BYTES, &mut manifest),
                b"statement.json" => (STATEMENT, MAX_ENVELOPE_BYTES, &mut statement),
                other => return Err(PackageError::Unexpected(String::from_utf8_lossy(other).into_owned())),
            };
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Err(PackageError::Unexpected(format!("{name} as something else than a plain file")));
            }
            let size = entry.size();
            if size > limit as u64 {
                return Err(PackageError::TooLarge { name, size, limit });
            }
            if part.is_some() {
                return Err(PackageError::Twice(name));
            }
            let mut data = Vec::new();
            entry.read_to_end(&mut data).map_err(PackageError::Tar)?;
            *part = Some(data);
        }
        Ok(Self {
            component: component.ok_or(PackageError::Missing(COMPONENT))?,
            manifest: manifest.ok_or(PackageError::Missing(MANIFEST))?,
            statement: statement.ok_or(PackageError::Missing(STATEMENT))?,
        })
    }

    /// Writes the package. The same parts give the same bytes: no times, no owners.
    ///
    /// # Errors
    /// Writing into memory fails only where there is none.
    pub(crate) fn write(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.mode(tar::HeaderMode::Deterministic);
        for (name, data) in [(MANIFEST, &self.manifest), (COMPONENT, &self.component), (STATEMENT, &self.statement)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            archive.append_data(&mut header, Path::new(name), data.as_slice())?;
        }
        archive.into_inner()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn package() -> Package {
        Package { component: vec![0; 1000], manifest: b"[plugin]".to_vec(), statement: b"{}".to_vec() }
    }

    fn tar(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            header.set_entry_type(*kind);
            header.set_cksum();
            archive.append(&header, io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_does_not_change() {
        let bytes = package().write().unwrap();
        assert_eq!(Package::read(&bytes).unwrap(), package());
        assert_eq!(package().write().unwrap(), bytes);
    }

    #[test]
    fn anything_else_in_it_is_refused() {
        use tar::EntryType::{Regular, Symlink};
        let three = [(COMPONENT, Regular), (MANIFEST, Regular), (STATEMENT, Regular)];
        assert!(Package::read(&tar(&three)).is_ok());
        for entries in [
            vec![("../plugin.wasm", Regular)],
            vec![("./plugin.wasm", Regular)],
            vec![("evil", Regular), three[0], three[1], three[2]],
            vec![(COMPONENT, Symlink), three[1], three[2]],
            vec![three[0], three[0], three[1], three[2]],
            vec![three[0], three[1]],
        ] {
            assert!(Package::read(&tar(&entries)).is_err(), "{entries:?}");
        }
        assert!(matches!(Package::read(b"no tar at all"), Err(PackageError::Tar(_))), "a cut header");
    }

    #[test]
    fn a_cut_package_is_refused() {
        let bytes = package().write().unwrap();
        assert!(Package::read(&bytes[..1100]).is_err());
    }
}
