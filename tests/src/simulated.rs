//! Agents that only pretend: the real link with real proofs and receipts, and nothing run.
//!
//! Owns the state that a real agent keeps on disk (which orders it has seen, which reports wait for an acknowledgement),
//! kept in memory over reconnects. Each counts what it would have run, so that a test can see that nothing is lost or
//! doubled. Dropping one closes its link.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use orderly_model::instance::{Facts, Platform, Sandbox};
use orderly_signing::order::{Action, Order};
use orderly_signing::proof::link_message;
use orderly_signing::receipt::{OutputDigest, Receipt};
use orderly_signing::{Digest, Envelope, InstanceId, SecretKey};
use orderly_wire::frame;
use orderly_wire::http::agent::{Enrol, Enrolled};
use orderly_wire::to_agent::{Offer, ToAgent};
use orderly_wire::to_server::{Finished, Hello, KeptOutput, Report, ReportEvent, Segment, Stream, ToServer};
use orderly_wire::version::{LINK_VERSION, LINK_VERSION_MIN};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

mod work;

pub use work::{Load, Work};

use crate::api::now_ms;
use crate::tls;
use crate::trust::new_key;

/// What an agent remembers over reconnects.
#[derive(Default)]
struct Memory {
    /// How often each order was begun, by its digest; more than once is the fault that tests look for.
    begun: BTreeMap<Digest, u32>,
    /// How often each order was offered.
    offered: BTreeMap<Digest, u32>,
    /// Reports that were not acknowledged yet.
    outbox: BTreeMap<u64, Report>,
    /// The newest sequence number.
    seq: u64,
}

/// How a simulated agent answers an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It accepts and ends at once with success.
    Succeed,
    /// It accepts and never ends.
    Hang,
    /// It ignores the order.
    Ignore,
}

/// A simulated agent.
pub struct Simulated {
    /// Its instance id.
    pub id: InstanceId,
    /// Its key.
    pub key: Arc<SecretKey>,
    memory: Arc<Mutex<Memory>>,
    link: Option<JoinHandle<()>>,
}

/// An open link.
pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Where and how to connect.
#[derive(Clone)]
pub struct Place {
    /// The server.
    pub address: SocketAddr,
    /// TLS with its CA pinned.
    pub tls: Arc<ClientConfig>,
}

