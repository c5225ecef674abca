//! `http`: sending a granted request for the guest.
//!
//! Owns the whole way out: the request line and headers are built anew, the name is resolved here, every address that it
//! resolves to is checked, and the connection goes to a checked address with the name in SNI and `Host`. Redirects are
//! handed back, never followed. Bodies and times are bounded.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use orderly_model::capability::{HttpTarget, Scheme};
use orderly_model::grant::Grants;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::address::is_public;
use crate::capability::http::REQUEST_BODY_MAX_BYTES;
use crate::frame::{Bytes, CHUNK_MAX_BYTES, HttpRefusal, HttpRequest, Reply};

/// Most bytes of a response's body.
const BODY_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Most responses of one run whose bodies are being read at once.
const RESPONSES_MAX: usize = 64;
/// Most requests of one run that wait for their response's head at once: each holds its body in this process.
const REQUESTS_AT_ONCE_MAX: usize = 16;
/// Most bytes that are buffered of one connection, a response's head among them.
const BUFFER_MAX_BYTES: usize = 64 * 1024;
/// Most headers of a request.
const HEADERS_MAX: usize = 64;
/// Most bytes of a request's URL.
const URL_MAX_BYTES: usize = 8 * 1024;
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const HEAD_WITHIN: Duration = Duration::from_secs(60);
const CHUNK_WITHIN: Duration = Duration::from_secs(30);

/// Headers that are the sender's, or that steer the connection instead of the request.
const FORBIDDEN: &[&str] = &[
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The responses of one run whose bodies are not at their end, and the requests that have none yet.
pub(super) struct Responses {
    open: Mutex<Open>,
    tls: OnceLock<TlsConnector>,
    requests: Semaphore,
}

impl Default for Responses {
    fn default() -> Self {
        Self { open: Mutex::default(), tls: OnceLock::new(), requests: Semaphore::new(REQUESTS_AT_ONCE_MAX) }
    }
}

#[derive(Default)]
struct Open {
    next: u32,
    bodies: HashMap<u32, Arc<tokio::sync::Mutex<Body>>>,
}

struct Body {
    incoming: Incoming,
    /// What of the last frame did not fit into a chunk.
    rest: bytes::Bytes,
    left: u64,
    connection: AbortHandle,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Responses {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, body: Body) -> Option<u32> {
        let mut open = self.open();
        if open.bodies.len() >= RESPONSES_MAX {
            return None;
        }
        open.next += 1;
        let number = open.next;
        open.bodies.insert(number, Arc::new(tokio::sync::Mutex::new(body)));
        Some(number)
    }

    pub(super) fn close(&self, number: u32) {
        self.open().bodies.remove(&number);
    }

    /// The connector with the machine's own certificate authorities, read once.
    fn tls(&self) -> Result<TlsConnector, HttpRefusal> {
        if let Some(connector) = self.tls.get() {
            return Ok(connector.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpRefusal::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(config))).clone())
    }
}

/// Sends a request and waits for the response's head.
pub(super) async fn send(grants: &Grants, responses: &Responses, request: HttpRequest) -> Reply {
    match try_send(grants, responses, request).await {
        Ok(reply) => reply,
        Err(refusal) => Reply::HttpRefused(refusal),
    }
}

/// Where a request goes, parsed once and used for the grant, the connection and the request line alike.
struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
    path: String,
}

async fn try_send(grants: &Grants, responses: &Responses, request: HttpRequest) -> Result<Reply, HttpRefusal> {
    // Not waited for: a request that waits would hold its body too.
    let too_many = |_| HttpRefusal::Protocol("too many requests wait for their responses".to_owned());
    let _one = responses.requests.try_acquire().map_err(too_many)?;
    let target = parse(&request.url)?;
    let method = request.method.parse().map_err(|_| HttpRefusal::Denied)?;
    let asked = HttpTarget { scheme: target.scheme, host: &target.host, port: target.port, method };
    let rule = grants.capabilities().allows_http(&asked).ok_or(HttpRefusal::Denied)?;
    let within = request.timeout_ms.map_or(HEAD_WITHIN, |asked| Duration::from_millis(asked.max(1)).min(HEAD_WITHIN));
    let built = build(&target, request)?;

    let address = resolve(&target, rule.private).await?;
    let tcp = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await;
    let tcp = tcp.map_err(|_| HttpRefusal::TimedOut)?.map_err(|_| HttpRefusal::Refused)?;
    let exchange = async {
        match target.scheme {
            Scheme::Http => exchange(tcp, built).await,
            Scheme::Https => {
                let name =
                    ServerName::try_from(target.host.clone()).map_err(|error| HttpRefusal::Tls(error.to_string()))?;
                let tls =
                    responses.tls()?.connect(name, tcp).await.map_err(|error| HttpRefusal::Tls(error.to_string()))?;
                exchange(tls, built).await
            }
        }
    };
    let (response, connection) = tokio::time::timeout(within, exchange).await.map_err(|_| HttpRefusal::TimedOut)??;
    let (head, incoming) = response.into_parts();
    let headers = head.headers.iter().filter(|(name, _)| !FORBIDDEN.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), Bytes(value.as_bytes().to_vec()))).collect();
    let body = Body { incoming, rest: bytes::Bytes::new(), left: BODY_MAX_BYTES, connection };
    let response =
        responses.keep(body).ok_or_else(|| HttpRefusal::Protocol("too many responses are open".to_owned()))?;
    Ok(Reply::Response { response, status: head.status.as_u16(), headers })
}

