//! A plugin package: a tar of exactly `plugin.wasm`, `plugin.toml` and `statement.json`, as it is uploaded and handed on.
//!
//! Owns packing and strict unpacking, once, so that what an author checks is what the server reads. Everything else in a tar is
//! refused, not skipped. What the parts say and who signed them is checked by `orderly-signing`.

use std::io::{self, Read as _};

use orderly_model::limits::{COMPONENT_MAX_BYTES, MANIFEST_MAX_BYTES};
use orderly_signing::envelope::MAX_ENVELOPE_BYTES;

/// Largest package, in bytes: the three files at their largest, and the tar around them.
pub const PACKAGE_MAX_BYTES: usize = COMPONENT_MAX_BYTES + MANIFEST_MAX_BYTES + MAX_ENVELOPE_BYTES + 16 * 1024;

/// The component's file name in a package.
pub const COMPONENT: &str = "plugin.wasm";
/// The manifest's file name in a package.
pub const MANIFEST: &str = "plugin.toml";
/// The statement's file name in a package.
pub const STATEMENT: &str = "statement.json";

/// The files of a package with the most bytes of each.
const FILES: [(&str, usize); 3] =
    [(COMPONENT, COMPONENT_MAX_BYTES), (MANIFEST, MANIFEST_MAX_BYTES), (STATEMENT, MAX_ENVELOPE_BYTES)];

/// Why bytes are not a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not a tar.
    #[error("the package is not a tar: {0}")]
    Tar(io::Error),
    /// Another file, or one of another kind.
    #[error(
        "the package holds `{0}`; it holds exactly the regular files `plugin.wasm`, `plugin.toml` and `statement.json`"
    )]
    Other(String),
    /// One twice.
    #[error("the package holds `{0}` twice")]
    Twice(&'static str),
    /// One is missing.
    #[error("the package lacks `{0}`")]
    Missing(&'static str),
    /// One is too large.
    #[error("`{name}` has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Which.
        name: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: usize,
    },
}

/// The three files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `plugin.wasm`
    pub component: Vec<u8>,
    /// `plugin.toml`
    pub manifest: Vec<u8>,
    /// `statement.json`
    pub statement: Vec<u8>,
}

impl Package {
    /// Reads a package.
    ///
    /// # Errors
    /// Where it is anything but a tar of exactly the three files.
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageError> {
        let mut files: [Option<Vec<u8>>; 3] = [None, None, None];
        let mut archive = tar::Archive::new(bytes);
        // Raw: no extension may give an entry another name or size than its header says.
        for entry in archive.entries().map_err(PackageError::Tar)?.raw(true) {
            let mut entry = entry.map_err(PackageError::Tar)?;
            let shown = || String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
            let known = FILES.iter().zip(&mut files).find(|((name, _), _)| name.as_bytes() == &*entry.path_bytes());
            let Some(((name, limit), place)) = known.filter(|_| entry.header().entry_type().is_file()) else {
                return Err(PackageError::Other(shown()));
            };
            if place.is_some() {
                return Err(PackageError::Twice(name));
            }
            let size = entry.size();
            if size > *limit as u64 {
                return Err(PackageError::TooLarge { name, size, limit: *limit });
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(PackageError::Tar)?;
            *place = Some(content);
        }
        let [component, manifest, statement] = files;
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
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.mode(tar::HeaderMode::Deterministic);
        for (name, data) in [(MANIFEST, &self.manifest), (COMPONENT, &self.component), (STATEMENT, &self.statement)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            archive.append_data(&mut header, name, data.as_slice())?;
        }
        archive.into_inner()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn tar(files: &[(&str, &[u8])], link: bool) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            if link {
                header.set_entry_type(tar::EntryType::Symlink);
            }
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    const GOOD: [(&str, &[u8]); 3] = [("statement.json", b"s"), ("plugin.wasm", b"w"), ("plugin.toml", b"t")];

    #[test]
    fn the_three_files_in_any_order_are_a_package() {
        let package = Package::parse(&tar(&GOOD, false)).unwrap();
        assert_eq!(package, Package { component: b"w".to_vec(), manifest: b"t".to_vec(), statement: b"s".to_vec() });
    }

    #[test]
    fn anything_else_is_refused() {
        let said = |files: &[(&str, &[u8])], link| Package::parse(&tar(files, link)).unwrap_err().to_string();
        assert_eq!(said(&GOOD[..2], false), "the package lacks `plugin.toml`");
        let extra = [GOOD[0], GOOD[1], GOOD[2], ("README", b"")];
        assert!(said(&extra, false).starts_with("the package holds `README`;"));
        assert_eq!(said(&[GOOD[0], GOOD[0]], false), "the package holds `statement.json` twice");
        assert!(said(&GOOD, true).starts_with("the package holds `statement.json`;"));
        assert!(said(&[("a/plugin.wasm", b"")], false).starts_with("the package holds `a/plugin.wasm`;"));
        let large = vec![0; MANIFEST_MAX_BYTES + 1];
        assert!(said(&[("plugin.toml", &large)], false).contains("at most 65536 are allowed"));
        assert!(Package::parse(b"not a tar at all").is_err());
        assert!(matches!(Package::parse(b""), Err(PackageError::Missing(_))));
    }

    /// Entries with names that a well-meaning library would not write.
    fn entries(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
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
    fn names_kinds_and_extensions_that_mean_something_else_are_refused() {
        use tar::EntryType::{GNULongName, Link, Regular, Symlink, XHeader};
        let three = [(COMPONENT, Regular), (MANIFEST, Regular), (STATEMENT, Regular)];
        assert!(Package::parse(&entries(&three)).is_ok());
        for bad in [
            vec![("../plugin.wasm", Regular), three[1], three[2]],
            vec![("./plugin.wasm", Regular), three[1], three[2]],
            vec![(COMPONENT, Symlink), three[1], three[2]],
            vec![(COMPONENT, Link), three[1], three[2]],
            vec![("x", GNULongName), three[0], three[1], three[2]],
            vec![("x", XHeader), three[0], three[1], three[2]],
        ] {
            assert!(Package::parse(&entries(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_does_not_change() {
        let package = Package { component: vec![0; 1000], manifest: b"[plugin]".to_vec(), statement: b"{}".to_vec() };
        let bytes = package.write().unwrap();
        assert_eq!(Package::parse(&bytes).unwrap(), package);
        assert_eq!(package.write().unwrap(), bytes);
        assert!(Package::parse(&bytes[..1100]).is_err(), "cut");
    }
}