/// What a simulated agent says that its machine is.
#[must_use]
pub fn facts(name: &str) -> Facts {
    Facts {
        hostname: name.to_owned(),
        architecture: "x86_64".to_owned(),
        system: Platform::Linux,
        kernel: "0.0.0-simulated".to_owned(),
        os_release: Vec::new(),
        agent_version: "0.0.0".to_owned(),
        wit: vec!["orderly:plugin@0.1.0".to_owned()],
        sandbox: Sandbox::default(),
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enrols a key with an activation code. The proof's message may be bent by the caller.
///
/// # Errors
/// Where the server refuses; the text of its answer.
pub async fn enrol(place: &Place, code: &str, key: &SecretKey, name: &str) -> anyhow::Result<Enrolled> {
    let (stream, exporter) = tls::connect(place.address, &place.tls).await?;
    let proof = key.sign(&link_message("enrol", &InstanceId::of(key.public()), &exporter)).to_vec();
    let body = Enrol {
        code: code.to_owned(),
        key: key.public().clone(),
        root: None,
        name: Some(name.to_owned()),
        facts: facts(name),
        proof,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = http::Request::post("/agent/v1/enrol")
        .header("host", place.address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(&body)?)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).context("the answer to an enrolment")
}

/// Opens a link up to the first frame of the server, with a proof that may be made by another key or for other bytes.
///
/// # Errors
/// Where the server refuses or says goodbye.
pub async fn open_link(
    place: &Place,
    id: &InstanceId,
    prove: impl FnOnce(&[u8; 32]) -> Vec<u8>,
) -> anyhow::Result<(Socket, u32)> {
    let (stream, exporter) = tls::connect(place.address, &place.tls).await?;
    let url = format!("wss://{}/agent/v1/link", place.address);
    // The defaults buffer 128 KiB, and tests open links by the thousand.
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
    let hello = Hello {
        oldest: LINK_VERSION_MIN,
        newest: LINK_VERSION,
        instance: id.clone(),
        proof: prove(&exporter),
        facts: facts(id.as_str()),
        boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
        keyring_revision: 1,
    };
    socket.send(Message::text(frame::encode(&ToServer::Hello(Box::new(hello)))?)).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        match frame::decode::<ToAgent>(&text, frame::TO_AGENT_MAX)? {
            ToAgent::Welcome(welcome) => return Ok((socket, welcome.heartbeat_s)),
            ToAgent::Goodbye(goodbye) => bail!("goodbye: {}: {}", goodbye.code, goodbye.reason),
            other => bail!("the first frame is {other:?}"),
        }
    }
    bail!("the server closed the link without a word")
}

impl Simulated {
    /// Enrols a new key; the link stays closed.
    ///
    /// # Errors
    /// As [`enrol`].
    pub async fn enrol(place: &Place, code: &str, name: &str) -> anyhow::Result<Self> {
        let key = Arc::new(new_key());
        let enrolled = enrol(place, code, &key, name).await?;
        let id = InstanceId::of(key.public());
        ensure!(enrolled.instance == id, "the server calls {id} {}", enrolled.instance);
        Ok(Self { id, key, memory: Arc::default(), link: None })
    }

    /// Opens the link and keeps it open, over restarts of the server too.
    pub fn start(&mut self, runtime: &Handle, place: &Place, answer: Answer) {
        self.start_with(runtime, place, answer, None);
    }

    /// As [`Self::start`]; each order takes its time and ends as the work says.
    pub fn start_working(&mut self, runtime: &Handle, place: &Place, work: Work) {
        self.start_with(runtime, place, Answer::Hang, Some(work));
    }

    fn start_with(&mut self, runtime: &Handle, place: &Place, answer: Answer, work: Option<Work>) {
        let worker = Worker {
            place: place.clone(),
            id: self.id.clone(),
            key: Arc::clone(&self.key),
            memory: Arc::clone(&self.memory),
            answer,
            work,
            done: Arc::default(),
        };
        self.link = Some(runtime.spawn(worker.run()));
    }

    /// Closes the link.
    pub fn stop(&mut self) {
        if let Some(link) = self.link.take() {
            link.abort();
        }
    }

    /// How often this order was begun.
    #[must_use]
    pub fn begun(&self, order: &Digest) -> u32 {
        lock(&self.memory).begun.get(order).copied().unwrap_or(0)
    }

    /// How often this order was offered.
    #[must_use]
    pub fn offered(&self, order: &Digest) -> u32 {
        lock(&self.memory).offered.get(order).copied().unwrap_or(0)
    }

    /// Reports that the server has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        lock(&self.memory).outbox.len()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    place: Place,
    id: InstanceId,
    key: Arc<SecretKey>,
    memory: Arc<Mutex<Memory>>,
    answer: Answer,
    work: Option<Work>,
    /// Says that work has ended, so that its report is sent.
    done: Arc<Notify>,
}

impl Worker {
    async fn run(self) {
        let mut pause = Duration::from_millis(20);
        loop {
            // An end of the link is what these tests are about: it is opened again.
            if self.link().await.is_ok() {
                pause = Duration::from_millis(20);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    async fn link(&self) -> anyhow::Result<()> {
        let prove = |exporter: &[u8; 32]| self.key.sign(&link_message("link", &self.id, exporter)).to_vec();
        let (mut socket, heartbeat_s) = open_link(&self.place, &self.id, prove).await?;
        let mut sent = self.send_after(&mut socket, 0).await?;
        let mut beat = tokio::time::interval(Duration::from_secs(u64::from(heartbeat_s.max(1))));
        loop {
            tokio::select! {
                message = socket.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let Message::Text(text) = message? else { continue };
                    match frame::decode::<ToAgent>(&text, frame::TO_AGENT_MAX)? {
                        ToAgent::Offer(offer) => {
                            for report in self.offered(&offer)? {
                                socket.send(Message::text(frame::encode(&ToServer::Report(Box::new(report)))?)).await?;
                            }
                        }
                        ToAgent::Ack(ack) => lock(&self.memory).outbox.retain(|seq, _| *seq > ack.seq),
                        ToAgent::Welcome(_) | ToAgent::Keyring(_) => {}
                        ToAgent::Goodbye(_) => return Ok(()),
                    }
                }
                () = self.done.notified() => sent = self.send_after(&mut socket, sent).await?,
                _ = beat.tick() => {
                    socket.send(Message::text(frame::encode(&ToServer::Heartbeat)?)).await?;
                }
            }
        }
    }

    /// Sends what waits and was not sent on this link; answers the newest number.
    async fn send_after(&self, socket: &mut Socket, sent: u64) -> anyhow::Result<u64> {
        let waiting: Vec<Report> = lock(&self.memory).outbox.range(sent + 1..).map(|(_, one)| one.clone()).collect();
        let newest = waiting.last().map_or(sent, |report| report.seq);
        for report in waiting {
            socket.send(Message::text(frame::encode(&ToServer::Report(Box::new(report)))?)).await?;
        }
        Ok(newest)
    }

    /// Ends the work of an order after its time, over ends of the link too.
    fn work(&self, order: &Order, digest: Digest, work: &Work) -> anyhow::Result<()> {
        let event = ReportEvent::Finished(Box::new(self.finished(order, digest)?));
        let (memory, done, work) = (Arc::clone(&self.memory), Arc::clone(&self.done), work.clone());
        let invocation = Some(order.invocation.clone());
        work.load.enter();
        tokio::spawn(async move {
            tokio::time::sleep(work.takes).await;
            work.load.leave();
            let mut memory = lock(&memory);
            memory.seq += 1;
            let report = Report { seq: memory.seq, order: digest, invocation, generation: 1, event };
            memory.outbox.insert(report.seq, report);
            done.notify_one();
        });
        Ok(())
    }

    /// What to say to an offer: a new order is begun, one that was seen is answered with what waits about it.
    fn offered(&self, offer: &Offer) -> anyhow::Result<Vec<Report>> {
        let envelope = Envelope::parse(&offer.order)?;
        let digest = envelope.digest();
        let order: Order = serde_json::from_slice(&envelope.payload)?;
        let member = orderly_signing::merkle::verify_target(&order.targets, &self.id, Digest::ZERO, &offer.proof);
        ensure!(member, "{} is not in the targets of the order that it is offered", self.id);
        let mut memory = lock(&self.memory);
        *memory.offered.entry(digest).or_default() += 1;
        if self.answer == Answer::Ignore {
            return Ok(Vec::new());
        }
        if memory.begun.contains_key(&digest) {
            return Ok(memory.outbox.values().filter(|report| report.order == digest).cloned().collect());
        }
        memory.begun.insert(digest, 1);
        let mut reports = Vec::new();
        if let Some(work) = self.work.as_ref().filter(|_| !matches!(order.action, Action::Stop { .. })) {
            self.work(&order, digest, work)?;
        }
        let mut events = vec![ReportEvent::Accepted { at_ms: now_ms() }];
        if self.answer == Answer::Succeed || matches!(order.action, Action::Stop { .. }) {
            events.push(ReportEvent::Finished(Box::new(self.finished(&order, digest)?)));
        }
        for event in events {
            memory.seq += 1;
            let invocation = Some(order.invocation.clone());
            let report = Report { seq: memory.seq, order: digest, invocation, generation: 1, event };
            memory.outbox.insert(report.seq, report.clone());
            reports.push(report);
        }
        Ok(reports)
    }

    fn finished(&self, order: &Order, digest: Digest) -> anyhow::Result<Finished> {
        let text = format!("done by {}\n", self.id).into_bytes();
        let mut receipt = receipt(&self.id, digest, &order.invocation, &text);
        if self.work.as_ref().is_some_and(|work| work.fails) {
            receipt.status = "Failed".to_owned();
            receipt.exit_code = Some(1);
        }
        let envelope = orderly_signing::sign::sign_receipt(&receipt, &self.key)?;
        let head = vec![Segment { stream: Stream::Stdout, data: text }];
        let output = KeptOutput { head, dropped_bytes: 0, tail: Vec::new() };
        Ok(Finished { receipt: envelope.to_json(), output, report: None })
    }
}

/// A receipt of a success with this output.
#[must_use]
pub fn receipt(instance: &InstanceId, order: Digest, invocation: &str, output: &[u8]) -> Receipt {
    let now = now_ms();
    Receipt {
        version: 1,
        order,
        invocation: invocation.to_owned(),
        instance: instance.clone(),
        generation: 1,
        series: None,
        status: "Success".to_owned(),
        code: None,
        reason: None,
        check: None,
        exit_code: Some(0),
        output: OutputDigest {
            sha256: Digest::of(output),
            bytes: output.len() as u64,
            stdout_bytes: output.len() as u64,
            stderr_bytes: 0,
        },
        report: None,
        started_ms: Some(now),
        finished_ms: now,
        used: Vec::new(),
        agent: "0.0.0".to_owned(),
    }
}
