//! The trust that this machine holds: the pinned root fingerprint and the newest keyring that was seen.
//!
//! Owns `trust/root` and `trust/keyring.json` in the configuration directory, and the way from files to
//! `Verified<Keyring>`. What a keyring says is decided by `orderly-signing`. Never asks a server: everything here works
//! with the network unplugged.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use orderly_signing::keyring::{Keyring, Requirement, Tier};
use orderly_signing::verify::verify_keyring;
use orderly_signing::{Digest, Verified};

use crate::error::{Failure, OrFail as _};
use crate::keystore::make_private_dir;
use crate::output::now_ms;

/// The trust of one configuration directory.
#[derive(Debug, Clone)]
pub(crate) struct TrustStore {
    dir: PathBuf,
}

impl TrustStore {
    /// The trust beneath a configuration directory, which need not be there yet.
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self { dir: config_dir.join("trust") }
    }

    /// Where the keyring is kept.
    pub(crate) fn keyring_path(&self) -> PathBuf {
        self.dir.join("keyring.json")
    }

    fn pin_path(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The pinned root fingerprint, or nothing before `trust init` or `trust pin`.
    ///
    /// # Errors
    /// The file is there and holds none.
    pub(crate) fn pin(&self) -> Result<Option<Digest>, Failure> {
        let path = self.pin_path();
        match fs::read_to_string(&path) {
            Ok(text) => {
                text.trim().parse().map(Some).or_setup(|| format!("`{}` holds no root fingerprint", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::setup(format!("cannot read `{}`", path.display())).because(error)),
        }
    }

    /// Keeps the pin. Never replaces another one: whoever replaces the pin replaces the fleet's owners.
    ///
    /// # Errors
    /// Another root is pinned, or it cannot be written.
    pub(crate) fn set_pin(&self, pin: &Digest) -> Result<(), Failure> {
        match self.pin()? {
            Some(old) if old == *pin => Ok(()),
            Some(old) => Err(Failure::setup(format!("the root {old} is pinned already, not {pin}")).hint(format!(
                "use another configuration directory, or remove `{}` if you mean it",
                self.dir.display()
            ))),
            None => self.write(&self.pin_path(), format!("{pin}\n").as_bytes()),
        }
    }

    /// The keyring that was kept, verified against the pin; nothing where there is none yet.
    ///
    /// # Errors
    /// It is there and does not verify.
    pub(crate) fn keyring(&self) -> Result<Option<Verified<Keyring>>, Failure> {
        let path = self.keyring_path();
        match fs::read(&path) {
            Ok(bytes) => self.verify(&bytes, &path.display().to_string()).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::setup(format!("cannot read `{}`", path.display())).because(error)),
        }
    }

    /// The keyring that was kept.
    ///
    /// # Errors
    /// There is none, or it does not verify.
    pub(crate) fn need_keyring(&self) -> Result<Verified<Keyring>, Failure> {
        self.keyring()?.ok_or_else(|| {
            Failure::setup(format!("there is no keyring in `{}`", self.dir.display()))
                .hint("`orderly trust init` makes one for a new fleet; `orderly trust fetch --root sha256:…` gets that of a fleet whose root fingerprint you know")
        })
    }

    /// The keyring for checking evidence: that of `file`, or the kept one; pinned by `root`, or by the kept pin.
    ///
    /// # Errors
    /// There is none, or it does not verify under the pin.
    pub(crate) fn keyring_for_audit(
        &self,
        file: Option<&Path>,
        root: Option<&Digest>,
    ) -> Result<Verified<Keyring>, Failure> {
        let path = file.map_or_else(|| self.keyring_path(), Path::to_owned);
        let bytes = fs::read(&path).or_setup(|| format!("cannot read the keyring `{}`", path.display()))?;
        match root {
            Some(pin) => verify(&bytes, pin, &path.display().to_string()),
            None => self.verify(&bytes, &path.display().to_string()),
        }
    }

    /// Verifies a keyring against the pin.
    ///
    /// # Errors
    /// Nothing is pinned, or it does not verify.
    pub(crate) fn verify(&self, bytes: &[u8], origin: &str) -> Result<Verified<Keyring>, Failure> {
        let pin = self.pin()?.ok_or_else(|| {
            Failure::setup("no root fingerprint is pinned, so no keyring can be believed").hint(
                "pass `--root sha256:…` as the fleet's owners tell it, or run `orderly trust init` for a new fleet",
            )
        })?;
        verify(bytes, &pin, origin)
    }

    /// Keeps a keyring, unless a newer one is kept already.
    ///
    /// # Errors
    /// It cannot be written, or what is kept does not verify.
    pub(crate) fn keep(&self, keyring: &Verified<Keyring>) -> Result<(), Failure> {
        if self.keyring()?.is_some_and(|kept| kept.revision > keyring.revision) {
            return Ok(());
        }
        self.write(&self.keyring_path(), keyring.envelope_json())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        make_private_dir(&self.dir)?;
        write_whole(path, bytes)
    }
}

fn verify(bytes: &[u8], pin: &Digest, origin: &str) -> Result<Verified<Keyring>, Failure> {
    verify_keyring(bytes, pin, 0, now_ms())
        .or_not_verified(|| format!("the keyring of `{origin}` is not to be believed"))
}

/// Writes a file so that it is there whole or not at all, over a restart too.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| {
        // What is left of the attempt is of no use; that it cannot be removed changes nothing.
        drop(fs::remove_file(&new));
        Failure::setup(format!("cannot write `{}`", path.display())).because(error)
    })
}

/// What the policy asks for a tier, in words.
pub(crate) fn requirement_in_words(requirement: Requirement) -> String {
    match requirement {
        Requirement::Dispatch => "the server's dispatch key alone".to_owned(),
        Requirement::Operators(1) => "1 operator".to_owned(),
        Requirement::Operators(count) => format!("{count} operators"),
    }
}

/// What a tier allows, in words.
pub(crate) const fn tier_in_words(tier: Tier) -> &'static str {
    match tier {
        Tier::PluginReadOnly => "approved plugins that read what anybody may read",
        Tier::PluginPrivilegedRead => "approved plugins that read what only root may read",
        Tier::PluginWrite => "approved plugins that write files",
        Tier::PluginNetwork => "approved plugins that use the network",
        Tier::PluginProcess => "approved plugins that start programs",
        Tier::NativeUser => "scripts as another user than root",
        Tier::NativeRoot => "scripts as root",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_pin_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = TrustStore::new(dir.path());
        assert_eq!(store.pin().unwrap(), None);
        store.set_pin(&Digest::of(b"a")).unwrap();
        store.set_pin(&Digest::of(b"a")).unwrap();
        assert!(store.set_pin(&Digest::of(b"b")).is_err());
        assert_eq!(store.pin().unwrap(), Some(Digest::of(b"a")));
    }

    #[test]
    fn nothing_is_believed_without_a_pin() {
        let dir = tempfile::tempdir().unwrap();
        let failure = TrustStore::new(dir.path()).verify(b"{}", "x").unwrap_err();
        assert!(failure.to_string().contains("no root fingerprint is pinned"));
    }

    #[test]
    fn a_file_is_written_whole_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        write_whole(&dir.path().join("x"), b"one").unwrap();
        write_whole(&dir.path().join("x"), b"two").unwrap();
        assert_eq!(fs::read(dir.path().join("x")).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
