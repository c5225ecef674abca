//! Agents that lie to a real server: forged receipts, receipts for other orders, claims to be someone else.
//!
//! What a server believes is what it can verify; a lie must not become a result, nor keep an honest agent from its own.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use orderly_signing::proof::link_message;
use orderly_signing::sign::sign_receipt;
use orderly_signing::{Digest, Envelope, InstanceId, SecretKey};
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::simulated::{self, Answer, Place, Simulated, open_link};
use orderly_tests::trust::new_key;
use orderly_tests::wait::SOON;
use orderly_tests::{api, tls};
use orderly_wire::frame;
use orderly_wire::to_agent::{Offer, ToAgent};
use orderly_wire::to_server::{Finished, KeptOutput, Report, ReportEvent, Segment, Stream, ToServer};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A link that a test speaks by hand.
struct Link {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    id: InstanceId,
    seq: u64,
}

impl Link {
    async fn open(place: &Place, agent: &Simulated) -> anyhow::Result<Self> {
        let prove = |exporter: &[u8; 32]| agent.key.sign(&link_message("link", &agent.id, exporter)).to_vec();
        let (socket, _) = open_link(place, &agent.id, prove).await?;
        Ok(Self { socket, id: agent.id.clone(), seq: 0 })
    }

    async fn next(&mut self) -> anyhow::Result<ToAgent> {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await?;
            match message.context("the server closed the link")?? {
                Message::Text(text) => return Ok(frame::decode(&text, frame::TO_AGENT_MAX)?),
                Message::Close(_) => anyhow::bail!("the server closed the link"),
                _ => {}
            }
        }
    }

    async fn offer(&mut self) -> anyhow::Result<Box<Offer>> {
        loop {
            if let ToAgent::Offer(offer) = self.next().await? {
                return Ok(offer);
            }
        }
    }

    async fn report(&mut self, offer: &Offer, event: ReportEvent) -> anyhow::Result<()> {
        self.seq += 1;
        let envelope = Envelope::parse(&offer.order)?;
        let invocation = Some(invocation_of(&envelope));
        let report = Report { seq: self.seq, order: envelope.digest(), invocation, generation: 1, event };
        let text = frame::encode(&ToServer::Report(Box::new(report)))?;
        Ok(self.socket.send(Message::text(text)).await?)
    }

    async fn acknowledged(&mut self, seq: u64) -> anyhow::Result<()> {
        loop {
            match self.next().await? {
                ToAgent::Ack(ack) if ack.seq >= seq => return Ok(()),
                _ => {}
            }
        }
    }

    /// A success about this order, signed by this key.
    fn success(&self, order: Digest, invocation: &str, key: &SecretKey) -> ReportEvent {
        let text = b"a lie, or not\n".to_vec();
        let receipt = simulated::receipt(&self.id, order, invocation, &text);
        let receipt = sign_receipt(&receipt, key).expect("a receipt within bounds").to_json();
        let head = vec![Segment { stream: Stream::Stdout, data: text }];
        let output = KeptOutput { head, dropped_bytes: 0, tail: Vec::new() };
        ReportEvent::Finished(Box::new(Finished { receipt, output, report: None }))
    }
}

fn invocation_of(envelope: &Envelope) -> String {
    let order: orderly_signing::order::Order = serde_json::from_slice(&envelope.payload).expect("an order");
    order.invocation
}

struct Scene {
    agent: Simulated,
    fleet: Fleet,
    place: Place,
}

impl Scene {
    fn set() -> Self {
        let fleet = Fleet::start();
        let place = Place { address: fleet.address, tls: tls::client_config(&fleet.ca_pem()) };
        let code = fleet.api.activation(4).code;
        let agent = fleet.runtime.block_on(Simulated::enrol(&place, &code, "liar")).unwrap();
        Self { agent, fleet, place }
    }

    fn invocation(&self) -> (String, Digest) {
        let request = Work::script("echo honest").deadline(3600);
        let request = request.signed(std::slice::from_ref(&self.agent.id), &self.fleet.trust.operator);
        let view = self.fleet.api.create(&request).unwrap();
        (view.id, view.order.parse().unwrap())
    }

    /// Tells a lie about the invocation's order: it must be told as what it is, and nothing of it may be kept.
    fn lie(&self, lie: impl AsyncFnOnce(&mut Link, &Offer) -> anyhow::Result<()>) {
        let (invocation, _) = self.invocation();
        let told: anyhow::Result<()> = self.fleet.runtime.block_on(async {
            let mut link = Link::open(&self.place, &self.agent).await?;
            let offer = link.offer().await?;
            lie(&mut link, &offer).await?;
            // Either the server says goodbye or it goes on; a heart-beat's answer is not needed to know which.
            tokio::time::timeout(Duration::from_secs(3), link.next()).await.ok();
            Ok(())
        });
        told.unwrap();
        let task = self.fleet.api.task(&invocation, &self.agent.id);
        assert_eq!(
            (task.view.status.as_str(), task.view.code.as_deref()),
            ("Error", Some("ReceiptRefused")),
            "the lie became a result: {:?}",
            task.view
        );
        assert!(task.receipt.is_none() && task.output.is_none(), "the lie was stored: {task:?}");
    }
}

