//! The loop of one link: hello, then orders out and reports in, until one end goes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use orderly_signing::instance::InstanceId;
use orderly_signing::keyring::Keyring;
use orderly_signing::verify::Verified;
use orderly_wire::frame::{self, TO_SERVER_MAX};
use orderly_wire::http::event::InvocationEvent;
use orderly_wire::to_agent::{Ack, Goodbye, KeyringUpdate, ToAgent, Welcome};
use orderly_wire::to_server::{Output, Progress, ToServer};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::hello::{self, Proven};
use super::{Link, Links, Presence};
use crate::clock;
use crate::intake::Intake;
use crate::live::Hub;
use crate::offer::{Offers, Prepared};
use crate::store::Store;
use crate::store::row::{OrderHead, OrderKey, Seen};

/// How often an agent says that it is there, in seconds.
const HEARTBEAT_S: u32 = 30;

/// How long a link may be silent: two heart-beats may be lost.
const SILENCE: Duration = Duration::from_secs(HEARTBEAT_S as u64 * 3);

/// How long the first frame may take.
const HELLO: Duration = Duration::from_secs(10);

/// How long the other end may take to take a frame.
const SEND: Duration = Duration::from_secs(30);

/// Orders read from the store at once.
const PAGE: i64 = 64;

/// Invocations of an instance that its link remembers, so that live output asks the store seldom.
const OWN: usize = 64;

/// What a link works with.
#[derive(Debug, Clone)]
pub struct LinkDeps {
    /// The store.
    pub store: Store,
    /// All links.
    pub links: Links,
    /// Signs of life.
    pub presence: Presence,
    /// Reports.
    pub intake: Intake,
    /// Live views.
    pub hub: Hub,
    /// Orders to offer.
    pub offers: Offers,
    /// The keyring in force.
    pub keyring: watch::Receiver<Option<Arc<Verified<Keyring>>>>,
    /// Tells links to end.
    pub stop: CancellationToken,
}

/// Why a link ends.
#[derive(Debug)]
enum Ending {
    /// The other end has gone.
    Gone,
    /// This end ends it, with a word.
    Goodbye(&'static str, String),
}

/// Runs a link until it ends. `exporter` is that of its TLS connection.
pub async fn run(mut socket: WebSocket, exporter: [u8; 32], deps: LinkDeps) {
    let ending = match open(&mut socket, &exporter, &deps).await {
        Ok(proven) => {
            let (link, orders) = deps.links.enter(proven.reporter.instance);
            info!(instance.id = %proven.uid, "linked");
            let mut session =
                Session { deps: &deps, proven, link, sent: 0, acked: 0, rolled: VecDeque::new(), own: VecDeque::new() };
            let ending = session.run(&mut socket, orders).await;
            deps.links.leave(session.proven.reporter.instance, &session.link);
            session.seen();
            info!(instance.id = %session.proven.uid, ending = ?ending, "link ended");
            ending
        }
        Err(ending) => {
            debug!(ending = ?ending, "a link was not opened");
            ending
        }
    };
    if let Ending::Goodbye(code, reason) = ending {
        let goodbye = ToAgent::Goodbye(Goodbye { code: code.to_owned(), reason });
        if send(&mut socket, &goodbye).await.is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(1), socket.send(Message::Close(None))).await;
        }
    }
}

async fn send(socket: &mut WebSocket, frame: &ToAgent) -> Result<(), Ending> {
    let text = frame::encode(frame).map_err(|error| Ending::Goodbye("stopping", error.to_string()))?;
    match tokio::time::timeout(SEND, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Gone),
        Err(_) => Err(Ending::Goodbye("slow", format!("a frame was not taken within {} s", SEND.as_secs()))),
    }
}

/// The text of the next frame; `None` for what is not one.
fn text(message: Option<Result<Message, axum::Error>>) -> Result<Option<String>, Ending> {
    match message {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Ending::Goodbye("frame", "a frame is a text message".to_owned())),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Ending::Gone),
    }
}

fn decode(text: &str) -> Result<ToServer, Ending> {
    frame::decode(text, TO_SERVER_MAX).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        warn!(error = %error, cause, "a frame could not be read");
        Ending::Goodbye("frame", format!("{error}{cause}"))
    })
}

async fn open(socket: &mut WebSocket, exporter: &[u8; 32], deps: &LinkDeps) -> Result<Proven, Ending> {
    let late = |_| Ending::Goodbye("frame", "no hello came".to_owned());
    let first = tokio::time::timeout(HELLO, socket.recv()).await.map_err(late)?;
    let Some(ToServer::Hello(hello)) = text(first)?.map(|text| decode(&text)).transpose()? else {
        return Err(Ending::Goodbye("frame", "the first frame is a hello".to_owned()));
    };
    let uid = hello.instance.clone();
    let proven = hello::check(&deps.store, exporter, *hello).await.map_err(|error| {
        warn!(instance.id = %uid, error = %error, "a link was refused");
        Ending::Goodbye(error.code(), error.to_string())
    })?;
    if let Some(facts) = &proven.new_facts
        && let Err(error) = deps.store.set_facts(proven.reporter.instance, facts.clone()).await
    {
        warn!(instance.id = %uid, error = ?error, "new facts could not be stored");
    }
    let welcome = Welcome { version: proven.version, server_time_ms: clock::now_ms(), heartbeat_s: HEARTBEAT_S };
    send(socket, &ToAgent::Welcome(welcome)).await?;
    Ok(proven)
}

