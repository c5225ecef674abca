//! Simulated agents: a real link each, a real receipt for each order, and nothing run.
//!
//! Owns the links and what is counted over all of them. They do on this machine what thousands of others would do on theirs, and
//! no more than that: read the offer, see that it is for them, sign the receipt. A link that ends by itself ends the measurement.
//! Dropping them closes all links.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use orderly_signing::order::Order;
use orderly_signing::proof::link_message;
use orderly_signing::sign::sign_receipt;
use orderly_signing::{Digest, Envelope, InstanceId, SecretKey};
use orderly_tests::api::now_ms;
use orderly_tests::simulated::{Place, Socket, open_link, receipt};
use orderly_wire::frame;
use orderly_wire::to_agent::{Offer, ToAgent};
use orderly_wire::to_server::{Finished, KeptOutput, Report, ReportEvent, Segment, Stream, ToServer};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::Message;

use super::place::AT_ONCE;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Bytes of an echo: as many as the frame of a WebSocket's ping may have.
const ECHO: [u8; 125] = [b'e'; 125];

/// What is counted over all agents.
#[derive(Default)]
struct Counts {
    echoed: AtomicUsize,
    unacknowledged: AtomicUsize,
    ended: AtomicUsize,
    /// How often each order was begun, over all agents, and when the last of them had signed its receipt.
    begun: Mutex<HashMap<Digest, (usize, Option<Instant>)>>,
    failure: Mutex<Option<String>>,
}

/// All agents, linked.
pub(super) struct Agents {
    ids: Vec<InstanceId>,
    counts: Arc<Counts>,
    echo: watch::Sender<u64>,
    links: JoinSet<()>,
    runtime: Handle,
}

impl Agents {
    /// Links an agent for each key; answers when all are welcome.
    pub(super) fn link(runtime: &Runtime, place: &Place, keys: &[Arc<SecretKey>]) -> Result<Self> {
        let counts: Arc<Counts> = Arc::default();
        let (echo, echoes) = watch::channel(0);
        let opened = stream::iter(keys.iter().cloned())
            .map(|key| {
                let (place, counts, echoes) = (place.clone(), Arc::clone(&counts), echoes.clone());
                async move {
                    let id = InstanceId::of(key.public());
                    let prove = |exporter: &[u8; 32]| key.sign(&link_message("link", &id, exporter)).to_vec();
                    let (socket, heartbeat_s) = open_link(&place, &id, prove).await.context("a link was refused")?;
                    let every = Duration::from_secs(u64::from(heartbeat_s.max(1)));
                    let agent = Agent { id: id.clone(), key, seq: 0, counts };
                    anyhow::Ok((id, agent.run(socket, every, echoes)))
                }
            })
            .buffer_unordered(AT_ONCE);
        let (mut ids, mut links) = (Vec::with_capacity(keys.len()), JoinSet::new());
        runtime.block_on(async {
            let mut opened = std::pin::pin!(opened);
            while let Some(one) = opened.next().await {
                let (id, run) = one?;
                ids.push(id);
                links.spawn(ending(run, Arc::clone(&counts)));
            }
            anyhow::Ok(())
        })?;
        Ok(Self { ids, counts, echo, links, runtime: runtime.handle().clone() })
    }

    /// Their instance ids.
    pub(super) fn ids(&self) -> &[InstanceId] {
        &self.ids
    }

    /// Fails where a link has ended.
    pub(super) fn check(&self) -> Result<()> {
        let failure = self.counts.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match failure {
            Some(failure) => bail!("{} links ended: {failure}", self.counts.ended.load(Ordering::Relaxed)),
            None => Ok(()),
        }
    }

    /// Has every agent send a ping and answers how long it was until every pong was back.
    pub(super) fn echo(&self, within: Duration) -> Result<Duration> {
        self.counts.echoed.store(0, Ordering::Relaxed);
        let started = Instant::now();
        self.echo.send_modify(|number| *number += 1);
        self.wait("the echoes", within, || self.counts.echoed.load(Ordering::Relaxed) == self.ids.len())?;
        Ok(started.elapsed())
    }

    /// Waits until the server has acknowledged all reports.
    pub(super) fn all_acknowledged(&self, within: Duration) -> Result<()> {
        self.wait("the acknowledgements", within, || self.counts.unacknowledged.load(Ordering::Relaxed) == 0)
    }

