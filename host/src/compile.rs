//! The inside of `orderly-wasmc`: box, read a component, compile, write native code.
//!
//! Owns that order. The only module that needs Cranelift (feature `compile`). A one-shot: it ends with its input.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use orderly_model::limits::COMPONENT_MAX_BYTES;

use crate::platform::{sandbox, users};
use crate::{engine, error::SandboxError};

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the box cannot be closed")]
    Sandbox(#[from] SandboxError),
    #[error("cannot read the component")]
    Read(#[source] std::io::Error),
    #[error("the component has more than {COMPONENT_MAX_BYTES} bytes")]
    TooLarge,
    #[error("{0:#}")]
    Compile(wasmtime::Error),
    #[error("cannot write the code")]
    Write(#[source] std::io::Error),
}

/// Reads a component from descriptor 0 and writes its native code to descriptor 1.
///
/// What it complains about goes to descriptor 2; the code is 0 only where all was written.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let cause = std::error::Error::source(&fault).map(|source| format!(": {source}")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "{fault}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    // Before the box: the engine looks at the processor.
    let engine = engine::engine().map_err(Fault::Compile)?;
    sandbox::close(&sandbox::Plan::nothing(users::unprivileged()))?.filter()?;

    let mut component = Vec::new();
    std::io::stdin().take(COMPONENT_MAX_BYTES as u64 + 1).read_to_end(&mut component).map_err(Fault::Read)?;
    if component.len() > COMPONENT_MAX_BYTES {
        return Err(Fault::TooLarge);
    }
    let code = engine.precompile_component(&component).map_err(Fault::Compile)?;
    std::io::stdout().write_all(&code).and_then(|()| std::io::stdout().flush()).map_err(Fault::Write)
}
