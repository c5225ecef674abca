//! An agent that speaks and runs nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use orderly_model::instance::{Facts, Platform, Sandbox};
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::order::Order;
use orderly_signing::proof::link_message;
use orderly_signing::receipt::{OutputDigest, Receipt};
use orderly_signing::sign;
use orderly_wire::frame;
use orderly_wire::http::agent::{Enrol, Enrolled};
use orderly_wire::to_agent::{Offer, ToAgent};
use orderly_wire::to_server::{Finished, Hello, KeptOutput, Report, ReportEvent, Segment, Stream, ToServer};
use orderly_wire::version::EXPORTER_LABEL;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::fleet::key;
use super::{Server, WAIT};
use crate::clock;

pub(crate) fn facts(name: &str) -> Facts {
    Facts {
        hostname: name.to_owned(),
        architecture: "x86_64".to_owned(),
        system: Platform::Linux,
        kernel: "6.1".to_owned(),
        os_release: vec![("ID".to_owned(), "debian".to_owned())],
        agent_version: "0.1.0".to_owned(),
        wit: vec!["orderly:plugin@0.1.0".to_owned()],
        sandbox: Sandbox::default(),
    }
}

async fn connect(server: &Server) -> (TlsStream<TcpStream>, [u8; 32]) {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::clone(&server.tls)).connect(name, socket).await.unwrap();
    let exporter = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
    (stream, exporter)
}

