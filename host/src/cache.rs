//! Compiled components: native code made on this machine, from verified bytes, trusted like the agent itself.
//!
//! Owns the cache directory and its key. An entry is used only if its MAC is right for this component, this compiler,
//! this engine and this processor, checked on the very bytes that are then handed to the child. A bad entry is deleted
//! and made anew, with a log line. It never takes compiled code from anywhere else. What was used a moment ago is held in
//! sealed memory, bounded, until [`Cache::drop_unused`] lets it go.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orderly_model::limits::COMPONENT_MAX_BYTES;
use orderly_signing::verify::Plugin;
use orderly_signing::{Digest, DigestWriter, Verified};

use crate::error::CompileError;
use crate::{engine, platform};

mod compile;
mod entry;
mod recent;

use entry::{Directory, Name};
use recent::Recent;

/// Native code of one verified component, in a sealed memory file.
#[derive(Clone, Debug)]
pub struct Compiled {
    code: Arc<OwnedFd>,
    component: Digest,
}

impl Compiled {
    /// The component that it was made from.
    pub fn component(&self) -> Digest {
        self.component
    }

    pub(crate) fn descriptor(&self) -> std::io::Result<OwnedFd> {
        self.code.try_clone()
    }
}

/// The cache of compiled components.
#[derive(Debug)]
pub struct Cache {
    directory: Directory,
    engine: Digest,
    /// The compiler that was hashed last. Held for copies only, never over an await.
    compiler: Mutex<Option<(Identity, Digest)>>,
    /// What was used a moment ago. Held for a look only, never over an await.
    recent: Mutex<Recent>,
    /// One compilation at a time: it takes a whole processor, and two of the same component would be one too many.
    compiling: tokio::sync::Mutex<()>,
}

/// By what a changed compiler file is noticed without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Cache {
    /// Opens the cache in `directory`, which is made (0700) where it is not there, with its key (0600).
    ///
    /// # Errors
    /// The directory or the key belongs to somebody else, others may read or write it, or it cannot be made.
    pub fn open(directory: &Path) -> Result<Self, CompileError> {
        Ok(Self {
            directory: Directory::open(directory)?,
            engine: engine::identity(),
            compiler: Mutex::default(),
            recent: Mutex::default(),
            compiling: tokio::sync::Mutex::default(),
        })
    }

    /// The native code of `plugin`, where the program `compiler` has made it before. The component's bytes are not needed:
    /// the MAC says that the code was made of the component with this digest, and the plugin is vouched for by it.
    ///
    /// # Errors
    /// The compiler or the cache cannot be read. A bad entry is none, and gone afterwards.
    pub fn lookup(&self, plugin: &Verified<Plugin>, compiler: &Path) -> Result<Option<Compiled>, CompileError> {
        self.find(&self.name(plugin.component, compiler)?, plugin.component)
    }

    /// The native code of `plugin`, made with the program `compiler` where it is not there yet.
    ///
    /// `component` are the bytes of the verified component; they are hashed again before they are compiled, and not
    /// looked at where the code is there.
    ///
    /// # Errors
    /// See [`CompileError`]. Nothing half done stays behind.
    pub async fn get(
        &self,
        plugin: &Verified<Plugin>,
        component: &[u8],
        compiler: &Path,
    ) -> Result<Compiled, CompileError> {
        let name = self.name(plugin.component, compiler)?;
        if let Some(compiled) = self.find(&name, plugin.component)? {
            return Ok(compiled);
        }
        let _one = self.compiling.lock().await;
        if let Some(compiled) = self.find(&name, plugin.component)? {
            return Ok(compiled);
        }
        if component.len() > COMPONENT_MAX_BYTES || Digest::of(component) != plugin.component {
            return Err(CompileError::OtherBytes);
        }
        let started = Instant::now();
        let code = compile::compile(component, compiler).await?;
        self.directory.store(&name, &code)?;
        tracing::info!(plugin.name = %plugin.name, plugin.version = %plugin.version, code.bytes = code.len(),
            took_ms = started.elapsed().as_millis() as u64, "compiled a plugin");
        let sealed = platform::memfd::sealed("orderly-code", &[&code]).map_err(CompileError::Memory)?;
        Ok(self.held(name, sealed, code.len() as u64, plugin.component))
    }

    /// Lets go of compiled code that was not used for `unused`, which stays in the directory; says whether some is held
    /// still, so that this should be called again.
    pub fn drop_unused(&self, unused: Duration) -> bool {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).drop_unused(unused, Instant::now())
    }

    fn find(&self, name: &Name, component: Digest) -> Result<Option<Compiled>, CompileError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).find(name, Instant::now());
        if let Some(code) = recent {
            return Ok(Some(Compiled { code, component }));
        }
        let loaded = self.directory.load(name)?;
        Ok(loaded.map(|(code, bytes)| self.held(name.clone(), code, bytes, component)))
    }

    fn held(&self, name: Name, code: OwnedFd, bytes: u64, component: Digest) -> Compiled {
        let code = Arc::new(code);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.hold(name, Arc::clone(&code), bytes, Instant::now());
        Compiled { code, component }
    }

    fn name(&self, component: Digest, compiler: &Path) -> Result<Name, CompileError> {
        Ok(Name::new(component, self.compiler(compiler)?, self.engine))
    }

    fn compiler(&self, path: &Path) -> Result<Digest, CompileError> {
        let fault = |source| CompileError::NoCompiler { path: path.to_owned(), source };
        let mut file = std::fs::File::open(path).map_err(fault)?;
        let metadata = file.metadata().map_err(fault)?;
        let identity = Identity {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        let known = self.compiler.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, digest)) = known.filter(|(known, _)| *known == identity) {
            return Ok(digest);
        }
        let mut writer = DigestWriter::new();
        std::io::copy(&mut file, &mut writer).map_err(fault)?;
        let digest = writer.finish();
        *self.compiler.lock().unwrap_or_else(PoisonError::into_inner) = Some((identity, digest));
        Ok(digest)
    }
}
