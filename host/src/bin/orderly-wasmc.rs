//! `orderly-wasmc`: compiles one component, read from descriptor 0, to native code on descriptor 1.
//!
//! Run by the agent and the CLI for verified components only; never by hand. It boxes itself before it reads.

use std::process::ExitCode;

fn main() -> ExitCode {
    orderly_host::compile::main()
}
