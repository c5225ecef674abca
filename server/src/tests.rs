//! What the tests of this crate share: a whole server in this process, a fleet's keys, agents that only speak.
//!
//! Each test owns its server on port 0 with its own directory. Nothing sleeps; waits are predicates with a time-out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod agent;
pub(crate) mod fleet;
pub(crate) mod postgres;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orderly_wire::http::problem::Problem;
use reqwest::{Method, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::app;
use crate::config::Config;
use crate::shutdown::Shutdown;
use crate::store::Store;

pub(crate) use fleet::Fleet;

/// How long a test waits for what must come.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// Waits until `probe` answers something.
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < WAIT, "waited in vain for: {what}");
        tokio::task::yield_now().await;
    }
}

/// A temporary directory that others may not enter, as a data directory must be.
pub(crate) fn private_directory() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    directory
}

/// A server in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) fleet: Fleet,
    pub(crate) store: Store,
    shutdown: Shutdown,
    client: reqwest::Client,
    directory: TempDir,
}

impl Server {
    /// A server over SQLite without a keyring.
    pub(crate) async fn bare() -> Self {
        Self::over(private_directory(), None).await
    }

    /// A server over SQLite with the fleet's keyring.
    pub(crate) async fn start() -> Self {
        let server = Self::bare().await;
        server.publish_keyring().await;
        server
    }

    async fn over(directory: TempDir, token: Option<String>) -> Self {
        let config = Config {
            data_dir: directory.path().to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            database_url: None,
            public_name: Vec::new(),
            file_max_bytes: 1024 * 1024 * 1024,
            storage_max_bytes: 4 * 1024 * 1024 * 1024,
            command_max_bytes: 18 * 1024,
            keep_days: None,
            keep_count: None,
            new_admin_token: false,
        };
        let shutdown = Shutdown::default();
        let mut said = Vec::new();
        let (address, store) = app::start(config, &shutdown, |line| said.push(line.to_owned())).await.unwrap();
        let shown = said.iter().find_map(|line| line.strip_prefix("admin token: ")).map(str::to_owned);
        let tls = client_config(&std::fs::read_to_string(directory.path().join("ca.pem")).unwrap());
        let client = reqwest::Client::builder().tls_backend_preconfigured(ClientConfig::clone(&tls)).build().unwrap();
        Self { address, token: shown.or(token).unwrap(), tls, fleet: Fleet::new(), store, shutdown, client, directory }
    }

    /// Stops this server and starts another over the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { fleet, directory, token, shutdown, store, .. } = self;
        shutdown.run().await;
        // Its lock goes with the last handle.
        drop(store);
        Self { fleet, ..Self::over(directory, Some(token)).await }
    }

    pub(crate) async fn publish_keyring(&self) {
        let dispatch = self.get::<orderly_wire::http::trust::TrustView>("/v1/trust").await.dispatch;
        let keyring = self.fleet.keyring(1, &dispatch);
        let (status, body) = self.send(Method::PUT, "/v1/trust/keyring", "application/json", keyring).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    }

    /// Sends a request with the administrator's token.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
    ) -> (StatusCode, Vec<u8>) {
        let request = self.client.request(method, format!("https://{}{path}", self.address));
        let request = request.bearer_auth(&self.token).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    /// A request for a test to change before it is sent.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("https://{}{path}", self.address))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.send(Method::GET, path, "", "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends JSON and expects success.
    pub(crate) async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> T {
        let (status, body) = self.send(method, path, "application/json", serde_json::to_vec(body).unwrap()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends JSON and expects a problem.
    pub(crate) async fn problem(&self, method: Method, path: &str, body: &impl Serialize) -> Problem {
        let (status, body) = self.send(method, path, "application/json", serde_json::to_vec(body).unwrap()).await;
        assert!(!status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.status, status.as_u16());
        problem
    }
}

/// TLS that trusts one CA.
pub(crate) fn client_config(pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    Arc::new(builder.unwrap().with_root_certificates(roots).with_no_client_auth())
}
