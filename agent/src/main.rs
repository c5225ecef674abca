//! `orderly-agent`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    orderly_agent::main()
}
