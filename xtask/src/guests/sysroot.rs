//! Makes a compiler that has a std for wasm out of Debian's compiler and the sources of its std.
//!
//! Owns the folder `target/guest-sdk/KEY`: the libraries, links to the host's own ones and to the linkers, and a
//! `bin/rustc` that uses them. The key is of the compiler, of the std's lock file and of this recipe, so that a
//! changed one makes a new folder and never mends an old one. Never touches what the system installed.
//! Runs in the caller's thread, about a minute of two cores at the first time and some milliseconds after it.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::inputs::Fingerprint;
use super::toolchain::{BARE, Compiler};

/// Changes whenever what this file does changes what it makes.
const RECIPE: &str = "1";

/// A finished folder.
#[derive(Debug)]
pub(super) struct Made {
    /// The folder.
    pub dir: PathBuf,
    /// The compiler to use.
    pub rustc: PathBuf,
    /// What the folder was made from.
    pub key: String,
}

/// Makes the folder, or finds it made.
pub(super) fn make(root: &Path, compiler: &Compiler, linker_dir: &Path, say: &dyn Fn(&str)) -> Result<Made> {
    let key = key(compiler, linker_dir)?;
    let all = root.join("target/guest-sdk");
    let dir = all.join(&key);
    let made = Made { rustc: dir.join("bin/rustc"), dir, key };
    if made.rustc.is_file() {
        return Ok(made);
    }
    fs::create_dir_all(&all).with_context(|| format!("cannot make {}", all.display()))?;
    let lock = super::lock(&all.join("lock"), say)?;
    if !made.rustc.is_file() {
        fill(&made, compiler, linker_dir, say)?;
    }
    drop(lock);
    Ok(made)
}

/// Everything that decides what the folder holds.
fn key(compiler: &Compiler, linker_dir: &Path) -> Result<String> {
    let mut fingerprint = Fingerprint::new();
    fingerprint.text(RECIPE);
    fingerprint.text(&compiler.verbose_version);
    fingerprint.file(&compiler.library().join("Cargo.lock"))?;
    fingerprint.text(&linker_dir.to_string_lossy());
    Ok(fingerprint.hex()[..16].to_owned())
}

fn fill(made: &Made, compiler: &Compiler, linker_dir: &Path, say: &dyn Fn(&str)) -> Result<()> {
    // The compiler's script comes last: it says that the folder is whole.
    if made.dir.exists() {
        fs::remove_dir_all(&made.dir)
            .with_context(|| format!("cannot remove the unfinished {}", made.dir.display()))?;
    }
    build_std(&made.dir, compiler, BARE, say)?;
    let host = made.dir.join("lib/rustlib").join(&compiler.host);
    fs::create_dir_all(&host).with_context(|| format!("cannot make {}", host.display()))?;
    // Links, not copies: rust-lld finds its libraries beside its real place.
    link(&compiler.libraries(&compiler.host)?, &host.join("lib"))?;
    link(linker_dir, &host.join("bin"))?;
    script(made, compiler)
}

/// Builds std for `target` into the folder `sdk`.
pub(super) fn build_std(sdk: &Path, compiler: &Compiler, target: &str, say: &dyn Fn(&str)) -> Result<()> {
    say(&format!(
        "building a std for {target} from the sources in {} (once, about a minute)",
        compiler.library().display()
    ));
    let library = compiler.library();
    let work = sdk.join("build");
    let flags = [
        "-Zforce-unstable-if-unmarked".to_owned(),
        format!("--remap-path-prefix={}=/rustc/library", library.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home().display()),
    ];
    let log = sdk.join("build.log");
    fs::create_dir_all(sdk).with_context(|| format!("cannot make {}", sdk.display()))?;
    let log_file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = Command::new("cargo")
        .args(["build", "--locked", "--profile", "dist", "--no-default-features"])
        .args(["--target", target, "--manifest-path"])
        .arg(library.join("sysroot/Cargo.toml"))
        .arg("--target-dir")
        .arg(&work)
        .current_dir(sdk)
        .env("RUSTC", &compiler.path)
        // std may use what is unstable; plugins are built without this.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the std for {target} does not build: see {}", log.display());
    }
    let from = work.join(target).join("dist/deps");
    let to = sdk.join("lib/rustlib").join(target).join("lib");
    fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        // `sysroot` is the empty crate that only pulls the others in.
        if text.ends_with(".rlib") && !text.starts_with("libsysroot") {
            fs::copy(entry.path(), to.join(&name))
                .with_context(|| format!("cannot copy {text} to {}", to.display()))?;
        }
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

/// Cargo's home folder, for path remapping.
pub(super) fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from)
}

fn link(from: &Path, to: &Path) -> Result<()> {
    symlink(from, to).with_context(|| format!("cannot link {} to {}", to.display(), from.display()))
}

fn script(made: &Made, compiler: &Compiler) -> Result<()> {
    let bin = made.dir.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    let text = format!(
        "#!/bin/sh\n# Made by `cargo xtask guests`: the system's compiler with a std for wasm.\nexec '{}' --sysroot '{}' \"$@\"\n",
        compiler.path.display(),
        made.dir.display()
    );
    let unfinished = bin.join("rustc.new");
    fs::write(&unfinished, text).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", unfinished.display()))?;
    fs::rename(&unfinished, &made.rustc).with_context(|| format!("cannot write {}", made.rustc.display()))
}
