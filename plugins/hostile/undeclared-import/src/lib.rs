//! An attack: imports interfaces that its manifest does not ask for.
//!
//! Stopped means: the component is refused before it starts, with the name of every such import. When `run` is called
//! at all, the attack has succeeded, and it reports what it got.

use orderly_plugin::wasi::sockets::network::IpAddressFamily;
use orderly_plugin::wasi::sockets::tcp_create_socket::create_tcp_socket;
use orderly_plugin::{Arguments, Command, Description, Failure, Finding, Outcome, Severity, facts, mounts, process};

struct UndeclaredImport;

impl Command for UndeclaredImport {
    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            "Attack: imports what its manifest does not ask for",
        )
    }

    fn run(_arguments: Arguments) -> Result<Outcome, Failure> {
        let got = [
            ("facts", Ok(facts::get().hostname)),
            ("mounts", Ok(format!("{} mounts", mounts::get().len()))),
            (
                "process",
                process::run("/usr/bin/id", &[], 1_024)
                    .map(|run| format!("{:?}", run.exit))
                    .map_err(|error| error.to_string()),
            ),
            (
                "sockets",
                create_tcp_socket(IpAddressFamily::Ipv4)
                    .map(|_| "a socket".to_owned())
                    .map_err(|error| error.name().to_owned()),
            ),
        ];
        for (number, (interface, got)) in got.iter().enumerate() {
            let (Ok(what) | Err(what)) = got;
            let id = format!("ATTACK-{:02}", number + 1);
            let title = format!("{interface} cannot be imported unasked");
            Finding::fail(&id, &title, Severity::Critical, format!("linked, and answered: {what}"), "").send()?;
        }
        Ok(Outcome::attention("the attack succeeded: a component with undeclared imports was started"))
    }
}

orderly_plugin::export!(UndeclaredImport);
