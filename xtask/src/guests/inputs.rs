//! Tells whether anything that a build depends on has changed.
//!
//! Owns fingerprints: SHA-256 over names and contents, each with its length, so that no two different inputs
//! look alike. Never looks at times. Runs in the caller's thread; reads files and keeps nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A digest in the making.
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Begins an empty one.
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds the contents of a file.
    pub(super) fn file(&mut self, path: &Path) -> Result<()> {
        let contents = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.bytes(&contents);
        Ok(())
    }

    /// Adds names and contents of all files beneath `dir`, leaving out folders named in `skipped`.
    pub(super) fn tree(&mut self, dir: &Path, skipped: &[&str]) -> Result<()> {
        let mut files = Vec::new();
        list(dir, skipped, &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(dir).unwrap_or(&file);
            self.text(&name.to_string_lossy());
            self.file(&file)?;
        }
        Ok(())
    }

    /// Ends it: lower-case hexadecimal digits.
    pub(super) fn hex(self) -> String {
        HEXLOWER.encode(&self.0.finalize())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}

fn list(dir: &Path, skipped: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let kind = entry.file_type().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        let name = entry.file_name();
        if kind.is_dir() {
            if !skipped.iter().any(|skip| name.to_str() == Some(skip)) {
                list(&entry.path(), skipped, files)?;
            }
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn of(parts: &[&str]) -> String {
        let mut fingerprint = Fingerprint::new();
        for part in parts {
            fingerprint.text(part);
        }
        fingerprint.hex()
    }

    #[test]
    fn a_moved_boundary_changes_the_fingerprint() {
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    }

    #[test]
    fn a_tree_depends_on_names_and_contents_but_not_on_skipped_folders() {
        let dir = std::env::temp_dir().join(format!("orderly-inputs-{}", std::process::id()));
        fs::create_dir_all(dir.join("target")).unwrap();
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::write(dir.join("src/a"), "1").unwrap();
        let tree = || {
            let mut fingerprint = Fingerprint::new();
            fingerprint.tree(&dir, &["target"]).unwrap();
            fingerprint.hex()
        };
        let first = tree();
        fs::write(dir.join("target/built"), "x").unwrap();
        assert_eq!(first, tree());
        fs::rename(dir.join("src/a"), dir.join("src/b")).unwrap();
        let renamed = tree();
        assert_ne!(first, renamed);
        fs::write(dir.join("src/b"), "2").unwrap();
        assert_ne!(renamed, tree());
        fs::remove_dir_all(&dir).unwrap();
    }
}
