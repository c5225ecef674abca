//! Rules about what listens.
//!
//! Owns the ports that should not be open to others. Only looks at addresses: a packet filter may still close them.

use orderly_plugin::Severity::{High, Medium};

use crate::parse::sockets::Socket;
use crate::rule::{Check, Rule};
use crate::system::{Read, System};

/// The rules.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "NET-01",
        title: "no service without encryption is open",
        severity: High,
        check: |system| cleartext(system).into(),
    },
    Rule {
        id: "NET-02",
        title: "no database or control interface is open",
        severity: High,
        check: |system| databases(system).into(),
    },
    Rule {
        id: "NET-03",
        title: "no file sharing or remote procedures are open",
        severity: Medium,
        check: |system| sharing(system).into(),
    },
];

const CLEARTEXT: [(u16, &str); 7] = [
    (21, "ftp"),
    (23, "telnet"),
    (69, "tftp"),
    (79, "finger"),
    (512, "rexec"),
    (513, "rlogin"),
    (514, "rsh or syslog"),
];

const DATABASES: [(u16, &str); 13] = [
    (2375, "Docker without TLS"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5984, "CouchDB"),
    (6379, "Redis"),
    (8500, "Consul"),
    (9042, "Cassandra"),
    (9200, "Elasticsearch"),
    (10250, "kubelet"),
    (11211, "memcached"),
    (26257, "CockroachDB"),
    (27017, "MongoDB"),
];

const SHARING: [(u16, &str); 6] =
    [(111, "rpcbind"), (137, "NetBIOS"), (139, "NetBIOS"), (445, "SMB"), (873, "rsync"), (2049, "NFS")];

fn cleartext(system: &System<'_>) -> Read<Check> {
    open(system, &CLEARTEXT, "stop the service, or use its encrypted successor")
}

fn databases(system: &System<'_>) -> Read<Check> {
    open(system, &DATABASES, "bind the service to 127.0.0.1, or close the port in the packet filter")
}

fn sharing(system: &System<'_>) -> Read<Check> {
    open(system, &SHARING, "stop the service, or close the port in the packet filter")
}

fn open(system: &System<'_>, ports: &[(u16, &str)], remedy: &str) -> Read<Check> {
    let sockets = system.listening()?;
    let bad = sockets
        .iter()
        .filter(|socket| socket.is_open())
        .filter_map(|socket| {
            let (_, name) = ports.iter().find(|(port, _)| *port == socket.port)?;
            Some(format!("{}: {name}", Socket::evidence(socket)))
        })
        .collect();
    Ok(Check::none_of(bad, format!("{} sockets listen, none of these", sockets.len()), remedy))
}
