//! The program that the tests execute again: a plugin's child or a supervisor, as `orderly-agent` is, or something that
//! closes the box around itself and then tries what it can.

use std::ffi::OsString;
use std::io;

use orderly_host::platform::{SUPERVISE_ARGUMENT, sandbox, supervise};

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.split_first() {
        Some((first, _)) if first == orderly_host::child::RUN_PLUGIN_ARGUMENT => orderly_host::child::main(),
        Some((first, rest)) if first == SUPERVISE_ARGUMENT => std::process::exit(supervise::main(rest)),
        Some((first, rest)) if first == "__boxed" => std::process::exit(boxed(rest)),
        _ => std::process::exit(64),
    }
}

/// Closes the box of the plan in the first argument, then reads the files in the others, and tries to get out.
fn boxed(arguments: &[OsString]) -> i32 {
    let Some((plan, files)) = arguments.split_first() else { return 64 };
    let Ok(plan) = serde_json::from_slice(plan.as_encoded_bytes()) else { return 64 };
    let report = match sandbox::close(&plan).and_then(sandbox::Closed::filter) {
        Ok(report) => report,
        Err(error) => {
            println!("refused {error}");
            return 3;
        }
    };
    println!("closed {}", serde_json::to_string(&report).unwrap_or_default());
    for file in files {
        tell(&format!("read {}", file.display()), std::fs::read(file).map(drop));
    }
    tell("write", std::fs::write("/tmp/orderly-boxed", "x"));
    tell("tcp", std::net::TcpStream::connect("127.0.0.1:9").map(drop));
    tell("unix", std::os::unix::net::UnixDatagram::unbound().map(drop));
    tell("program", std::process::Command::new("/bin/true").spawn().map(drop));
    tell("thread", std::thread::Builder::new().spawn(|| ()).map(drop));
    0
}

fn tell(what: &str, done: io::Result<()>) {
    match done {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!("{what}: {}", error.raw_os_error().unwrap_or(-1)),
    }
}
