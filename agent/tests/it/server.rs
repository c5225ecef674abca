//! A server that does what the test says: TLS with a CA of its own, enrolment, blobs and the agent link.
//!
//! Owns its listener. It verifies the proofs of agents as the real one does, and believes nothing else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use orderly_signing::digest::Digest;
use orderly_signing::key::PublicKey;
use orderly_signing::proof::link_message;
use orderly_wire::frame::{self, TO_SERVER_MAX};
use orderly_wire::http::agent::{Enrol, Enrolled, INSTANCE_PROOF_HEADER};
use orderly_wire::to_agent::{Ack, ToAgent, Welcome};
use orderly_wire::to_server::{Hello, Report, ToServer};
use orderly_wire::version::EXPORTER_LABEL;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the server has seen, and what it is told to do.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) keyring: Vec<u8>,
    pub(crate) enrolled: Option<PublicKey>,
    pub(crate) blobs: HashMap<String, Vec<u8>>,
    pub(crate) links: usize,
    pub(crate) hello: Option<Hello>,
    pub(crate) reports: Vec<Report>,
    pub(crate) live: Vec<ToServer>,
    /// What is said by method to whoever sends a file, whatever is sent.
    pub(crate) said: HashMap<http::Method, String>,
    /// Blobs are not given, and nothing is said of files, while this is set.
    pub(crate) hold: bool,
    /// Blobs and files that were asked for.
    pub(crate) asked: usize,
    /// Reports are not acknowledged while this is set.
    pub(crate) mute: bool,
    outgoing: Option<mpsc::UnboundedSender<ToAgent>>,
}

/// A running server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) ca: Digest,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (config, ca) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let server = Self { address, ca, state: Arc::default(), changed: Arc::default() };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (server, acceptor) = (accepting.clone(), acceptor.clone());
                tokio::spawn(async move {
                    // What goes wrong on a connection shows in what the test waits for.
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let exporter = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
                    let service = hyper::service::service_fn(move |request| {
                        let server = server.clone();
                        async move { Ok::<_, Infallible>(server.answer(request, exporter).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
                });
            }
        });
        server
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    /// Waits until `look` finds something.
    pub(crate) async fn until<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(&self.state.lock().unwrap()) {
                return found;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let state = self.state.lock().unwrap();
                panic!("waited in vain for {what}; links {}, reports {:?}", state.links, state.reports);
            }
        }
    }

    pub(crate) fn send(&self, frame: ToAgent) {
        self.with(|state| state.outgoing.as_ref().expect("a link").send(frame).expect("an open link"));
    }

    /// Cuts the link; the agent comes back.
    pub(crate) fn cut(&self) {
        self.with(|state| state.outgoing = None);
    }

    /// Cuts the link and waits for the next one.
    pub(crate) async fn relink(&self) {
        let links = self.with(|state| state.links);
        self.cut();
        self.until("a new link", |state| (state.links > links).then_some(())).await;
    }

    async fn answer(self, mut request: Request<Incoming>, exporter: [u8; 32]) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/agent/v1/enrol" => {
                let body = request.body_mut().collect().await.unwrap().to_bytes();
                self.enrol(&serde_json::from_slice(&body).unwrap(), &exporter)
            }
            "/agent/v1/link" => {
                let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let upgraded = TokioIo::new(upgrade.await.unwrap());
                    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
                    self.link(socket, exporter).await;
                });
                Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header("connection", "upgrade")
                    .header("upgrade", "websocket")
                    .header("sec-websocket-accept", derive_accept_key(&key))
                    .body(Full::default())
                    .unwrap()
            }
            path => {
                let proof = request.headers().get(INSTANCE_PROOF_HEADER).is_some();
                let digest = path.strip_prefix("/agent/v1/blobs/").unwrap_or_default();
                self.with(|state| state.asked += 1);
                self.until("blobs to be given", |state| (!state.hold).then_some(())).await;
                if path.starts_with("/agent/v1/files/") {
                    let said = self.with(|state| state.said.get(request.method()).cloned()).unwrap_or_default();
                    return Response::new(Full::new(said.into()));
                }
                match self.with(|state| state.blobs.get(digest).cloned()) {
                    Some(bytes) if proof => Response::new(Full::new(bytes.into())),
                    _ => problem(StatusCode::NOT_FOUND, "there is no such blob"),
                }
            }
        }
    }

    fn enrol(&self, enrol: &Enrol, exporter: &[u8; 32]) -> Response<Full<Bytes>> {
        let instance = orderly_signing::InstanceId::of(&enrol.key);
        let proof = enrol.proof.as_slice().try_into().unwrap();
        assert!(enrol.key.verify(&link_message("enrol", &instance, exporter), proof));
        if enrol.code != "right" {
            return problem(StatusCode::FORBIDDEN, "the activation code is wrong, used up or expired");
        }
        let keyring = self.with(|state| {
            state.enrolled = Some(enrol.key.clone());
            state.keyring.clone()
        });
        let enrolled = Enrolled { instance, name: "test".to_owned(), keyring };
        Response::new(Full::new(serde_json::to_vec(&enrolled).unwrap().into()))
    }

    async fn link<S>(self, mut socket: WebSocketStream<S>, exporter: [u8; 32])
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let Some(Ok(first)) = socket.next().await else { return };
        let ToServer::Hello(hello) = frame::decode(first.to_text().unwrap(), TO_SERVER_MAX).unwrap() else { panic!() };
        let key = self.with(|state| state.enrolled.clone()).expect("an enrolled agent");
        let proof = hello.proof.as_slice().try_into().unwrap();
        assert!(key.verify(&link_message("link", &hello.instance, &exporter), proof), "the link's proof");
        let welcome = ToAgent::Welcome(Welcome { version: 1, server_time_ms: 0, heartbeat_s: 30 });
        let _ = socket.send(Message::text(frame::encode(&welcome).unwrap())).await;
        let (sender, mut outgoing) = mpsc::unbounded_channel();
        self.with(|state| {
            state.links += 1;
            state.hello = Some(*hello);
            state.outgoing = Some(sender);
        });
        loop {
            let message = tokio::select! {
                frame = outgoing.recv() => match frame {
                    Some(frame) => {
                        let _ = socket.send(Message::text(frame::encode(&frame).unwrap())).await;
                        continue;
                    }
                    None => return,
                },
                message = socket.next() => message,
            };
            let Some(Ok(Message::Text(text))) = message else { return };
            match frame::decode(&text, TO_SERVER_MAX).unwrap() {
                ToServer::Report(report) => {
                    let seq = report.seq;
                    let mute = self.with(|state| {
                        state.reports.push(*report);
                        state.mute
                    });
                    if !mute {
                        let ack = frame::encode(&ToAgent::Ack(Ack { seq })).unwrap();
                        let _ = socket.send(Message::text(ack)).await;
                    }
                }
                ToServer::Hello(_) => panic!("a second hello"),
                live => self.with(|state| state.live.push(live)),
            }
        }
    }
}

fn problem(status: StatusCode, title: &str) -> Response<Full<Bytes>> {
    let body =
        format!(r#"{{"type":"urn:orderly:problem:x","status":{},"code":"x","title":"{title}"}}"#, status.as_u16());
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn tls() -> (rustls::ServerConfig, Digest) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone(), ca.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (config, Digest::of(ca.der()))
}
