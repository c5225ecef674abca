//! Runs cargo over the plugins' workspace and gathers the finished components.
//!
//! Owns the build command and the folder `plugins/target/components`. Never builds where the fingerprint of
//! sources, interfaces, tool chain and flags is the one that the components there were made with.
//! Runs in the caller's thread while the caller holds the lock; ends with cargo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::inputs::Fingerprint;
use super::toolchain::{BARE, Toolchain, WASI};
use super::{Guest, Guests, sysroot};

/// Changes whenever what this file does changes what it makes.
const RECIPE: &str = "1";
/// The file with the fingerprint that the components were made with.
const FINGERPRINT: &str = "fingerprint";

/// A crate of the workspace that has a `plugin.toml`.
struct Source {
    name: String,
    dir: PathBuf,
    target: &'static str,
    hostile: bool,
}

/// Builds all guests where something changed.
pub(super) fn all(root: &Path, toolchain: &Toolchain, say: &dyn Fn(&str)) -> Result<Guests> {
    let plugins = root.join("plugins");
    let target = plugins.join("target");
    let dir = target.join("components");
    let config = target.join("guests.toml");
    write_if_changed(&config, &cargo_config(root, toolchain))?;

    let fingerprint = fingerprint(root, toolchain)?;
    let sources = sources(&plugins)?;
    let (buildable, left): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| source.target == BARE || toolchain.no_wasi.is_none());
    let left_out =
        left.into_iter().map(|source| (source.name, toolchain.no_wasi.clone().unwrap_or_default())).collect();
    let guests = buildable
        .iter()
        .map(|source| Guest {
            name: source.name.clone(),
            hostile: source.hostile,
            component: dir.join(format!("{}.wasm", source.name)),
            manifest: dir.join(format!("{}.toml", source.name)),
        })
        .collect::<Vec<_>>();
    let done = fs::read_to_string(dir.join(FINGERPRINT)).is_ok_and(|kept| kept == fingerprint)
        && guests.iter().all(|guest| guest.component.is_file() && guest.manifest.is_file());
    if !done {
        for triple in [BARE, WASI] {
            let wanted = buildable.iter().filter(|source| source.target == triple).collect::<Vec<_>>();
            if !wanted.is_empty() {
                say(&format!("building {} guests for {triple}", wanted.len()));
                cargo(&plugins, &config, triple, &wanted)?;
            }
        }
        replace(&target, &dir, &buildable, &fingerprint)?;
    }
    Ok(Guests { dir, all: guests, left_out, built: !done })
}

/// What the components depend on.
fn fingerprint(root: &Path, toolchain: &Toolchain) -> Result<String> {
    let mut fingerprint = Fingerprint::new();
    fingerprint.text(RECIPE);
    fingerprint.text(&toolchain.identity);
    fingerprint.tree(&root.join("plugins"), &["target"])?;
    fingerprint.tree(&root.join("wit"), &[])?;
    Ok(fingerprint.hex())
}

/// The configuration that builds a finished component with a plain `cargo build`.
///
/// It is a file so that the same build can be made by hand: see `plugins/README.md`.
fn cargo_config(root: &Path, toolchain: &Toolchain) -> String {
    let mut flags = vec![
        remap(&root.join("plugins"), "plugins"),
        remap(&root.join("wit"), "wit"),
        remap(&sysroot::cargo_home(), "cargo"),
    ];
    if let Some(sysroot) = &toolchain.sysroot {
        flags.push(remap(sysroot, "sysroot"));
    }
    let flags = flags.iter().map(|flag| quoted(flag)).collect::<Vec<_>>().join(", ");
    let mut config =
        String::from("# Made by `cargo xtask guests`. Paths of this machine are taken out of what is built.\n");
    if let Some(rustc) = &toolchain.rustc {
        config.push_str(&format!("[build]\nrustc = {}\n", quoted(&rustc.to_string_lossy())));
    }
    config.push_str(&format!(
        "[target.{BARE}]\nlinker = \"wasm-component-ld\"\nrustflags = [{flags}]\n[target.{WASI}]\nrustflags = [{flags}]\n"
    ));
    config
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}=/{to}", from.display())
}

