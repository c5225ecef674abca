//! The API as a program uses it: one kept connection, orders signed with the operator's key.
//!
//! Owns the clock that is measured: from before the request (and before its signature) to the event that says that the
//! result is in the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use orderly_model::id::{InvocationId, OrderId};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_signing::{Envelope, InstanceId, SecretKey};
use orderly_tests::orders::Work;
use orderly_wire::http::invocation::{InvocationView, Run, RunPlugin, RunScript, Targets};
use orderly_wire::http::script::ScriptOptions;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::since;
use crate::demo::Fleet;

/// Seconds that a task may take.
const TIMEOUT_S: u32 = 60;

/// Bytes of output to keep.
const OUTPUT_BYTES: u32 = 1024;

/// A connection, a key and a target.
pub(super) struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
    key: SecretKey,
    instance: InstanceId,
}

impl Api {
    /// Connects as the fleet's operator.
    pub(super) fn new(fleet: &Fleet, ca: &Path) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).context("cannot read the CA")?).context("the CA cannot be used")?;
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .context("no TLS 1.3")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .context("no HTTP client")?;
        let key = fleet.config_dir().join("keys/operator.pem");
        let key = orderly_signing::key::file::load_secret(key).context("cannot read the operator's key")?;
        let listed = fleet.json(&["instance", "list"])?;
        let id = listed.pointer("/0/id").and_then(|id| id.as_str()).context("there is no instance")?;
        let (url, token) = fleet.api();
        Ok(Self {
            http,
            url: url.to_owned(),
            token: token.to_owned(),
            key,
            instance: id.parse().context("the instance has no id")?,
        })
    }

    /// An API call that does nothing.
    pub(super) async fn health(&self) -> Result<Duration> {
        let started = Instant::now();
        let response = self.http.get(format!("{}/v1/health", self.url)).send().await.context("no answer")?;
        ensure!(response.status().is_success(), "the server is not well");
        response.bytes().await.context("no answer")?;
        Ok(since(started))
    }

    /// Signs and runs a script.
    pub(super) async fn script(&self, script: &str) -> Result<Duration> {
        let started = Instant::now();
        let content = script.as_bytes().to_vec();
        let order = self.sign(&content)?;
        let run = Run::Script(RunScript {
            interpreter: "shell".to_owned(),
            content,
            user: None,
            cwd: None,
            timeout_s: Some(TIMEOUT_S),
            environment: BTreeMap::new(),
            output_bytes: Some(OUTPUT_BYTES),
            options: ScriptOptions::default(),
        });
        self.to_the_end(run, Some(&order)).await?;
        Ok(since(started))
    }

    /// Runs a plugin, which goes out with the server's signature alone.
    pub(super) async fn plugin(&self, name: &str) -> Result<Duration> {
        let started = Instant::now();
        let run = Run::Plugin(RunPlugin {
            name: name.to_owned(),
            version: None,
            parameters: BTreeMap::new(),
            timeout_s: None,
            output_bytes: None,
        });
        self.to_the_end(run, None).await?;
        Ok(since(started))
    }

    async fn to_the_end(&self, run: Run, order: Option<&Envelope>) -> Result<()> {
        let work = Work { run, digests: None, deadline_s: TIMEOUT_S };
        let request = work.request(Targets::Instances(vec![self.instance.clone()]), order);
        let post = self.http.post(format!("{}/v1/invocations", self.url)).bearer_auth(&self.token).json(&request);
        let response = post.send().await.context("no answer")?;
        let status = response.status();
        let body = response.bytes().await.context("no answer")?;
        ensure!(status.is_success(), "the server answered {status}: {}", String::from_utf8_lossy(&body));
        let view: InvocationView = serde_json::from_slice(&body).context("no invocation")?;
        let get = self.http.get(format!("{}/v1/invocations/{}/events", self.url, view.id)).bearer_auth(&self.token);
        let mut events = get.send().await.context("no events")?.bytes_stream();
        let mut text = String::new();
        while let Some(chunk) = events.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.context("the events broke off")?));
            // The last event is written whole before the stream ends.
            if text.contains("\"type\":\"end\"") {
                ensure!(text.contains("\"status\":\"Success\""), "it did not succeed: {text}");
                return Ok(());
            }
        }
        anyhow::bail!("the events ended without an end: {text}")
    }

    fn sign(&self, content: &[u8]) -> Result<Envelope> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let now = i64::try_from(now.as_millis()).context("the clock is far off")?;
        let mut random = [0; 20];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        let (mut one, mut other) = ([0; 10], [0; 10]);
        one.copy_from_slice(&random[..10]);
        other.copy_from_slice(&random[10..]);
        let order = Order {
            version: 1,
            order: OrderId::new(now, one).to_string(),
            invocation: InvocationId::new(now, other).to_string(),
            principal: "bench".to_owned(),
            issued_ms: now,
            not_before_ms: now - 60_000,
            expires_ms: now + 60_000,
            targets: TargetSet::of_instances([self.instance.clone()]).context("no targets")?.targets(),
            action: Action::Script(ScriptAction {
                timeout_s: TIMEOUT_S,
                output_bytes: OUTPUT_BYTES,
                ..ScriptAction::new(content)
            }),
            repeat: orderly_signing::order::Repeat::Once,
        };
        orderly_signing::sign::sign_order(&order, &self.key).context("the order cannot be signed")
    }
}
