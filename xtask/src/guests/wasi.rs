//! Adds a std for `wasm32-wasip2` to a folder made by `sysroot`, where the system has what it takes.
//!
//! Owns nothing yet but the reason: the system's wasi-libc lacks what std's threads and sockets name.
//! Runs in the caller's thread.

use anyhow::{Result, bail};

use super::sysroot::Made;
use super::toolchain::{Compiler, WASI};

/// Adds the std, or says why it cannot be had.
pub(super) fn make(_made: &Made, _compiler: &Compiler, _say: &dyn Fn(&str)) -> Result<()> {
    bail!("only a tool chain of rustup can build for {WASI}: run `rustup target add {WASI}`")
}
