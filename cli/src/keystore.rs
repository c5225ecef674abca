//! The keys in the operator's configuration directory: `keys/NAME.pem` (secret, 0600) and `keys/NAME.pub.pem`.
//!
//! Owns where keys lie, their names and how a new one is made. Reading and writing the files themselves, with the
//! refusal of keys that others may read, is `orderly_signing::key::file`. A key never leaves this machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use orderly_signing::key::file;
use orderly_signing::{PublicKey, SecretKey};

use crate::error::{Failure, OrFail as _};

/// A key's name: 1-64 characters of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 64 && name.chars().all(fits) && !name.ends_with(".pub") {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` is no name for a key"))
        .hint("1-64 characters of A-Z a-z 0-9 . _ -, beginning with a letter or a digit, not ending with `.pub`"))
}

/// The keys of one configuration directory.
#[derive(Debug, Clone)]
pub(crate) struct Keystore {
    dir: PathBuf,
}

impl Keystore {
    /// The keys beneath a configuration directory, which need not be there yet.
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self { dir: config_dir.join("keys") }
    }

    /// Where the secret key of this name lies.
    pub(crate) fn secret_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// Where the public key of this name lies.
    pub(crate) fn public_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pub.pem"))
    }

    /// Whether there is a secret key of this name or at this path.
    pub(crate) fn has(&self, name_or_path: &str) -> bool {
        self.secret_file(name_or_path).exists()
    }

    /// Makes a key. Never overwrites one.
    ///
    /// # Errors
    /// The name does not fit, there is such a key, or it cannot be written.
    pub(crate) fn create(&self, name: &str) -> Result<SecretKey, Failure> {
        check_name(name)?;
        make_private_dir(&self.dir)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).or_setup(|| "the system gives no random bytes".to_owned())?;
        let key = SecretKey::from_seed(seed);
        let failed = || format!("cannot keep the new key `{name}`");
        file::save_secret(self.secret_path(name), &key).or_setup(failed)?;
        file::save_public(self.public_path(name), key.public()).or_setup(failed)?;
        Ok(key)
    }

    /// Reads a secret key by name, or by path where the text holds a slash.
    ///
    /// # Errors
    /// It is not there, others may read it, or it is no key.
    pub(crate) fn secret(&self, name_or_path: &str) -> Result<SecretKey, Failure> {
        let path = self.secret_file(name_or_path);
        if !path.exists() {
            return Err(Failure::setup(format!("there is no key `{name_or_path}` (looked for `{}`)", path.display()))
                .hint("`orderly key list` shows the keys; `orderly trust init` makes those of a new fleet"));
        }
        file::load_secret(&path).or_setup(|| format!("the key `{name_or_path}` cannot be used"))
    }

    /// Reads a public key by name, or by path where the text holds a slash or ends with `.pem`.
    ///
    /// # Errors
    /// It is not there or no key.
    pub(crate) fn public(&self, name_or_path: &str) -> Result<PublicKey, Failure> {
        let path = if is_path(name_or_path) { PathBuf::from(name_or_path) } else { self.public_path(name_or_path) };
        if !path.exists() {
            return Err(Failure::setup(format!(
                "there is no public key `{name_or_path}` (looked for `{}`)",
                path.display()
            ))
            .hint("`orderly key list` shows the keys that are here"));
        }
        file::load_public(&path).or_setup(|| format!("the public key `{name_or_path}` cannot be used"))
    }

    /// The names of all keys of which at least the public half is here, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let failed = || format!("cannot read `{}`", self.dir.display());
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::setup(failed()).because(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.or_setup(failed)?.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".pub.pem")) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn secret_file(&self, name_or_path: &str) -> PathBuf {
        if is_path(name_or_path) { PathBuf::from(name_or_path) } else { self.secret_path(name_or_path) }
    }
}

fn is_path(text: &str) -> bool {
    text.contains('/') || text.ends_with(".pem")
}

/// Makes a directory and its parents for this user alone (0700). One that is there stays as it is.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).or_setup(|| format!("cannot make the directory `{}`", dir.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Keystore::new(dir.path());
        let key = store.create("operator").unwrap();
        assert!(store.has("operator"));
        assert_eq!(store.secret("operator").unwrap().public(), key.public());
        assert_eq!(store.public("operator").unwrap(), *key.public());
        assert_eq!(store.names().unwrap(), ["operator"]);
        assert!(store.create("operator").is_err(), "never overwritten");
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        for bad in ["", "../x", "a/b", ".hidden", "-x", "x.pub", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name("alice_2.ops-1").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn the_directory_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let store = Keystore::new(&dir.path().join("a/b"));
        store.create("k").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("a/b/keys")), 0o700);
        assert_eq!(mode(&store.secret_path("k")), 0o600);
    }
}
