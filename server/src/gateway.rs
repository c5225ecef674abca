//! The one port: TLS, then HTTP/1.1 with WebSocket upgrades, for people, programs and agents alike.
//!
//! Owns the accept loop and a task per connection, with a cap, a time for the handshake, one for the head of a request and a pace for its body. Never looks into a
//! request. Stops by no longer accepting and letting open requests end.

mod certificate;
mod linger;
mod paced;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use orderly_wire::version::EXPORTER_LABEL;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::{debug, error, warn};

use crate::api::{PeerConnection, Room};
use crate::keys::{KeyError, Keys};
use crate::shutdown::Phase;

use certificate::Current;
use linger::Lingering;
use paced::{PACE, Paced};

/// Connections at the same time: agents' links and the API's together.
const CONNECTIONS_MAX: usize = 65_536;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the head of a request may take, an idle connection included.
const HEAD: Duration = Duration::from_secs(30);

/// Bytes that a connection buffers of a request's head.
const HEAD_BYTES: usize = 64 * 1024;

/// How long to wait after the system could not give a connection, as when descriptors run out.
const PAUSE: Duration = Duration::from_millis(100);

/// TLS 1.3 with the server's chain, renewed while the server runs by way of `open`; the authority is part of the chain, so that
/// agents can pin it.
///
/// # Errors
/// Where the key does not fit the certificate.
pub fn tls(
    keys: &Keys,
    phase: &Phase,
    open: impl Fn() -> Result<Keys, KeyError> + Send + Sync + 'static,
) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let current = Arc::new(Current::new(keys, Arc::clone(&provider))?);
    certificate::renew(Arc::clone(&current), phase, open);
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets would be kept for each of thousands of links that live for weeks.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Starts the accept loop in `phase`.
pub fn spawn(listener: TcpListener, tls: TlsAcceptor, router: Router, phase: &Phase) {
    let connections = phase.clone();
    phase.spawn("accept", async move {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let stop = connections.token();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((socket, address)) => {
                    let (tls, router) = (tls.clone(), router.clone());
                    let phase = connections.clone();
                    connections.spawn("connection", connection(socket, address, tls, router, phase, permit));
                }
                Err(failure) => {
                    warn!(error = %failure, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
}

async fn connection(
    socket: TcpStream,
    address: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
    phase: Phase,
    permit: OwnedSemaphorePermit,
) {
    let stop = phase.token();
    // Small frames must not wait for each other.
    let _ = socket.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(socket));
    let stream = tokio::select! {
        () = stop.cancelled() => return,
        stream = handshake => match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(failure)) => {
                debug!(peer = %address, error = %failure, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                debug!(peer = %address, "a TLS handshake took too long");
                return;
            }
        },
    };
    let exporter = match stream.get_ref().1.export_keying_material([0_u8; 32], EXPORTER_LABEL, None) {
        Ok(exporter) => exporter,
        Err(failure) => {
            error!(peer = %address, error = %failure, "a connection has no exporter");
            return;
        }
    };
    let peer = PeerConnection { address, exporter };
    let room = Room(Arc::new(permit));
    let service = service_fn(move |request| answer(router.clone(), peer, request, room.clone(), phase.clone()));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.as_mut().await
        }
    };
    if let Err(failure) = ended {
        debug!(peer = %address, error = %failure, "a connection ended early");
    }
}

/// Answers one request; a panic of a handler becomes an answer and a line in the log.
async fn answer(
    router: Router,
    peer: PeerConnection,
    mut request: Request<Incoming>,
    room: Room,
    phase: Phase,
) -> Result<Response<Body>, std::convert::Infallible> {
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(room);
    let path = request.uri().path().to_owned();
    let handled =
        AssertUnwindSafe(router.oneshot(request.map(|body| Body::new(Paced::new(Lingering::new(body, phase), PACE)))))
            .catch_unwind()
            .await;
    Ok(match handled {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            error!(path, "a handler panicked");
            panicked().into_response()
        }
    })
}

fn panicked() -> (StatusCode, [(&'static str, &'static str); 1], &'static str) {
    let body = r#"{"type":"urn:orderly:problem:internal","status":500,"code":"internal","title":"the server failed to answer","hint":"the server's log says more"}"#;
    (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", orderly_wire::http::problem::PROBLEM_JSON)], body)
}
