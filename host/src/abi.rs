//! The functions that a guest may call: `orderly:plugin` by bindings from its WIT, WASI by wasmtime's implementations,
//! with our own check before every path and our own sender behind every request.
//!
//! Owns nothing by itself: one child module per interface. Which are linked is decided in `component`.

pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod filesystem;
pub(crate) mod log;
pub(crate) mod mounts;
pub(crate) mod process;
pub(crate) mod report;

/// Made from the WIT.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/orderly-plugin-0.1.0",
        world: "plugin",
        imports: {
            "orderly:plugin/process.spawn": async | trappable,
            "orderly:plugin/process.[method]child.next": async | trappable,
            "orderly:plugin/process.[method]child.kill": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "orderly:plugin/process.child": crate::abi::process::Child,
        },
    });
}
