//! `orderly:plugin/facts`: what the instance is. Linked with the capability `facts`.

use super::bindings::orderly::plugin::facts::{Host, InstanceFacts};
use crate::state::State;

impl Host for State {
    fn get(&mut self) -> wasmtime::Result<InstanceFacts> {
        self.recorder.count("facts", "");
        let facts = self.facts.clone();
        Ok(InstanceFacts {
            instance_id: facts.instance_id,
            hostname: facts.hostname,
            architecture: facts.architecture,
            system: facts.system,
            kernel: facts.kernel,
            os_release: facts.os_release,
            tags: facts.tags,
        })
    }
}
