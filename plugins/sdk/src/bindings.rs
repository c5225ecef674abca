//! The bindings that are made from `wit/`, and what [`export!`](crate::export) needs of them.
//!
//! Owns the translation between the generated types and those of this crate. Not for use by plugins: names
//! here follow the generator.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
#![allow(unsafe_code)] // The generated code passes memory to the host and back.

use std::panic;

use crate::command::Command;
use crate::{Arguments, log};

wit_bindgen::generate!({
    path: "../../wit/orderly-plugin-0.1.0",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_command",
    default_bindings_module: "orderly_plugin::bindings",
});

/// Answers `describe` of the component.
pub fn describe<C: Command>() -> exports::orderly::plugin::command::Description {
    log_panics();
    C::describe().into_wit()
}

/// Answers `run` of the component.
pub fn run<C: Command>(
    arguments: Vec<exports::orderly::plugin::command::Argument>,
) -> Result<exports::orderly::plugin::command::Outcome, exports::orderly::plugin::command::Failure> {
    log_panics();
    let given = arguments.into_iter().map(|argument| (argument.name, argument.value));
    let arguments = Arguments::new(given, &C::describe());
    match C::run(arguments) {
        Ok(outcome) => Ok(outcome.into_wit()),
        Err(failure) => Err(failure.into_wit()),
    }
}

/// On the bare wasm target the text of a panic would vanish.
fn log_panics() {
    panic::set_hook(Box::new(|info| log::error(&info.to_string())));
}
