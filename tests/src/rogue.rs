//! A server in an attacker's hands: it has the real one's TLS key and dispatch key, and says what a test makes it say.
//!
//! Owns one listener on the real server's address, the newest link, and all reports that came. It never has an operator's
//! key: whatever it gets an agent to do, it gets done with stolen server keys alone. Dropping it closes everything.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use orderly_signing::merkle::TargetSet;
use orderly_signing::receipt::Receipt;
use orderly_signing::verify::{Verified, verify_receipt};
use orderly_signing::{Digest, Envelope, InstanceId, PublicKey, SecretKey};
use orderly_wire::frame;
use orderly_wire::to_agent::{Ack, Offer, ToAgent, Welcome};
use orderly_wire::to_server::{Hello, Report, ReportEvent, ToServer};
use orderly_wire::version::LINK_VERSION;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

use crate::api::now_ms;
use crate::fleet::Fleet;
use crate::wait;

#[derive(Default)]
struct Seen {
    /// How many links were opened.
    links: u32,
    hello: Option<Hello>,
    outgoing: Option<mpsc::UnboundedSender<ToAgent>>,
    reports: Vec<Report>,
}

/// A server in an attacker's hands.
pub struct Rogue {
    /// The stolen key.
    pub dispatch: SecretKey,
    seen: Arc<Mutex<Seen>>,
    listener: JoinHandle<()>,
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `take` makes of the first file below a folder for which it makes something.
fn find<T>(folder: &Path, take: &impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() { find(&path, take) } else { fs::read_to_string(path).ok().and_then(|text| take(&text)) }
    })
}

/// The server's certificate chain and key, found by trying: which file holds what is the server's business.
fn stolen_tls(data: &Path, ca_pem: &str) -> ServerConfig {
    let mut chains: Vec<Vec<CertificateDer<'static>>> = Vec::new();
    let mut keys: Vec<PrivateKeyDer<'static>> = Vec::new();
    collect(data, &mut chains, &mut keys);
    // The CA's own key lies there too: a chain begins with a certificate that is not the CA's.
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("the CA");
    // The longest chains first: a leaf with its CA.
    chains.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    let single: Vec<_> = chains.iter().filter(|chain| chain.len() == 1).map(|chain| chain[0].clone()).collect();
    for leaf in &single {
        for ca in &single {
            if leaf != ca {
                chains.push(vec![leaf.clone(), ca.clone()]);
            }
        }
    }
    for chain in chains.iter().filter(|chain| chain.len() > 1 && chain[0] != ca) {
        for key in &keys {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let versions = ServerConfig::builder_with_provider(provider);
            let builder = versions.with_protocol_versions(&[&rustls::version::TLS13]).expect("TLS 1.3");
            // A key that is not the certificate's is refused here.
            if let Ok(config) = builder.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key()) {
                return config;
            }
        }
    }
    panic!("no certificate with its key below {}", data.display());
}

fn collect(folder: &Path, chains: &mut Vec<Vec<CertificateDer<'static>>>, keys: &mut Vec<PrivateKeyDer<'static>>) {
    for entry in fs::read_dir(folder).expect("the server's folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, chains, keys);
        } else if let Ok(text) = fs::read(&path) {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
            if !chain.is_empty() {
                chains.push(chain);
            }
            keys.extend(PrivateKeyDer::from_pem_slice(&text).ok());
        }
    }
}

impl Rogue {
    /// Kills the real server and takes its place.
    ///
    /// # Panics
    /// Where its keys are not found or its address is not free.
    #[must_use]
    pub fn take_over(fleet: &mut Fleet) -> Self {
        let public = fleet.api.trust().dispatch;
        fleet.kill_server();
        let data = fleet.path("server");
        let dispatch = find(&data, &|text: &str| {
            SecretKey::from_pkcs8_pem(text).ok().filter(|key| key.public().key_id() == public.key_id())
        });
        let dispatch = dispatch.expect("the dispatch key in the server's folder");
        let acceptor = TlsAcceptor::from(Arc::new(stolen_tls(&data, &fleet.ca_pem())));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let listener = fleet.runtime.spawn(listen(fleet.address, acceptor, Arc::clone(&seen)));
        Self { dispatch, seen, listener }
    }

