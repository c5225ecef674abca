//! `orderly:plugin/mounts`: linked with the capability `mounts`. What it tells was read before the box closed.

use super::bindings::orderly::plugin::mounts::{Host, Mount};
use crate::state::State;

impl Host for State {
    fn get(&mut self) -> wasmtime::Result<Vec<Mount>> {
        self.recorder.count("mounts", "");
        let mounts = self.mounts.iter().cloned().map(|mount| Mount {
            source: mount.source,
            target: mount.target,
            file_system: mount.file_system,
            read_only: mount.read_only,
            total: mount.total,
            available: mount.available,
            inodes: mount.inodes,
            inodes_free: mount.inodes_free,
        });
        Ok(mounts.collect())
    }
}
