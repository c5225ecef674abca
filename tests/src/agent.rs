//! A real agent with its own data directory.
//!
//! Owns its process. Dropping it ends the process; its tasks must have ended before, or the test fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use orderly_signing::{Digest, InstanceId};

use crate::fleet::Fleet;
use crate::process::Program;
use crate::programs;
use crate::proxy::Proxy;

/// An agent under test.
pub struct Agent {
    /// Its instance id.
    pub id: InstanceId,
    /// Its data directory.
    pub data: PathBuf,
    program: Option<Program>,
    /// Set for the next start.
    environment: Vec<(String, String)>,
}

/// The command that enrols an agent, with arguments that a test may bend.
#[must_use]
pub fn enrol_command(server: &str, code: &str, root: &str, ca: &str, data: &Path) -> Command {
    let mut command = Command::new(programs::built(programs::AGENT));
    command.args(["enrol", "--server", server, "--code", code, "--root", root, "--ca", ca]);
    command.arg("--data-dir").arg(data);
    command
}

/// SHA-256 of the CA certificate's DER, as agents pin it.
///
/// # Panics
/// Where the text is no PEM certificate.
#[must_use]
pub fn ca_fingerprint(ca_pem: &str) -> Digest {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    Digest::of(&CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate"))
}

impl Agent {
    /// Enrols an agent with a new activation; it is not started.
    ///
    /// # Panics
    /// Where it is refused.
    #[must_use]
    pub fn enrol(fleet: &Fleet, name: &str) -> Self {
        Self::enrol_at(fleet, name, &format!("https://{}", fleet.address))
    }

    /// As [`Agent::enrol`], where the agent is to reach the server at another address.
    ///
    /// # Panics
    /// Where it is refused.
    #[must_use]
    pub fn enrol_at(fleet: &Fleet, name: &str, server: &str) -> Self {
        let data = fleet.path(name);
        let output = Self::try_enrol_at(fleet, &fleet.api.activation(1).code, &data, server);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "enrolment failed:\n{text}");
        let id = text.split_whitespace().find_map(|word| {
            let word = word.trim_matches(|char: char| !char.is_ascii_alphanumeric());
            word.parse::<InstanceId>().ok()
        });
        let id = id.unwrap_or_else(|| panic!("enrolment says no instance id:\n{text}"));
        Self { id, data, program: None, environment: Vec::new() }
    }

    /// Enrols an agent that reaches the server by the proxy only, and starts it.
    ///
    /// # Panics
    /// Where it is refused or does not come online.
    #[must_use]
    pub fn behind(fleet: &Fleet, proxy: &Proxy, name: &str) -> Self {
        let mut agent = Self::enrol_at(fleet, name, &format!("https://{}", proxy.address));
        agent.start();
        fleet.api.wait_online(&agent.id, true);
        agent
    }

    /// Tries to enrol with this code.
    ///
    /// # Panics
    /// Where the program does not start.
    #[must_use]
    pub fn try_enrol(fleet: &Fleet, code: &str, data: &Path) -> Output {
        Self::try_enrol_at(fleet, code, data, &format!("https://{}", fleet.address))
    }

    fn try_enrol_at(fleet: &Fleet, code: &str, data: &Path, server: &str) -> Output {
        let (root, ca) = (fleet.trust.root_fingerprint().to_string(), ca_fingerprint(&fleet.ca_pem()).to_string());
        enrol_command(server, code, &root, &ca, data).output().expect("the agent starts")
    }

    /// Writes `agent.toml` in the data directory; used from the next start on.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn configure(&self, toml: &str) {
        fs::write(self.data.join("agent.toml"), toml).expect("agent.toml");
    }

    /// Sets a variable of the environment for the next start.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it.
    pub fn start(&mut self) {
        let mut command = Command::new(programs::built(programs::AGENT));
        command.arg("run").arg("--data-dir").arg(&self.data);
        let config = self.data.join("agent.toml");
        if config.is_file() {
            command.arg("--config").arg(config);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.program = Some(Program::start("orderly-agent", &mut command));
    }

    /// Its process.
    ///
    /// # Panics
    /// While it is down.
    pub fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("an agent that runs")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    /// Ends it as an administrator would.
    pub fn end(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.end(Duration::from_secs(20));
        }
    }
}