    /// How many links were opened.
    #[must_use]
    pub fn links(&self) -> u32 {
        lock(&self.seen).links
    }

    /// Waits for a link that is newer than this many.
    pub fn wait_link(&self, than: u32) -> Hello {
        wait::until("the agent's link to the rogue server", wait::SOON, || {
            let seen = lock(&self.seen);
            (seen.links > than && seen.outgoing.is_some()).then(|| seen.hello.clone()).flatten()
        })
    }

    /// Offers an envelope with its proof and its content.
    ///
    /// # Panics
    /// While there is no link.
    pub fn offer(&self, envelope: &Envelope, targets: &TargetSet, instance: &InstanceId, content: &[u8]) {
        let proof = targets.proof(instance).expect("a target of the set");
        let offer = Offer {
            order: envelope.to_json(),
            proof,
            content: Some(content.to_vec()),
            plugin: None,
            built_ins: std::collections::BTreeMap::new(),
            live: false,
        };
        self.say(ToAgent::Offer(Box::new(offer)));
    }

    /// Says anything.
    ///
    /// # Panics
    /// While there is no link.
    pub fn say(&self, frame: ToAgent) {
        self.wait_link(0);
        let seen = lock(&self.seen);
        seen.outgoing.as_ref().expect("a link").send(frame).expect("an open link");
    }

    /// The reports about this order so far.
    #[must_use]
    pub fn reports(&self, order: &Digest) -> Vec<Report> {
        lock(&self.seen).reports.iter().filter(|report| report.order == *order).cloned().collect()
    }

    /// Waits for the receipt about this order.
    ///
    /// # Panics
    /// Where none comes, or it is not signed by the instance.
    #[must_use]
    pub fn receipt(&self, order: &Digest, key: &PublicKey) -> Verified<Receipt> {
        wait::until("the receipt", wait::SOON, || {
            self.reports(order).into_iter().rev().find_map(|report| match report.event {
                ReportEvent::Finished(finished) => {
                    Some(verify_receipt(&finished.receipt, key).expect("a receipt of the instance"))
                }
                _ => None,
            })
        })
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(address: SocketAddr, acceptor: TlsAcceptor, seen: Arc<Mutex<Seen>>) {
    let listener = loop {
        // The killed server's connections may hold the address for a moment.
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    while let Ok((tcp, _)) = listener.accept().await {
        // An end of a link is no end of the server; what the test waits for shows whether it mattered.
        let serving = serve(tcp, acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move { serving.await.ok() });
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, seen: Arc<Mutex<Seen>>) -> anyhow::Result<()> {
    let tls = acceptor.accept(tcp).await?;
    let mut socket = tokio_tungstenite::accept_async(tls).await?;
    let first = socket.next().await.context("no first frame")??;
    let ToServer::Hello(hello) = frame::decode(first.to_text()?, frame::TO_SERVER_MAX)? else {
        bail!("the first frame is no hello")
    };
    let welcome = Welcome { version: LINK_VERSION, server_time_ms: now_ms(), heartbeat_s: 5 };
    socket.send(Message::text(frame::encode(&ToAgent::Welcome(welcome))?)).await?;
    let (outgoing, mut frames) = mpsc::unbounded_channel();
    {
        let mut seen = lock(&seen);
        (seen.links, seen.hello, seen.outgoing) = (seen.links + 1, Some(*hello), Some(outgoing));
    }
    loop {
        tokio::select! {
            Some(frame) = frames.recv() => socket.send(Message::text(frame::encode(&frame)?)).await?,
            message = socket.next() => {
                let message = message.context("closed")??;
                let Message::Text(text) = message else { continue };
                if let ToServer::Report(report) = frame::decode(&text, frame::TO_SERVER_MAX)? {
                    let ack = ToAgent::Ack(Ack { seq: report.seq });
                    lock(&seen).reports.push(*report);
                    socket.send(Message::text(frame::encode(&ack)?)).await?;
                }
            }
        }
    }
}
