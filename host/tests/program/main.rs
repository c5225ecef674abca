//! The program that the tests execute again: a plugin's child or a supervisor, as `orderly-agent` is.

fn main() {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((first, _)) if first == orderly_host::child::RUN_PLUGIN_ARGUMENT => orderly_host::child::main(),
        Some((first, rest)) if first == orderly_host::platform::SUPERVISE_ARGUMENT => {
            std::process::exit(orderly_host::platform::supervise::main(rest));
        }
        _ => std::process::exit(64),
    }
}
