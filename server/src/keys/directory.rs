//! Files of the data directory: private, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use orderly_signing::key::{SecretKey, file};

use crate::clock;

/// Why the keys could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or directory.
    #[error("`{path}` cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read what must be private.
    #[error("`{path}` can be read by others (mode {mode:o}); run `chmod go= {path}`", path = path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The CA's certificate is there and its key is not.
    #[error(
        "`{cert}` is there without `{key}`, which signs the server's certificates; restore the key from a backup, or move \
         `{cert}` away to make a new authority, which every agent then has to enrol with anew",
        cert = cert.display(), key = key.display()
    )]
    AuthorityWithoutKey {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A certificate or its key.
    #[error("`{path}` does not hold what it should", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A PEM file.
    #[error("`{path}` is not PEM", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A public name that no certificate can carry.
    #[error("`{0}` is no name for a server; `--public-name` takes host names and addresses")]
    Name(String),
    /// The dispatch key.
    #[error("the dispatch key cannot be opened")]
    Dispatch(#[source] file::KeyFileError),
    /// The random source.
    #[error("no key can be made")]
    Random(#[source] clock::NoRandom),
}

pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> KeyError + '_ {
    move |source| KeyError::File { path: path.to_owned(), source }
}

/// Makes the data directory and its `keys` folder, and refuses one that others may enter.
pub(super) fn prepare(data_dir: &Path) -> Result<(), KeyError> {
    let keys = data_dir.join("keys");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys).map_err(at(&keys))?;
    for path in [data_dir, &keys] {
        let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

/// The text of a file, or `None` where it is absent.
pub(super) fn read(path: &Path) -> Result<Option<String>, KeyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at(path)(source)),
    }
}

/// Writes a file of mode 0600 so that a crash leaves the old one or the new one.
pub(super) fn write(path: &Path, text: &str) -> Result<(), KeyError> {
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(at(&new))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at(&new))?;
    fs::rename(&new, path).map_err(at(path))?;
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
    }
    Ok(())
}

/// The key that signs orders, made where it is absent.
pub(super) fn dispatch(data_dir: &Path) -> Result<SecretKey, KeyError> {
    let path = data_dir.join("keys").join("dispatch.pem");
    if path.exists() {
        return file::load_secret(&path).map_err(KeyError::Dispatch);
    }
    let key = SecretKey::from_seed(clock::random().map_err(KeyError::Random)?);
    file::save_secret(&path, &key).map_err(KeyError::Dispatch)?;
    Ok(key)
}
