//! What a running guest's host functions work on. Owns the pieces and their views; the functions are in `abi`.

use std::sync::Arc;

use orderly_model::report::ReportBuilder;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::capability::files::FileGuard;
use crate::capability::http::Brokered;
use crate::capability::mounts::Mount;
use crate::capability::uses::Recorder;
use crate::frame::PluginFacts;
use crate::limits::Limits;
use crate::line::Line;

/// The state of the one store of the process.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) hooks: Brokered,
    pub(crate) guard: FileGuard,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) report: ReportBuilder,
    pub(crate) line: Arc<Line>,
    pub(crate) facts: PluginFacts,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) names: Names,
    pub(crate) memory: Memory,
}

/// The user and group databases as they were at the start.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) users: String,
    pub(crate) groups: String,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// The limits on memory and tables, and whether the guest ran into one.
#[derive(Debug)]
pub(crate) struct Memory {
    limits: Limits,
    refused: bool,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, refused: false }
    }

    /// Whether a growth was refused: a trap after that is for want of memory.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let fits = desired as u64 <= self.limits.memory_bytes;
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let fits = desired as u64 <= u64::from(self.limits.table_elements);
        self.refused |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }
}
