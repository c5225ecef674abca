//! From native code to a component that can be started: loading, the check of imports, linking.
//!
//! Owns the rule that nothing is linked that was not imported, and nothing strict that was not granted. All that is missing
//! is told at once, before anything is linked.

use std::collections::BTreeSet;
use std::path::Path;

use orderly_model::grant::Grants;
use orderly_model::plugin::{ImportClass, classify};
use wasmtime::component::{Component, HasData, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::random::WasiRandom;

use crate::abi::bindings::orderly::plugin;
use crate::abi::filesystem::HasCheckedFiles;
use crate::state::State;

/// Names the table of resources to the linker.
struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

/// Loads native code from `path`.
///
/// # Safety
/// The file must hold what wasmtime made of a component, unchanged, and must not change while it is used: it is run as it
/// is. The parent's cache makes sure (MAC, sealed memory file).
#[allow(unsafe_code)] // Loading native code cannot be checked any further.
pub(crate) unsafe fn load(engine: &Engine, path: &Path) -> Result<Component> {
    // SAFETY: as the caller promises.
    unsafe { Component::deserialize_file(engine, path) }
}

/// The names of everything that the component imports.
pub(crate) fn imports(component: &Component, engine: &Engine) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Why the component may not start with these grants: one line for each import. Nothing where it may.
pub(crate) fn refusals(imports: &[String], grants: &Grants) -> Vec<String> {
    grants.missing_for(imports.iter().map(String::as_str)).iter().map(ToString::to_string).collect()
}

/// Links what is imported and granted.
pub(crate) fn link(engine: &Engine, imports: &[String], grants: &Grants) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let mut linked = BTreeSet::new();
    for import in imports {
        let interface = import.split_once('@').map_or(import.as_str(), |(interface, _)| interface);
        let granted = match classify(import) {
            ImportClass::Inert => true,
            ImportClass::Strict(kind) => grants.capabilities().has(kind),
            ImportClass::Unknown => false,
        };
        // Both interfaces of HTTP are linked together.
        let name = if interface.starts_with("wasi:http/") { "wasi:http" } else { interface };
        if granted && linked.insert(name) {
            link_one(&mut linker, name)?;
        }
    }
    Ok(linker)
}

fn link_one(l: &mut Linker<State>, interface: &str) -> Result<()> {
    type S = State;
    match interface {
        "wasi:io/error" => wasi::io::error::add_to_linker::<S, HasIo>(l, |state| state.ctx().table),
        "wasi:io/poll" => wasi::io::poll::add_to_linker::<S, HasIo>(l, |state| state.ctx().table),
        "wasi:io/streams" => wasi::io::streams::add_to_linker::<S, HasIo>(l, |state| state.ctx().table),
        "wasi:clocks/wall-clock" => wasi::clocks::wall_clock::add_to_linker::<S, WasiClocks>(l, S::clocks),
        "wasi:clocks/monotonic-clock" => wasi::clocks::monotonic_clock::add_to_linker::<S, WasiClocks>(l, S::clocks),
        "wasi:random/random" => wasi::random::random::add_to_linker::<S, WasiRandom>(l, |state| state.wasi.random()),
        "wasi:random/insecure" => {
            wasi::random::insecure::add_to_linker::<S, WasiRandom>(l, |state| state.wasi.random())
        }
        "wasi:random/insecure-seed" => {
            wasi::random::insecure_seed::add_to_linker::<S, WasiRandom>(l, |state| state.wasi.random())
        }
        "wasi:cli/environment" => wasi::cli::environment::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/exit" => wasi::cli::exit::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/stdin" => wasi::cli::stdin::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/stdout" => wasi::cli::stdout::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/stderr" => wasi::cli::stderr::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/terminal-input" => wasi::cli::terminal_input::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/terminal-output" => wasi::cli::terminal_output::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/terminal-stdin" => wasi::cli::terminal_stdin::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/terminal-stdout" => wasi::cli::terminal_stdout::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:cli/terminal-stderr" => wasi::cli::terminal_stderr::add_to_linker::<S, WasiCli>(l, S::cli),
        "wasi:filesystem/types" => wasi::filesystem::types::add_to_linker::<S, HasCheckedFiles>(l, S::files),
        "wasi:filesystem/preopens" => wasi::filesystem::preopens::add_to_linker::<S, HasCheckedFiles>(l, S::files),
        "wasi:http" => wasmtime_wasi_http::p2::add_only_http_to_linker_async(l),
        "orderly:plugin/log" => plugin::log::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        "orderly:plugin/report" => plugin::report::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        "orderly:plugin/facts" => plugin::facts::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        "orderly:plugin/files" => plugin::files::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        "orderly:plugin/mounts" => plugin::mounts::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        "orderly:plugin/process" => plugin::process::add_to_linker::<S, HasSelf<S>>(l, |state| state),
        // Types only (`orderly:plugin/command`), which need no function.
        _ => Ok(()),
    }
}