/// A TOML string: JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn cargo(plugins: &Path, config: &Path, triple: &str, wanted: &[&Source]) -> Result<()> {
    let mut command = command(plugins);
    command
        .args(["build", "--release", "--locked", "--target", triple, "--target-dir", "target"])
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null());
    for source in wanted {
        command.args(["--package", &source.name]);
    }
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the guests do not build, the compiler says why above");
    }
    Ok(())
}

/// Cargo in the plugins' workspace, without what the outer cargo and the caller's shell have set for other builds.
fn command(plugins: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(plugins);
    for name in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(name);
    }
    command
}

/// Puts a whole new folder in the old one's place: who reads it meanwhile must not find half of it.
fn replace(target: &Path, dir: &Path, built: &[Source], fingerprint: &str) -> Result<()> {
    let new = target.join("components.new");
    for folder in [&new, &target.join("components.old")] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    fs::create_dir_all(&new).with_context(|| format!("cannot make {}", new.display()))?;
    for source in built {
        let file = format!("{}.wasm", source.name.replace('-', "_"));
        let component = target.join(source.target).join("release").join(file);
        fs::copy(&component, new.join(format!("{}.wasm", source.name)))
            .with_context(|| format!("cannot copy {}", component.display()))?;
        let manifest = source.dir.join("plugin.toml");
        fs::copy(&manifest, new.join(format!("{}.toml", source.name)))
            .with_context(|| format!("cannot copy {}", manifest.display()))?;
    }
    fs::write(new.join(FINGERPRINT), fingerprint).with_context(|| format!("cannot write to {}", new.display()))?;
    let old = target.join("components.old");
    if dir.exists() {
        fs::rename(dir, &old).with_context(|| format!("cannot move {}", dir.display()))?;
    }
    fs::rename(&new, dir).with_context(|| format!("cannot make {}", dir.display()))?;
    if old.exists() {
        fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    metadata: Option<BTreeMap<String, serde_json::Value>>,
}

/// The guests of the workspace in the order of their names.
fn sources(plugins: &Path) -> Result<Vec<Source>> {
    let output = command(plugins)
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo cannot read the plugins' workspace: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cannot read cargo's metadata")?;
    let mut sources = metadata
        .packages
        .into_iter()
        .filter_map(|package| {
            let dir = package.manifest_path.parent()?.to_owned();
            dir.join("plugin.toml").is_file().then(|| Source {
                hostile: dir.starts_with(plugins.join("hostile")),
                target: wanted_target(package.metadata.as_ref()),
                name: package.name,
                dir,
            })
        })
        .collect::<Vec<_>>();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(sources)
}

/// The target that `package.metadata.orderly.target` of a crate asks for.
fn wanted_target(metadata: Option<&BTreeMap<String, serde_json::Value>>) -> &'static str {
    let asked = metadata
        .and_then(|metadata| metadata.get("orderly"))
        .and_then(|orderly| orderly.get("target"))
        .and_then(serde_json::Value::as_str);
    if asked == Some(WASI) { WASI } else { BARE }
}

/// Leaves the file's time alone where nothing changed.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn the_configuration_names_the_linker_and_hides_this_machine() {
        let toolchain = Toolchain {
            rustc: Some(PathBuf::from("/sdk dir/bin/rustc")),
            identity: String::new(),
            sysroot: Some(PathBuf::from("/sdk dir")),
            no_wasi: None,
        };
        let config = cargo_config(Path::new("/clone"), &toolchain);
        assert!(config.contains("[build]\nrustc = \"/sdk dir/bin/rustc\"\n"));
        assert!(config.contains("linker = \"wasm-component-ld\""));
        assert!(config.contains("\"--remap-path-prefix=/clone/plugins=/plugins\""));
        assert!(config.contains("\"--remap-path-prefix=/sdk dir=/sysroot\""));
    }

    #[test]
    fn a_crate_gets_the_bare_target_unless_it_asks_for_the_other() {
        let asks = |text: &str| {
            let metadata: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap();
            wanted_target(Some(&metadata))
        };
        assert_eq!(wanted_target(None), BARE);
        assert_eq!(asks(r#"{"other": {}}"#), BARE);
        assert_eq!(asks(r#"{"orderly": {"target": "wasm32-wasip2"}}"#), WASI);
    }
}
