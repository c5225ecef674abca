//! The server that is measured, with its keys, and the agents that it knows.
//!
//! Owns the process and its data directory. The keyring and the enrolments go over the API, as they would anywhere. Stops the
//! server when it is dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use futures_util::stream;
use orderly_signing::SecretKey;
use orderly_tests::api::Api;
use orderly_tests::simulated::{self, enrol};
use orderly_tests::tls;
use orderly_tests::trust::{Trust, new_key};
use reqwest::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::demo::READY;
use crate::process::Daemon;

/// Enrolments and links that are being opened at the same time.
pub(super) const AT_ONCE: usize = 64;

/// Instances that one activation may enrol at most.
const PER_ACTIVATION: usize = 1000;

/// Descriptors beside those of the links: listeners, files, pipes, the API.
const BESIDE: u64 = 256;

/// Server, client and keys.
pub(super) struct Place {
    server: Option<Daemon>,
    data: PathBuf,
    log: PathBuf,
    at: simulated::Place,
    api: Api,
    token: String,
    trust: Trust,
    runtime: tokio::runtime::Handle,
}

impl Place {
    /// Starts a new server and publishes a keyring.
    pub(super) fn start(runtime: &Runtime, program: &Path, dir: &Path) -> Result<Self> {
        let (data, log) = (dir.join("server"), dir.join("server.log"));
        let server = serve(program, &data, &log, "127.0.0.1:0")?;
        let token = server
            .line(READY, "the admin token", |line| Some(line.split_once("admin token: ")?.1.trim().to_owned()))?;
        let address = listening(&server)?;
        let ca = std::fs::read_to_string(data.join("ca.pem")).context("cannot read the CA")?;
        let api = Api::new(runtime.handle(), &format!("https://{address}"), &token, &ca);
        let trust = Trust::new();
        let keyring = trust.signed(&trust.keyring(1, &api.trust().dispatch, &[])).to_json();
        let published: Result<serde_json::Value, _> =
            api.send_bytes(Method::PUT, "/v1/trust/keyring", "application/json", keyring);
        published.map_err(|problem| anyhow::anyhow!("the keyring is refused: {problem:?}"))?;
        let at = simulated::Place { address, tls: tls::client_config(&ca) };
        Ok(Self { server: Some(server), data, log, at, api, token, trust, runtime: runtime.handle().clone() })
    }

    /// Where the agents link.
    pub(super) fn at(&self) -> &simulated::Place {
        &self.at
    }

    /// The client.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// The fleet's keys.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The server's data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The server's process id.
    pub(super) fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Daemon::pid)
    }

    /// Enrols so many new agents, many at once; answers their keys.
    pub(super) fn enrol(&self, count: usize) -> Result<Vec<Arc<SecretKey>>> {
        let codes: Vec<String> =
            (0..count.div_ceil(PER_ACTIVATION)).map(|_| self.api.activation(PER_ACTIVATION as u32).code).collect();
        let one = |number: usize| {
            let code = codes.get(number / PER_ACTIVATION).cloned().unwrap_or_default();
            let place = self.at.clone();
            async move {
                let key = Arc::new(new_key());
                enrol(&place, &code, &key, &format!("bench-{number}")).await.context("an enrolment failed")?;
                Ok(key)
            }
        };
        let all = stream::iter(0..count).map(one).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        self.runtime.block_on(all).into_iter().collect()
    }

    /// Ends the server, which closes its store.
    pub(super) fn stop(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.must_run()?;
        }
        Ok(())
    }

    /// Starts the server again on the same data.
    pub(super) fn restart(&mut self, program: &Path) -> Result<()> {
        let server = serve(program, &self.data, &self.log, &self.at.address.to_string())?;
        let address = listening(&server)?;
        ensure!(address == self.at.address, "the server listens on {address}");
        let ca = std::fs::read_to_string(self.data.join("ca.pem")).context("cannot read the CA")?;
        self.api = Api::new(&self.runtime, &format!("https://{address}"), &self.token, &ca);
        self.server = Some(server);
        Ok(())
    }

    /// Bytes in the data directory.
    pub(super) fn disk_bytes(&self) -> Result<u64> {
        fn bytes(dir: &Path) -> Result<u64> {
            let mut sum = 0;
            for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                sum += if metadata.is_dir() { bytes(&entry.path())? } else { metadata.len() };
            }
            Ok(sum)
        }
        bytes(&self.data)
    }
}

fn serve(program: &Path, data: &Path, log: &Path, listen: &str) -> Result<Daemon> {
    let mut command = Command::new(program);
    command.args(["--listen", listen, "--data-dir"]).arg(data);
    Daemon::start("orderly-server", &mut command, log)
}

fn listening(server: &Daemon) -> Result<SocketAddr> {
    server.line(READY, "its address", |line| line.split_once("listening on https://")?.1.trim().parse().ok())
}

/// Raises the limit of open files for this process and the server that it starts: each link takes a descriptor in both.
pub(super) fn raise_descriptors(agents: usize) -> Result<()> {
    let wanted = agents as u64 + BESIDE;
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    // Only root may raise the hard limit.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }));
    raised.context("the limit of open files cannot be raised")?;
    let now = getrlimit(Resource::Nofile).current;
    ensure!(
        now.is_none_or(|now| now >= wanted),
        "{agents} links need {wanted} open files, this process may have {}: raise `ulimit -Hn`, or ask for fewer `--agents`",
        now.unwrap_or(0)
    );
    Ok(())
}
