//! Builds the guests: every plugin of `plugins/` as a finished component beside its manifest.
//!
//! Owns the tool chain for wasm (found, added by rustup, or made from Debian's packages), the build
//! command and the decision that nothing has to be built. Never runs a component, and never lets
//! rustup fetch anything where `RUSTUP_AUTO_INSTALL=0`.
//! Runs inside `cargo xtask`, one build at a time (a lock file); ends with the build or its error.

mod build;
mod inputs;
mod sysroot;
mod toolchain;
mod wasi;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One finished component.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// Name of the plugin: its folder, its crate and the `name` of its manifest.
    pub name: String,
    /// Whether it is one of the attackers in `plugins/hostile`.
    pub hostile: bool,
    /// The component.
    pub component: PathBuf,
    /// A copy of its `plugin.toml`.
    pub manifest: PathBuf,
}

/// What a build came to.
#[derive(Debug)]
pub(crate) struct Guests {
    /// The folder that holds `NAME.wasm` and `NAME.toml` of each guest.
    pub dir: PathBuf,
    /// All guests in the order of their names.
    pub all: Vec<Guest>,
    /// Guests that this machine's tool chain cannot build, each with the reason.
    pub left_out: Vec<(String, String)>,
    /// False where the components of an earlier build were still right.
    pub built: bool,
}

impl Guests {
    /// Finds a guest by its name.
    ///
    /// # Errors
    /// When there is no such guest, or when this machine cannot build it: then with the reason.
    pub(crate) fn get(&self, name: &str) -> Result<&Guest> {
        if let Some(guest) = self.all.iter().find(|guest| guest.name == name) {
            return Ok(guest);
        }
        match self.left_out.iter().find(|(left, _)| left == name) {
            Some((_, why)) => anyhow::bail!("the guest `{name}` was not built: {why}"),
            None => anyhow::bail!("there is no guest `{name}` in `plugins/`"),
        }
    }
}

/// Builds all guests where something changed since the last build.
///
/// `root` is the repository's folder. `say` gets a line for people at each step that may take time.
///
/// # Errors
/// When no tool chain can be had (the error names the one command that mends it), when the build
/// fails (the compiler's own words are on standard error) or when files cannot be written.
pub(crate) fn build(root: &Path, say: &dyn Fn(&str)) -> Result<Guests> {
    let root = fs::canonicalize(root).with_context(|| format!("cannot find the folder {}", root.display()))?;
    let target = root.join("plugins/target");
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    let _lock = lock(&target.join("guests.lock"), say)?;
    let toolchain = toolchain::find(&root, say)?;
    build::all(&root, &toolchain, say)
}

/// Takes the lock file at `path`, waiting for whoever holds it. Given back when the file is dropped.
fn lock(path: &Path, say: &dyn Fn(&str)) -> Result<fs::File> {
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        say("waiting for another build of the guests to end");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}
