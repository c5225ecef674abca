//! `orderly plugin build`: a plugin's folder to a finished component.
//!
//! Owns the call of cargo and where its result lies (`target/orderly/plugin.wasm` beside a copy of `plugin.toml`). Never
//! fetches a tool chain: it says which command does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use orderly_signing::Digest;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::bytes;

/// The target whose components import exactly what they call.
const TARGET: &str = "wasm32-unknown-unknown";

/// Where a built plugin lies below its folder.
pub(super) const BUILT: &str = "target/orderly";

/// Options of `plugin build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The plugin's folder
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// A cargo configuration that names compiler and linker, such as `plugins/target/guests.toml` of `cargo xtask guests`
    #[arg(long, value_name = "FILE", env = "ORDERLY_GUEST_CONFIG")]
    cargo_config: Option<PathBuf>,
    /// The target; wasm32-wasip2 for plugins that use std::fs
    #[arg(long, default_value = TARGET, value_name = "TRIPLE")]
    target: String,
}

#[derive(Debug, Serialize)]
struct View {
    component: PathBuf,
    bytes: u64,
    sha256: Digest,
}

/// A line of cargo's messages, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Build {
    /// Builds the component.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let manifest = self.dir.join("Cargo.toml");
        let dir =
            fs::canonicalize(&self.dir).or_usage(|| format!("cannot find the folder `{}`", self.dir.display()))?;
        if !manifest.is_file() || !self.dir.join("plugin.toml").is_file() {
            return Err(Failure::usage(format!("`{}` has no `Cargo.toml` and `plugin.toml`", self.dir.display()))
                .hint("`orderly plugin new NAME` makes a plugin"));
        }
        if self.cargo_config.is_none() {
            check_target(&dir, &self.target)?;
        }
        context.printer.remark(&format!("building `{}` for {}", self.dir.display(), self.target));
        let artefact = self.cargo(&dir)?;
        let out = dir.join(BUILT);
        let component = out.join("plugin.wasm");
        let keep = || {
            fs::create_dir_all(&out)?;
            fs::copy(dir.join("plugin.toml"), out.join("plugin.toml"))?;
            fs::copy(&artefact, &component)?;
            fs::read(&component)
        };
        let code = keep().or_usage(|| format!("cannot write to `{}`", out.display()))?;
        if code.get(..8) != Some(b"\0asm\x0d\0\x01\0".as_slice()) {
            return Err(Failure::new(Exit::TaskFailed, "what was built is a core module, not a component")
                .hint("the linker must be `wasm-component-ld`; `crate-type` must be `cdylib`"));
        }
        let view = View { component, bytes: code.len() as u64, sha256: Digest::of(&code) };
        context.printer.one(&view, |printer| {
            printer.line(&format!("{} ({})", view.component.display(), bytes(view.bytes)));
            printer.line(&view.sha256.to_string());
        });
        Ok(Exit::Success)
    }

    fn cargo(&self, dir: &Path) -> Result<PathBuf, Failure> {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(dir)
            .args(["build", "--release", "--message-format", "json-render-diagnostics", "--target", &self.target])
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        match &self.cargo_config {
            Some(file) => {
                let file = fs::canonicalize(file).or_usage(|| format!("cannot find `{}`", file.display()))?;
                cargo.arg("--config").arg(file);
            }
            None => {
                cargo.arg("--config").arg(format!("target.{TARGET}.linker = \"wasm-component-ld\""));
            }
        }
        let output = cargo.output().map_err(|error| {
            Failure::setup("cargo cannot be started").because(error).hint("install Rust from https://rustup.rs")
        })?;
        if !output.status.success() {
            return Err(Failure::new(Exit::TaskFailed, "the plugin does not build; what cargo says is above"));
        }
        artefact(&output.stdout, &dir.join("Cargo.toml")).ok_or_else(|| {
            Failure::new(Exit::TaskFailed, "cargo built no component")
                .hint("`[lib] crate-type = [\"cdylib\"]` is needed in `Cargo.toml`")
        })
    }
}

fn artefact(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let lines = messages.split(|&byte| byte == b'\n');
    let found = lines
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact" && message.manifest_path == manifest);
    found
        .flat_map(|message| message.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// Whether the compiler that cargo would use in this folder has the target's standard library.
fn check_target(dir: &Path, target: &str) -> Result<(), Failure> {
    let output = Command::new("rustc")
        .current_dir(dir)
        .args(["--print", "target-libdir", "--target", target])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Failure::setup("rustc cannot be started").because(error).hint("install Rust from https://rustup.rs")
        })?;
    let libdir = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    Err(Failure::setup(format!("the compiler has no standard library for {target}"))
        .hint(format!("`rustup target add {target}` gets it"))
        .hint("without rustup: `cargo xtask guests` in Orderly's repository makes one; pass its `--cargo-config plugins/target/guests.toml`"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_component_of_this_manifest_is_found_among_cargo_s_messages() {
        let messages = br#"
{"reason":"compiler-artifact","manifest_path":"/x/dep/Cargo.toml","filenames":["/x/target/dep.wasm"]}
{"reason":"compiler-artifact","manifest_path":"/x/Cargo.toml","filenames":["/x/target/a.d","/x/target/a.wasm"]}
{"reason":"build-finished","success":true}
not json"#;
        assert_eq!(artefact(messages, Path::new("/x/Cargo.toml")), Some(PathBuf::from("/x/target/a.wasm")));
        assert_eq!(artefact(messages, Path::new("/y/Cargo.toml")), None);
    }
}
