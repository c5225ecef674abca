//! Writes public commands for Orderly.
//!
//! A plugin is a component that exports one command. It may touch what its `plugin.toml` asks for, what
//! the security team approved and what the instance's owner allows, and nothing else. This crate is a thin
//! layer over the interfaces that a plugin sees; it never hides a refusal, and a function of it that a
//! plugin does not call adds no import to the component.
//! Everything runs in the plugin's one thread and ends with `run`.
//!
//! ```
//! use orderly_plugin::{Arguments, Command, Description, Failure, Outcome, Parameter, log};
//!
//! struct Greeting;
//!
//! impl Command for Greeting {
//!     fn describe() -> Description {
//!         Description::new("greeting", "0.1.0", "Says hello")
//!             .parameter(Parameter::text("name", "Whom to greet").default_value("world"))
//!     }
//!
//!     fn run(arguments: Arguments) -> Result<Outcome, Failure> {
//!         let name = arguments.text("name")?;
//!         log::info(&format!("hello, {name}"));
//!         Ok(Outcome::pass(format!("greeted {name}")))
//!     }
//! }
//! # #[cfg(target_family = "wasm")]
//! orderly_plugin::export!(Greeting);
//! # fn main() {}
//! ```

#[doc(hidden)]
pub mod bindings;
pub mod clock;
mod command;
pub mod facts;
pub mod files;
pub mod http;
pub mod log;
pub mod mounts;
pub mod process;
pub mod random;
pub mod report;
pub mod testing;

pub use command::{Arguments, Command, Description, Failure, Outcome, Parameter};
pub use report::{Finding, Severity, Table};

/// The bindings of WASI 0.2 that this crate uses, for what it does not cover.
pub use wasip2 as wasi;

/// Exports a type that implements [`Command`] as the component's command.
///
/// To be called once in a crate of the type `cdylib`. A panic becomes a line in the task's log before it
/// ends the run.
#[macro_export]
macro_rules! export {
    ($command:ty) => {
        #[doc(hidden)]
        struct OrderlyExport;

        impl $crate::bindings::exports::orderly::plugin::command::Guest for OrderlyExport {
            fn describe() -> $crate::bindings::exports::orderly::plugin::command::Description {
                $crate::bindings::describe::<$command>()
            }

            fn run(
                arguments: ::std::vec::Vec<
                    $crate::bindings::exports::orderly::plugin::command::Argument,
                >,
            ) -> ::std::result::Result<
                $crate::bindings::exports::orderly::plugin::command::Outcome,
                $crate::bindings::exports::orderly::plugin::command::Failure,
            > {
                $crate::bindings::run::<$command>(arguments)
            }
        }

        $crate::bindings::export_command!(OrderlyExport with_types_in $crate::bindings);
    };
}