fn parse(url: &str) -> Result<Target, HttpRefusal> {
    let invalid = |reason: &str| HttpRefusal::Invalid(reason.to_owned());
    if url.len() > URL_MAX_BYTES {
        return Err(invalid("the URL is too long"));
    }
    let url: http::Uri = url.parse().map_err(|_| invalid("the URL does not parse"))?;
    let scheme = match url.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        _ => return Err(invalid("the scheme must be https or http")),
    };
    let authority = url.authority().ok_or_else(|| invalid("the URL has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("a user in the URL is not sent: use a header"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    // What is not a path would be read by the server as another request's target.
    let path =
        if path.starts_with('/') { path.to_owned() } else { return Err(invalid("the path must begin with `/`")) };
    Ok(Target { scheme, host, port: authority.port_u16().unwrap_or(scheme.port()), path })
}

fn build(target: &Target, request: HttpRequest) -> Result<http::Request<Full<bytes::Bytes>>, HttpRefusal> {
    let invalid = |reason: String| HttpRefusal::Invalid(reason);
    if request.headers.len() > HEADERS_MAX {
        return Err(invalid(format!("a request has at most {HEADERS_MAX} headers")));
    }
    if request.body.0.len() > REQUEST_BODY_MAX_BYTES {
        return Err(invalid(format!("a request's body has at most {REQUEST_BODY_MAX_BYTES} bytes")));
    }
    let bracketed = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let host = if target.port == target.scheme.port() { bracketed } else { format!("{bracketed}:{}", target.port) };
    let mut built = http::Request::builder().method(request.method.as_str()).uri(&target.path).header("host", &host);
    let mut seen = BTreeSet::new();
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        if FORBIDDEN.contains(&name.as_str()) || !seen.insert(name.clone()) {
            return Err(invalid(format!("the header `{name}` is forbidden, or there twice")));
        }
        match name.as_str() {
            // Ours; what the guest's library put there must say the same.
            "host"
                if value.0.eq_ignore_ascii_case(host.as_bytes())
                    || value.0.eq_ignore_ascii_case(format!("{host}:{}", target.port).as_bytes()) => {}
            "content-length" if value.0 == request.body.0.len().to_string().as_bytes() => {}
            "host" | "content-length" => {
                return Err(invalid(format!("the header `{name}` says something else than the request")));
            }
            _ => built = built.header(name, value.0.as_slice()),
        }
    }
    built.body(Full::new(bytes::Bytes::from(request.body.0))).map_err(|error| invalid(error.to_string()))
}

/// An address to connect to. All that the name has must be granted: which one is used must not be luck.
async fn resolve(target: &Target, private: bool) -> Result<SocketAddr, HttpRefusal> {
    let found: Vec<SocketAddr> = match target.host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, target.port)],
        Err(_) => {
            let looked_up = tokio::net::lookup_host((target.host.as_str(), target.port));
            let found = tokio::time::timeout(CONNECT_WITHIN, looked_up).await.map_err(|_| HttpRefusal::TimedOut)?;
            found.map_err(|error| HttpRefusal::Dns(error.to_string()))?.collect()
        }
    };
    if !private && found.iter().any(|address| !is_public(address.ip())) {
        return Err(HttpRefusal::Address);
    }
    // IPv4 first: a machine without a route to the IPv6 internet has such addresses as well.
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| HttpRefusal::Dns("the name has no address".to_owned()))
}

async fn exchange(
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: http::Request<Full<bytes::Bytes>>,
) -> Result<(http::Response<Incoming>, AbortHandle), HttpRefusal> {
    let protocol = |error: hyper::Error| HttpRefusal::Protocol(error.to_string());
    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_buf_size(BUFFER_MAX_BYTES);
    let (mut sender, connection) = client.handshake(TokioIo::new(io)).await.map_err(protocol)?;
    // Ends with the body that it carries, or with the body's owner.
    let connection = AbortOnDrop(Some(tokio::spawn(async move { drop(connection.await) }).abort_handle()));
    let response = sender.send_request(request).await.map_err(protocol)?;
    Ok((response, connection.keep()))
}

/// Ends the connection where the exchange does not come to its end.
struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    fn keep(mut self) -> AbortHandle {
        let handle = self.0.take();
        handle.unwrap_or_else(|| tokio::spawn(async {}).abort_handle())
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

/// The next chunk of a response's body; nothing at its end, after which the response is forgotten.
pub(super) async fn body(responses: &Responses, number: u32) -> Reply {
    let found = responses.open().bodies.get(&number).cloned();
    let Some(body) = found else {
        return Reply::HttpRefused(HttpRefusal::Protocol("there is no such response".to_owned()));
    };
    let mut body = body.lock().await;
    let reply = match tokio::time::timeout(CHUNK_WITHIN, body.chunk()).await {
        Ok(Ok(Some(chunk))) => return Reply::Body(Some(Bytes(chunk.to_vec()))),
        Ok(Ok(None)) => Reply::Body(None),
        Ok(Err(refusal)) => Reply::HttpRefused(refusal),
        Err(_) => Reply::HttpRefused(HttpRefusal::TimedOut),
    };
    drop(body);
    responses.close(number);
    reply
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, HttpRefusal> {
        while self.rest.is_empty() {
            let Some(frame) = self.incoming.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| HttpRefusal::Protocol(error.to_string()))?;
            // Trailers are not handed on.
            self.rest = frame.into_data().unwrap_or_default();
        }
        let chunk = self.rest.split_to(self.rest.len().min(CHUNK_MAX_BYTES));
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or(HttpRefusal::TooLarge)?;
        Ok(Some(chunk))
    }
}

#[cfg(test)]
mod tests;
