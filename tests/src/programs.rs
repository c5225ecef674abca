//! Where the programs under test are.
//!
//! Owns their names. It never builds anything: `cargo xtask test` builds them first and says where.

use std::env;
use std::path::{Path, PathBuf};

/// The control server.
pub const SERVER: &str = "orderly-server";
/// The agent.
pub const AGENT: &str = "orderly-agent";
/// The compiler of components, beside the agent.
pub const WASMC: &str = "orderly-wasmc";
/// The command line.
pub const ORDERLY: &str = "orderly";

/// The top of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_path_buf()
}

/// Whether the programs under test are optimised: figures for their whole size hold for such builds only, since the code
/// of the others alone has more pages than the agent's limit.
#[must_use]
pub fn optimised() -> bool {
    folder().iter().any(|part| part == "release")
}

fn folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    env::var_os("ORDERLY_BIN_DIR").map_or_else(|| target.join("debug"), PathBuf::from)
}

/// A built program: in `ORDERLY_BIN_DIR`, else in the target folder's `debug`.
///
/// # Panics
/// Where it has not been built; the message says how to.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo xtask test`, or build it with `cargo build -p orderly-server -p orderly-agent -p orderly` \
         and `cargo build -p orderly-host --features compile --bin orderly-wasmc`",
        path.display()
    );
    path
}

/// A built plugin component with its manifest, by the plugin's name.
///
/// # Panics
/// Where it has not been built; the message says how to.
#[must_use]
pub fn component(name: &str) -> (PathBuf, PathBuf) {
    let folder = root().join("plugins/target/components");
    let (component, manifest) = (folder.join(format!("{name}.wasm")), manifest_of(name));
    assert!(component.is_file(), "{} is not there: run `cargo xtask guests`", component.display());
    (component, manifest)
}

fn manifest_of(name: &str) -> PathBuf {
    let plugins = root().join("plugins");
    ["", "hostile"]
        .iter()
        .map(|folder| plugins.join(folder).join(name).join("plugin.toml"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("there is no plugin `{name}` with a plugin.toml below plugins/"))
}
