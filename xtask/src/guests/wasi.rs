//! Adds a std for `wasm32-wasip2` to a folder made by `sysroot`, with Debian's wasi-libc beneath it.
//!
//! Owns the libraries of that target in the folder. Debian's wasi-libc is older than std's idea of it: it has no
//! threads and no sockets, so a plugin that names `std::thread::spawn` or `std::net` does not link with it. A tool chain of
//! rustup has no such limit. Never stands in the way of guests for the bare target: what fails here is a reason.
//! Runs in the caller's thread, about a minute of two cores at the first time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::sysroot::{Made, build_std};
use super::toolchain::{Compiler, WASI, apt_install, on_path};

/// Where Debian's package puts its files.
const LIBC: &str = "/usr/lib/wasm32-wasi";
const PACKAGE: &str = "wasi-libc";
/// What the linker takes from it for programs and for libraries.
const FILES: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// Adds the std, or says why it cannot be had.
pub(super) fn make(made: &Made, compiler: &Compiler, say: &dyn Fn(&str)) -> Result<()> {
    let libraries = made.dir.join("lib/rustlib").join(WASI).join("lib");
    let done = made.dir.join("wasi.done");
    if done.is_file() {
        return Ok(());
    }
    let _lock = super::lock(&made.dir.join("wasi.lock"), say)?;
    if done.is_file() {
        return Ok(());
    }
    libc(say)?;
    build_std(&made.dir, compiler, WASI, say)?;
    let own = libraries.join("self-contained");
    fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
    for file in FILES {
        let from = Path::new(LIBC).join(file);
        fs::copy(&from, own.join(file)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    check(made)?;
    fs::write(&done, "").with_context(|| format!("cannot write {}", done.display()))
}

/// Finds wasi-libc, or installs it where this process may.
fn libc(say: &dyn Fn(&str)) -> Result<()> {
    if Path::new(LIBC).join("libc.a").is_file() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!("the active tool chain has no {WASI}: run `rustup target add {WASI}`");
    }
    apt_install(&[PACKAGE], say)
}

/// Links the least program, so that a library that does not fit is found here and not by a plugin's author.
fn check(made: &Made) -> Result<()> {
    let work = made.dir.join("wasi-check");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let source = work.join("check.rs");
    fs::write(&source, "fn main() { println!(\"{:?}\", std::fs::read(\"x\").is_err()); }\n")
        .with_context(|| format!("cannot write {}", source.display()))?;
    let output = Command::new(&made.rustc)
        .args(["--edition", "2024", "--target", WASI, "-o"])
        .arg(work.join("check.wasm"))
        .arg(&source)
        .stdin(Stdio::null())
        .output()
        .context("cannot start the compiler")?;
    if !output.status.success() {
        bail!("the std for {WASI} does not link: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}
