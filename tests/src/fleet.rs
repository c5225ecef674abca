//! A server with its own folder, keys and client: the start of nearly every end-to-end test.
//!
//! Owns the temporary folder and the server process. Dropping it ends the server, and fails the test where a process
//! that belongs to the folder is left over.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use orderly_signing::keyring::{Requirement, Tier};
use orderly_wire::http::trust::TrustView;
use reqwest::Method;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::agent::Agent;
use crate::api::Api;
use crate::process::{Program, alive_with};
use crate::programs;
use crate::trust::Trust;
use crate::wait;

/// A server under test.
pub struct Fleet {
    /// Threads for clients and simulated agents.
    pub runtime: Runtime,
    /// Keys made for this test.
    pub trust: Trust,
    /// The client, with the administrator's token.
    pub api: Api,
    /// Where the server listens.
    pub address: SocketAddr,
    /// The administrator's token.
    pub token: String,
    server: Option<Program>,
    folder: TempDir,
}

/// How long a server may take from start to its first answer.
const START: Duration = Duration::from_secs(60);

fn serve(data: &Path, listen: &str) -> (Program, SocketAddr) {
    let mut command = Command::new(programs::built(programs::SERVER));
    command.arg("--data-dir").arg(data).args(["--listen", listen]);
    let mut server = Program::start("orderly-server", &mut command);
    let address = server.line("`listening on https://`", START, |line| {
        line.split("listening on https://").nth(1).and_then(|rest| rest.trim().parse().ok())
    });
    (server, address)
}

impl Fleet {
    /// Starts a server and publishes a keyring with the usual policy.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server and publishes a keyring, with some tiers set otherwise.
    #[must_use]
    pub fn start_with(policy: &[(Tier, Requirement)]) -> Self {
        let fleet = Self::start_bare();
        fleet.publish(1, policy);
        fleet
    }

    /// Starts a server without a keyring.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start_bare() -> Self {
        let folder = tempfile::Builder::new().prefix("orderly-test-").tempdir().expect("a temporary folder");
        let (mut server, address) = serve(&folder.path().join("server"), "127.0.0.1:0");
        let token = server.line("the admin token", START, |line| {
            line.split("admin token:").nth(1).map(|rest| rest.trim().to_owned())
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let ca = fs::read_to_string(folder.path().join("server/ca.pem")).expect("the server's ca.pem");
        let api = Api::new(runtime.handle(), &format!("https://{address}"), &token, &ca);
        Self { runtime, trust: Trust::new(), api, address, token, server: Some(server), folder }
    }

    /// Publishes a keyring of this revision.
    pub fn publish(&self, revision: u64, policy: &[(Tier, Requirement)]) -> TrustView {
        let keyring = self.trust.keyring(revision, &self.api.trust().dispatch, policy);
        let envelope = self.trust.signed(&keyring).to_json();
        let answer = self.api.send_bytes(Method::PUT, "/v1/trust/keyring", "application/json", envelope);
        answer.unwrap_or_else(|problem| panic!("the keyring is refused: {problem:?}"))
    }

    /// A path in the test's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The server's CA in PEM.
    ///
    /// # Panics
    /// Where it cannot be read.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(self.path("server/ca.pem")).expect("the server's ca.pem")
    }

    /// The server process.
    ///
    /// # Panics
    /// While it is down.
    pub fn server(&mut self) -> &mut Program {
        self.server.as_mut().expect("a server that runs")
    }

    /// Kills the server with SIGKILL.
    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Ends the server as an administrator would.
    pub fn end_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.end(Duration::from_secs(20));
        }
    }

    /// Starts the server again on the same address and data.
    pub fn restart_server(&mut self) {
        let (server, address) = serve(&self.path("server"), &self.address.to_string());
        assert_eq!(address, self.address);
        self.server = Some(server);
        // The old client may hold connections to the server that was killed, and would send the next request into one.
        let (base, ca) = (format!("https://{address}"), self.ca_pem());
        self.api = Api::new(self.runtime.handle(), &base, &self.token, &ca);
    }

    /// Enrols a real agent and starts it.
    #[must_use]
    pub fn agent(&self, name: &str) -> Agent {
        let mut agent = Agent::enrol(self, name);
        agent.start();
        self.api.wait_online(&agent.id, true);
        agent
    }

    /// The command line, with the administrator's settings and a configuration folder of its own.
    #[must_use]
    pub fn orderly(&self) -> Command {
        let mut command = Command::new(programs::built(programs::ORDERLY));
        command
            .env("ORDERLY_CONFIG_DIR", self.path("config"))
            .env("ORDERLY_SERVER", format!("https://{}", self.address))
            .env("ORDERLY_TOKEN", &self.token)
            .env("ORDERLY_CA", self.path("server/ca.pem"))
            .env("NO_COLOR", "1")
            .current_dir(self.folder.path());
        command
    }

    /// Runs the command line to its end.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.orderly().args(arguments).output().expect("the command line starts")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end_server();
        let folder = self.folder.path().display().to_string();
        let left = wait::within(Duration::from_secs(10), || alive_with(&folder).is_empty().then_some(()));
        if left.is_none() && !thread::panicking() {
            panic!("left over: {:?}", alive_with(&folder));
        }
    }
}
