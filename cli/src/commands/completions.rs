//! `orderly completions`: completion scripts for shells.
//!
//! Owns nothing; clap writes them.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::context::Context;
use crate::error::{Exit, Outcome};

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script of the program `C`.
    pub(crate) fn run<C: CommandFactory>(self, context: &Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "orderly", &mut script);
        context.printer.raw(&script);
        Ok(Exit::Success)
    }
}
