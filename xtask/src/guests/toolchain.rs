//! Finds or makes a compiler that can build wasm components.
//!
//! Owns the order of attempts: the active tool chain, `rustup target add`, Debian's packages with a std
//! of our own. Never changes the active tool chain where `RUSTUP_AUTO_INSTALL=0`.
//! Runs in the caller's thread and ends with a tool chain or an error that names one command.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{sysroot, wasi};

/// The target of nearly all guests: a component's imports are exactly what it calls.
pub(super) const BARE: &str = "wasm32-unknown-unknown";
/// The target of guests that use `std::fs` and the like.
pub(super) const WASI: &str = "wasm32-wasip2";

/// Debian's packages with a compiler that is new enough and the sources of its std.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
/// Where they put the compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The first release whose std sources build as our recipe says.
const OLDEST_MINOR: u32 = 90;

/// A compiler for guests.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// The compiler to name in cargo's configuration; `None` is the active one.
    pub rustc: Option<PathBuf>,
    /// `rustc -vV` and, where std is ours, the key of that std: what a finished component depends on.
    pub identity: String,
    /// The folder of our std, for path remapping.
    pub sysroot: Option<PathBuf>,
    /// Why guests for [`WASI`] cannot be built, where they cannot.
    pub no_wasi: Option<String>,
}

/// Finds a tool chain, in the order that the module says.
pub(super) fn find(root: &Path, say: &dyn Fn(&str)) -> Result<Toolchain> {
    let active = Compiler::ask(Path::new("rustc"), root)?;
    let whole = active.has(BARE)? && active.has(WASI)?;
    let fetch_allowed = env::var_os("RUSTUP_AUTO_INSTALL").as_deref() != Some(OsStr::new("0"));
    if !whole && fetch_allowed && on_path("rustup") {
        say("adding the wasm targets with rustup");
        let added = Command::new("rustup")
            .current_dir(root)
            .args(["target", "add", BARE, WASI])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !added {
            say("rustup could not add them, looking for another way");
        }
    }
    if active.has(BARE)? {
        return of_rustup(&active);
    }
    of_debian(root, &active, say)
}

fn of_rustup(active: &Compiler) -> Result<Toolchain> {
    // A distribution's compiler may have the target and no linker that makes components.
    if !on_path("wasm-component-ld") {
        linker_dir(active)?;
    }
    let no_wasi =
        (!active.has(WASI)?).then(|| format!("the active tool chain has no {WASI}: run `rustup target add {WASI}`"));
    Ok(Toolchain { rustc: None, identity: active.verbose_version.clone(), sysroot: None, no_wasi })
}

fn of_debian(root: &Path, active: &Compiler, say: &dyn Fn(&str)) -> Result<Toolchain> {
    let linker_dir = linker_dir(active)?;
    let compiler = match debian_compiler(root) {
        Ok(compiler) => compiler,
        Err(reason) => {
            install(say).with_context(|| reason)?;
            debian_compiler(root).map_err(|reason| anyhow::anyhow!(reason))?
        }
    };
    let made = sysroot::make(root, &compiler, &linker_dir, say)?;
    let no_wasi = wasi::make(&made, &compiler, say).err().map(|error| format!("{error:#}"));
    Ok(Toolchain {
        rustc: Some(made.rustc.clone()),
        identity: format!("{}{}{}", compiler.verbose_version, made.key, no_wasi.as_deref().unwrap_or_default()),
        sysroot: Some(made.dir),
        no_wasi,
    })
}

/// The folder with `wasm-component-ld` and `rust-lld`: Debian's packages have neither.
fn linker_dir(active: &Compiler) -> Result<PathBuf> {
    let dir = active.sysroot.join("lib/rustlib").join(&active.host).join("bin");
    if !dir.join("wasm-component-ld").is_file() {
        bail!(
            "there is no wasm-component-ld in {}: install a tool chain with rustup (https://rustup.rs), or run `rustup target add {BARE}`",
            dir.display()
        );
    }
    Ok(dir)
}

