//! The one configuration of wasmtime, for the program that compiles and the child that runs.
//!
//! Owns which proposals are off and how guests are interrupted; both programs must use exactly this, else what one made
//! the other refuses. It holds no state: an engine lives as long as its process's one run.

use orderly_signing::Digest;
use wasmtime::{Config, Engine};

/// What is hashed into the name of compiled code. Change a line below when [`config`] changes, and all is made anew.
///
/// The newest patch of wasmtime that we accept is not in it by hand: `orderly-wasmc`'s own digest is part of the name
/// as well, and it changes with wasmtime.
const IDENTITY: &str = "orderly-engine-v1 cranelift epoch component-model no-memory64 no-relaxed-simd no-tail-call \
                        no-custom-page-sizes no-multi-memory stack-512k host-cpu";

/// Bytes of stack that a guest may use.
pub const STACK_BYTES: usize = 512 * 1024;

/// The configuration. Threads, GC, exceptions, async components and the pooling allocator are not even compiled in.
pub fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(STACK_BYTES);
    config
}

/// An engine with that configuration.
///
/// # Errors
/// This processor or kernel lacks something that wasmtime needs.
pub fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// The digest of the configuration, the architecture and this processor's features, for which code is made.
pub fn identity() -> Digest {
    let target = format!("{} {}-{}", IDENTITY, std::env::consts::ARCH, std::env::consts::OS);
    // Code is made for the processor at hand. A disk that moves to another machine must not bring it along.
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let features =
        processor.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default();
    Digest::of(format!("{target}\n{features}").as_bytes())
}