    /// When the last agent had signed its receipt for this order, `sha256:…`; fails unless each agent began it, and once.
    pub(super) fn each_began_once(&self, order: &str) -> Result<Instant> {
        let order: Digest = order.parse().context("the order has no digest")?;
        let begun = self.counts.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&order);
        let (begun, last) = begun.unwrap_or_default();
        ensure!(begun == self.ids.len(), "{} agents began the order {begun} times", self.ids.len());
        last.context("nobody began the order")
    }

    fn wait(&self, what: &str, within: Duration, done: impl Fn() -> bool) -> Result<()> {
        let until = Instant::now() + within;
        while !done() {
            self.check()?;
            ensure!(Instant::now() < until, "{what} did not come within {} s", within.as_secs());
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.runtime.block_on(self.links.shutdown());
    }
}

/// Runs a link and notes its end, which nobody wants.
async fn ending(run: impl Future<Output = Result<()>>, counts: Arc<Counts>) {
    let end = match run.await {
        Ok(()) => "the server closed it".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    counts.ended.fetch_add(1, Ordering::Relaxed);
    counts.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
}

struct Agent {
    id: InstanceId,
    key: Arc<SecretKey>,
    /// The newest report.
    seq: u64,
    counts: Arc<Counts>,
}

impl Agent {
    async fn run(mut self, mut socket: Socket, every: Duration, mut echo: watch::Receiver<u64>) -> Result<()> {
        let mut beat = interval_at(tokio::time::Instant::now() + every, every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acknowledged = 0;
        loop {
            tokio::select! {
                message = socket.next() => match message.context("the link ended")?? {
                    Message::Text(text) => match frame::decode::<ToAgent>(&text, frame::TO_AGENT_MAX)? {
                        ToAgent::Offer(offer) => {
                            let reports = self.begin(&offer)?;
                            self.counts.unacknowledged.fetch_add(reports.len(), Ordering::Relaxed);
                            for report in reports {
                                socket.send(Message::text(frame::encode(&ToServer::Report(Box::new(report)))?)).await?;
                            }
                        }
                        ToAgent::Ack(ack) => {
                            let news = usize::try_from(ack.seq.saturating_sub(acknowledged)).unwrap_or(usize::MAX);
                            self.counts.unacknowledged.fetch_sub(news, Ordering::Relaxed);
                            acknowledged = ack.seq;
                        }
                        ToAgent::Welcome(_) | ToAgent::Keyring(_) => {}
                        ToAgent::Goodbye(goodbye) => bail!("goodbye: {}: {}", goodbye.code, goodbye.reason),
                    },
                    Message::Pong(_) => {
                        self.counts.echoed.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {}
                },
                _ = beat.tick() => socket.send(Message::text(frame::encode(&ToServer::Heartbeat)?)).await?,
                changed = echo.changed() => {
                    changed.context("nobody asks any more")?;
                    socket.send(Message::Ping(ECHO.as_slice().into())).await?;
                }
            }
        }
    }

    /// Accepts and ends at once with success.
    fn begin(&mut self, offer: &Offer) -> Result<Vec<Report>> {
        let envelope = Envelope::parse(&offer.order)?;
        let digest = envelope.digest();
        let order: Order = serde_json::from_slice(&envelope.payload)?;
        let member = orderly_signing::merkle::verify_target(&order.targets, &self.id, Digest::ZERO, &offer.proof);
        ensure!(member, "{} is not in the targets of the order that it is offered", self.id);
        let text = format!("done by {}\n", self.id).into_bytes();
        let receipt = sign_receipt(&receipt(&self.id, digest, &order.invocation, &text), &self.key)?.to_json();
        {
            let mut begun = self.counts.begun.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, last) = begun.entry(digest).or_default();
            *count += 1;
            *last = Some(Instant::now());
        }
        let head = vec![Segment { stream: Stream::Stdout, data: text }];
        let output = KeptOutput { head, dropped_bytes: 0, tail: Vec::new() };
        let events = [
            ReportEvent::Accepted { at_ms: now_ms() },
            ReportEvent::Finished(Box::new(Finished { receipt, output, report: None })),
        ];
        let reports = events.into_iter().map(|event| {
            self.seq += 1;
            Report { seq: self.seq, order: digest, invocation: Some(order.invocation.clone()), generation: 1, event }
        });
        Ok(reports.collect())
    }
}