/// Sends one plain request over a connection of its own; `make` gets the connection's exporter.
pub(crate) async fn exchange(server: &Server, make: impl FnOnce(&[u8; 32]) -> Vec<u8>) -> (u16, Vec<u8>) {
    let (mut stream, exporter) = connect(server).await;
    stream.write_all(&make(&exporter)).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

/// An enrolled instance.
pub(crate) struct Agent {
    pub(crate) key: SecretKey,
    pub(crate) id: InstanceId,
}

impl Agent {
    pub(crate) fn new() -> Self {
        let key = key();
        let id = InstanceId::of(key.public());
        Self { key, id }
    }

    /// Asks to enrol; `purpose` is what the proof is made for.
    pub(crate) async fn enrol(&self, server: &Server, code: &str, purpose: &str) -> (u16, Vec<u8>) {
        self.enrol_under(server, code, purpose, None).await
    }

    /// The same, with the root that the agent was told.
    pub(crate) async fn enrol_under(
        &self,
        server: &Server,
        code: &str,
        purpose: &str,
        root: Option<Digest>,
    ) -> (u16, Vec<u8>) {
        exchange(server, |exporter| {
            let body = Enrol {
                code: code.to_owned(),
                key: self.key.public().clone(),
                root,
                name: None,
                facts: facts("web-1"),
                proof: self.key.sign(&link_message(purpose, &self.id, exporter)).to_vec(),
            };
            let body = serde_json::to_string(&body).unwrap();
            let length = body.len();
            format!(
                "POST /agent/v1/enrol HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .into_bytes()
        })
        .await
    }

    /// A new instance, enrolled with a code of its own.
    pub(crate) async fn enrolled(server: &Server) -> Self {
        let body = serde_json::json!({ "tags": { "env": "test" } });
        let created: orderly_wire::http::activation::CreatedActivation =
            server.json(reqwest::Method::POST, "/v1/activations", &body).await;
        let agent = Self::new();
        let (status, body) = agent.enrol(server, &created.code, "enrol").await;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let enrolled: Enrolled = serde_json::from_slice(&body).unwrap();
        assert_eq!(enrolled.instance, agent.id);
        agent
    }

    /// Fetches a blob.
    pub(crate) async fn blob(&self, server: &Server, digest: &Digest) -> (u16, Vec<u8>) {
        use base64::Engine as _;
        exchange(server, |exporter| {
            let proof = self.key.sign(&link_message("blob", &self.id, exporter));
            let proof = base64::engine::general_purpose::STANDARD.encode(proof);
            let id = &self.id;
            format!(
                "GET /agent/v1/blobs/{digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norderly-instance: {id} {proof}\r\n\r\n"
            )
            .into_bytes()
        })
        .await
    }

    /// Opens a link and sends the hello.
    pub(crate) async fn knock(&self, server: &Server, bend: impl FnOnce(&mut Hello, &[u8; 32])) -> Link {
        let (stream, exporter) = connect(server).await;
        let url = format!("wss://{}/agent/v1/link", server.address);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut hello = Hello {
            oldest: 1,
            newest: 1,
            instance: self.id.clone(),
            proof: self.key.sign(&link_message("link", &self.id, &exporter)).to_vec(),
            facts: facts("web-1"),
            boot_id: "boot".to_owned(),
            keyring_revision: 1,
        };
        bend(&mut hello, &exporter);
        let mut link = Link { socket, seq: 0 };
        link.send(&ToServer::Hello(Box::new(hello))).await;
        link
    }

    /// Opens a link up to the welcome.
    pub(crate) async fn link(&self, server: &Server) -> Link {
        let mut link = self.knock(server, |_, _| {}).await;
        match link.next().await {
            Some(ToAgent::Welcome(_)) => link,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// The end of a task, with a receipt that is signed as `bend` left it.
    pub(crate) fn finished(&self, offer: &Offer, output: &str, bend: impl FnOnce(&mut Receipt)) -> ReportEvent {
        let (digest, order) = read(offer);
        let bytes = output.len() as u64;
        let mut receipt = Receipt {
            version: 1,
            order: digest,
            invocation: order.invocation,
            instance: self.id.clone(),
            generation: 1,
            series: None,
            status: "Success".to_owned(),
            code: None,
            reason: None,
            check: None,
            exit_code: Some(0),
            output: OutputDigest { sha256: Digest::of(output.as_bytes()), bytes, stdout_bytes: bytes, stderr_bytes: 0 },
            report: None,
            started_ms: Some(clock::now_ms()),
            finished_ms: clock::now_ms(),
            used: Vec::new(),
            agent: "0.1.0".to_owned(),
        };
        bend(&mut receipt);
        let segment = Segment { stream: Stream::Stdout, data: output.as_bytes().to_vec() };
        ReportEvent::Finished(Box::new(Finished {
            receipt: sign::sign_receipt(&receipt, &self.key).unwrap().to_json(),
            output: KeptOutput { head: vec![segment], dropped_bytes: 0, tail: Vec::new() },
            report: None,
        }))
    }
}

/// The digest and the content of an offered order.
pub(crate) fn read(offer: &Offer) -> (Digest, Order) {
    let envelope = orderly_signing::envelope::Envelope::parse(&offer.order).unwrap();
    (envelope.digest(), serde_json::from_slice(&envelope.payload).unwrap())
}

/// An open link.
pub(crate) struct Link {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    seq: u64,
}

impl Link {
    pub(crate) async fn send(&mut self, frame: &ToServer) {
        self.socket.send(Message::text(frame::encode(frame).unwrap())).await.unwrap();
    }

    /// The next frame; `None` where the server closed.
    pub(crate) async fn next(&mut self) -> Option<ToAgent> {
        loop {
            let message = tokio::time::timeout(WAIT, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Some(frame::decode(&text, frame::TO_AGENT_MAX).unwrap());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub(crate) async fn offer(&mut self) -> Offer {
        match self.next().await {
            Some(ToAgent::Offer(offer)) => *offer,
            other => panic!("no offer but {other:?}"),
        }
    }

    /// Reports an event with the next sequence number, which it answers.
    pub(crate) async fn report(&mut self, offer: &Offer, event: ReportEvent) -> u64 {
        self.seq += 1;
        self.report_as(self.seq, offer, event).await;
        self.seq
    }

    pub(crate) async fn report_as(&mut self, seq: u64, offer: &Offer, event: ReportEvent) {
        let (order, read) = read(offer);
        let report = Report { seq, order, invocation: Some(read.invocation), generation: 1, event };
        self.send(&ToServer::Report(Box::new(report))).await;
    }

    /// Waits until everything up to `seq` is acknowledged; other frames must not come.
    pub(crate) async fn acknowledged(&mut self, seq: u64) {
        loop {
            match self.next().await {
                Some(ToAgent::Ack(ack)) if ack.seq >= seq => return,
                Some(ToAgent::Ack(_)) => {}
                other => panic!("no acknowledgement but {other:?}"),
            }
        }
    }

    pub(crate) async fn goodbye(&mut self) -> String {
        match self.next().await {
            Some(ToAgent::Goodbye(goodbye)) => goodbye.code,
            other => panic!("no goodbye but {other:?}"),
        }
    }
}