/// Debian's compiler, or why it cannot be used.
fn debian_compiler(root: &Path) -> Result<Compiler, String> {
    let how = format!("run `{}`", install_command(&DEBIAN_PACKAGES));
    if !Path::new(DEBIAN_RUSTC).is_file() {
        return Err(format!("{DEBIAN_RUSTC} is not there: {how}"));
    }
    let compiler = Compiler::ask(Path::new(DEBIAN_RUSTC), root).map_err(|error| format!("{error:#}"))?;
    if compiler.minor() < OLDEST_MINOR {
        return Err(format!("{DEBIAN_RUSTC} is older than 1.{OLDEST_MINOR}: {how}"));
    }
    if !compiler.library().join("sysroot/Cargo.toml").is_file() {
        return Err(format!("the sources of the std of {DEBIAN_RUSTC} are not there: {how}"));
    }
    Ok(compiler)
}

fn install_command(packages: &[&str]) -> String {
    format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs Debian's packages where this process may.
fn install(say: &dyn Fn(&str)) -> Result<()> {
    if !on_path("apt-get") {
        bail!(
            "there is no std for {BARE}: run `rustup target add {BARE}` (and `unset RUSTUP_AUTO_INSTALL` where it is 0)"
        );
    }
    apt_install(&DEBIAN_PACKAGES, say)
}

/// Installs packages with apt-get, which must be there.
///
/// # Errors
/// When this process is not root (the error names the command) and when apt-get fails.
pub(super) fn apt_install(packages: &[&str], say: &dyn Fn(&str)) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("installing packages needs root: run `{}`", install_command(packages));
    }
    let options = ["install", "-y", "-qq", "--no-install-recommends"];
    for arguments in [vec!["update", "-qq"], [&options[..], packages].concat()] {
        say(&format!("apt-get {}", arguments.join(" ")));
        let output = Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(&arguments)
            .stdin(Stdio::null())
            .output()
            .context("cannot start apt-get")?;
        if !output.status.success() {
            bail!("`apt-get {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
        }
    }
    Ok(())
}

/// Whether a program of this name is on the PATH.
pub(super) fn on_path(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// A compiler and what it says of itself.
#[derive(Debug)]
pub(super) struct Compiler {
    /// How to start it.
    pub path: PathBuf,
    /// The target that it runs on.
    pub host: String,
    /// Where its libraries are.
    pub sysroot: PathBuf,
    /// What `-vV` prints.
    pub verbose_version: String,
    root: PathBuf,
}

impl Compiler {
    /// Asks the compiler at `path`, in the folder `root` (which decides what rustup's proxy starts).
    fn ask(path: &Path, root: &Path) -> Result<Self> {
        let verbose_version = output(path, root, &["-vV"])?;
        let host = verbose_version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .with_context(|| format!("`{} -vV` names no host", path.display()))?
            .to_owned();
        let sysroot = PathBuf::from(output(path, root, &["--print", "sysroot"])?.trim_end());
        Ok(Self { path: path.to_owned(), host, sysroot, verbose_version, root: root.to_owned() })
    }

    /// Whether it has a std for `target`.
    fn has(&self, target: &str) -> Result<bool> {
        let libraries = self.libraries(target)?;
        let Ok(entries) = fs::read_dir(&libraries) else {
            return Ok(false);
        };
        Ok(entries.flatten().any(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with("libstd-") && name.ends_with(".rlib"))
        }))
    }

    /// The folder with its libraries for `target`.
    pub(super) fn libraries(&self, target: &str) -> Result<PathBuf> {
        let printed = output(&self.path, &self.root, &["--print", "target-libdir", "--target", target])?;
        Ok(PathBuf::from(printed.trim_end()))
    }

    /// The folder with the sources of its std.
    pub(super) fn library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    fn minor(&self) -> u32 {
        self.verbose_version
            .lines()
            .find_map(|line| line.strip_prefix("release: 1."))
            .and_then(|rest| rest.split('.').next())
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(0)
    }
}

/// Standard output of a short program that must succeed.
fn output(program: &Path, dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .current_dir(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "`{} {}` failed: {}",
            program.display(),
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something that is not text", program.display()))
}