struct Session<'a> {
    deps: &'a LinkDeps,
    proven: Proven,
    link: Arc<Link>,
    /// The newest order that was offered on this link. Keys grow, and offers go out in their order.
    sent: OrderKey,
    /// The orders of rollouts that were offered on this link, the newest last; at most [`OWN`]. They go out when their turn comes, not
    /// in the order of their keys. One that was forgotten may be offered again, which changes nothing.
    rolled: VecDeque<OrderKey>,
    acked: u64,
    /// Invocations that are known to be for this instance, the newest last; at most [`OWN`].
    own: VecDeque<String>,
}

impl Session<'_> {
    async fn run(&mut self, socket: &mut WebSocket, mut orders: mpsc::Receiver<Arc<Prepared>>) -> Ending {
        let mut keyring = self.deps.keyring.clone();
        keyring.mark_changed();
        self.seen();
        let silence = tokio::time::sleep(SILENCE);
        tokio::pin!(silence);
        loop {
            if let Err(ending) = self.due(socket, &mut keyring).await {
                return ending;
            }
            let step = tokio::select! {
                () = self.deps.stop.cancelled() => Err(Ending::Goodbye("stopping", "the server stops".to_owned())),
                () = self.link.replaced.cancelled() => {
                    Err(Ending::Goodbye("replaced", "another link of this instance was opened".to_owned()))
                }
                () = &mut silence => {
                    Err(Ending::Goodbye("slow", format!("nothing was heard for {} s", SILENCE.as_secs())))
                }
                () = self.link.acks.look.notified() => Ok(()),
                changed = keyring.changed() => {
                    keyring.mark_changed();
                    changed.map_err(|_| Ending::Goodbye("stopping", "the server stops".to_owned()))
                }
                order = orders.recv() => match order {
                    Some(order) => self.offer(socket, &order).await,
                    None => Err(Ending::Gone),
                },
                message = socket.recv() => {
                    silence.as_mut().reset(Instant::now() + SILENCE);
                    match text(message) {
                        Ok(Some(text)) => self.hear(&text).await,
                        Ok(None) => Ok(()),
                        Err(ending) => Err(ending),
                    }
                }
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    /// Sends what is due, read from where it is: acknowledgements, a newer keyring, open orders.
    async fn due(
        &mut self,
        socket: &mut WebSocket,
        keyring: &mut watch::Receiver<Option<Arc<Verified<Keyring>>>>,
    ) -> Result<(), Ending> {
        let safe = self.link.acks.safe();
        if safe > self.acked {
            send(socket, &ToAgent::Ack(Ack { seq: safe })).await?;
            self.acked = safe;
        }
        if keyring.has_changed().unwrap_or(false) {
            let newest = keyring.borrow_and_update().clone();
            if let Some(newest) = newest.filter(|newest| newest.revision > self.proven.keyring_revision) {
                let update = KeyringUpdate { keyring: newest.envelope_json().to_vec() };
                send(socket, &ToAgent::Keyring(update)).await?;
                self.proven.keyring_revision = newest.revision;
            }
        }
        while self.link.behind.swap(false, Ordering::AcqRel) {
            self.catch_up(socket).await?;
        }
        Ok(())
    }

    /// Offers all that waits for this instance in the store.
    async fn catch_up(&mut self, socket: &mut WebSocket) -> Result<(), Ending> {
        let failed = |error: &dyn std::error::Error| {
            warn!(error = %error, "open orders could not be read");
            Ending::Goodbye("stopping", "open orders could not be read; link again".to_owned())
        };
        // From the start: what a rollout released may be older than what was sent.
        let mut after = 0;
        loop {
            let instance = self.proven.reporter.instance;
            let heads = self.deps.store.deliveries_to(instance, after, PAGE).await.map_err(|error| failed(&error))?;
            if heads.is_empty() {
                return Ok(());
            }
            for head in heads {
                after = head.key;
                if self.is_new(&head) && head.expires_ms > clock::now_ms() {
                    let prepared = self.deps.offers.prepared(head.key).await.map_err(|error| failed(&error))?;
                    self.send_offer(socket, &prepared).await?;
                }
            }
        }
    }

    /// Notes an order as offered; false where it was offered on this link before.
    fn is_new(&mut self, head: &OrderHead) -> bool {
        if !head.rolled {
            let new = head.key > self.sent;
            self.sent = self.sent.max(head.key);
            return new;
        }
        let new = !self.rolled.contains(&head.key);
        if new {
            if self.rolled.len() >= OWN {
                self.rolled.pop_front();
            }
            self.rolled.push_back(head.key);
        }
        new
    }

    /// Offers an order of the outbox, unless it went out already.
    async fn offer(&mut self, socket: &mut WebSocket, order: &Prepared) -> Result<(), Ending> {
        // Where the outbox was full once, older ones wait in the store; they go first.
        if self.link.behind.load(Ordering::Acquire) || !self.is_new(&order.body.head) {
            return Ok(());
        }
        self.send_offer(socket, order).await
    }

    async fn send_offer(&mut self, socket: &mut WebSocket, order: &Prepared) -> Result<(), Ending> {
        let Some(mut offer) = order.offer(&self.proven.uid) else {
            warn!(instance.id = %self.proven.uid, order.key = order.body.head.key, "an order waits for an instance that is not its target");
            return Ok(());
        };
        if order.has_values() {
            offer.built_ins = self.built_ins().await?;
        }
        self.remember(&order.body.invocation);
        send(socket, &ToAgent::Offer(Box::new(offer))).await
    }

    /// What this server knows of the instance: its name and tags, the fleet as the account, and the tag `region` as the region.
    async fn built_ins(&self) -> Result<BTreeMap<String, String>, Ending> {
        let row = self.deps.store.instance(&self.proven.uid).await.map_err(|error| {
            warn!(error = %error, "what is known of an instance could not be read");
            Ending::Goodbye("stopping", "what is known of the instance could not be read; link again".to_owned())
        })?;
        let Some(row) = row else { return Ok(BTreeMap::new()) };
        let fleet = self.deps.keyring.borrow().as_ref().map(|keyring| keyring.fleet.clone());
        let mut known = BTreeMap::from([("InstanceName".to_owned(), row.name)]);
        known.extend(fleet.map(|fleet| ("AccountId".to_owned(), fleet)));
        known.extend(row.tags.get("region").map(|region| ("RegionId".to_owned(), region.clone())));
        known.extend(row.tags.into_iter().map(|(key, value)| (format!("Tag::{key}"), value)));
        Ok(known)
    }

    fn remember(&mut self, invocation: &str) {
        if self.own.len() >= OWN {
            self.own.pop_front();
        }
        self.own.push_back(invocation.to_owned());
    }

    /// Shows something live to whoever looks at an invocation. An instance has its say in its own invocations only: what others
    /// read must not be an instance's to write.
    async fn show(
        &mut self,
        invocation: &str,
        event: impl FnOnce(InstanceId) -> InvocationEvent,
    ) -> Result<(), Ending> {
        if !self.deps.hub.heard(invocation) {
            return Ok(());
        }
        if !self.own.iter().any(|own| own == invocation) {
            match self.deps.store.is_target(invocation, self.proven.reporter.instance).await {
                Ok(true) => self.remember(invocation),
                Ok(false) => {
                    warn!(instance.id = %self.proven.uid, invocation.id = invocation, "live output of an invocation that is not for this instance");
                    return Err(Ending::Goodbye("frame", "the invocation is not for this instance".to_owned()));
                }
                // It is lossy, and the link is worth more.
                Err(error) => {
                    warn!(error = ?error, "live output was dropped");
                    return Ok(());
                }
            }
        }
        self.deps.hub.tell(invocation, || event(self.proven.uid.clone()));
        Ok(())
    }

    /// Takes one frame.
    async fn hear(&mut self, text: &str) -> Result<(), Ending> {
        match decode(text)? {
            ToServer::Heartbeat => self.seen(),
            ToServer::Report(report) => {
                let told = self.deps.intake.report(&self.proven.reporter, *report, text.len(), &self.link.acks).await;
                told.map_err(|error| Ending::Goodbye("stopping", error.to_string()))?;
            }
            ToServer::Output(Output { invocation, offset, segments, .. }) => {
                self.show(&invocation, |instance| InvocationEvent::Output { instance, offset, segments }).await?;
            }
            ToServer::Progress(Progress { invocation, done, total, message, .. }) => {
                self.show(&invocation, |instance| InvocationEvent::Progress { instance, done, total, message }).await?;
            }
            ToServer::Hello(_) => return Err(Ending::Goodbye("frame", "a second hello".to_owned())),
        }
        Ok(())
    }

    fn seen(&self) {
        let now_ms = clock::now_ms();
        self.link.heard_ms.store(now_ms, Ordering::Relaxed);
        self.deps.presence.note(Seen {
            instance: self.proven.reporter.instance,
            at_ms: now_ms,
            boot_id: self.proven.boot_id.clone(),
            keyring_revision: i64::try_from(self.proven.keyring_revision).unwrap_or(i64::MAX),
        });
    }
}