#[test]
fn forged_receipt() {
    let scene = Scene::set();
    let forger = new_key();
    scene.lie(async |link, offer| {
        let envelope = Envelope::parse(&offer.order)?;
        let event = link.success(envelope.digest(), &invocation_of(&envelope), &forger);
        link.report(offer, event).await
    });
}

#[test]
fn receipt_for_another_order() {
    let scene = Scene::set();
    scene.lie(async |link, offer| {
        let envelope = Envelope::parse(&offer.order)?;
        let event = link.success(Digest::of(b"another order"), &invocation_of(&envelope), &scene.agent.key);
        link.report(offer, event).await
    });
}

#[test]
fn receipt_of_another_instance() {
    let scene = Scene::set();
    let code = scene.fleet.api.activation(1).code;
    let other = scene.fleet.runtime.block_on(Simulated::enrol(&scene.place, &code, "other")).unwrap();
    scene.lie(async |link, offer| {
        let envelope = Envelope::parse(&offer.order)?;
        link.id = other.id.clone();
        let event = link.success(envelope.digest(), &invocation_of(&envelope), &other.key);
        link.report(offer, event).await
    });
}

#[test]
fn instance_id_claimed_by_another_key() {
    let scene = Scene::set();
    let thief = new_key();
    let prove = |exporter: &[u8; 32]| thief.sign(&link_message("link", &scene.agent.id, exporter)).to_vec();
    let error = scene.fleet.runtime.block_on(open_link(&scene.place, &scene.agent.id, prove));
    assert!(format!("{:#}", error.unwrap_err()).contains("proof"));
    let stranger = InstanceId::of(thief.public());
    let prove = |exporter: &[u8; 32]| thief.sign(&link_message("link", &stranger, exporter)).to_vec();
    let error = scene.fleet.runtime.block_on(open_link(&scene.place, &stranger, prove));
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("unknown-instance") || text.contains("40"), "{text}");
}

#[test]
fn a_report_that_comes_twice_counts_once() {
    let scene = Scene::set();
    let (invocation, order) = scene.invocation();
    let said: anyhow::Result<()> = scene.fleet.runtime.block_on(async {
        let mut link = Link::open(&scene.place, &scene.agent).await?;
        let offer = link.offer().await?;
        link.report(&offer, ReportEvent::Accepted { at_ms: api::now_ms() }).await?;
        for _ in 0..2 {
            let event = link.success(order, &invocation, &scene.agent.key);
            link.report(&offer, event).await?;
            link.acknowledged(link.seq).await?;
        }
        // A resend with the very same number, and an old message after the end.
        link.seq -= 1;
        let event = link.success(order, &invocation, &scene.agent.key);
        link.report(&offer, event).await?;
        link.report(&offer, ReportEvent::Accepted { at_ms: api::now_ms() }).await?;
        link.acknowledged(link.seq).await
    });
    said.unwrap();
    assert_eq!(scene.fleet.api.task(&invocation, &scene.agent.id).view.status, "Success");
    assert_eq!(scene.fleet.api.invocation(&invocation).counts, [("Success".to_owned(), 1)].into());
}

#[test]
fn an_order_that_was_offered_and_not_accepted_is_offered_again() {
    let mut scene = Scene::set();
    let (invocation, order) = scene.invocation();
    let heard: anyhow::Result<()> = scene.fleet.runtime.block_on(async {
        Link::open(&scene.place, &scene.agent).await?.offer().await?;
        Ok(())
    });
    heard.unwrap();
    scene.agent.start(scene.fleet.runtime.handle(), &scene.place, Answer::Succeed);
    assert_eq!(scene.fleet.api.wait_end(&invocation, &scene.agent.id, SOON).view.status, "Success");
    assert_eq!(scene.agent.begun(&order), 1);
}

#[test]
fn a_newer_link_of_the_same_instance_replaces_the_older() {
    let scene = Scene::set();
    let told: anyhow::Result<ToAgent> = scene.fleet.runtime.block_on(async {
        let mut older = Link::open(&scene.place, &scene.agent).await?;
        let _newer = Link::open(&scene.place, &scene.agent).await?;
        older.next().await
    });
    assert!(matches!(told.unwrap(), ToAgent::Goodbye(goodbye) if goodbye.code == "replaced"));
}

#[test]
fn frames_that_are_none_end_the_link_and_nothing_else() {
    let scene = Scene::set();
    for bad in ["{}", "not json", "{\"type\":\"no-such-frame\"}"] {
        let ended: anyhow::Result<()> = scene.fleet.runtime.block_on(async {
            let mut link = Link::open(&scene.place, &scene.agent).await?;
            link.socket.send(Message::text(bad)).await?;
            while link.next().await.is_ok() {}
            Ok(())
        });
        ended.unwrap();
    }
    assert!(scene.fleet.runtime.block_on(Link::open(&scene.place, &scene.agent)).is_ok());
}
