//! Files of any size between this instance and the server, over connections that may be cut at any byte.
//!
//! Owns the going on: what was brought over before a cut is never brought over again, and tries follow each other with a jittered
//! wait until the caller's time is over. Holds a few pieces of 64 KiB and never a file. It knows no path: bytes come from
//! an open file or go to a queue. Both directions stop when their future is dropped.

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use orderly_signing::digest::Digest;
use orderly_signing::proof::link_message;
use orderly_wire::http::agent::INSTANCE_PROOF_HEADER;
use orderly_wire::http::file::{OCTETS, Received};
use tokio::sync::mpsc;

use crate::identity::Identity;
use crate::transport::backoff::Backoff;
use crate::transport::exchange::{Exchange, nothing, small};
use crate::transport::request::RequestError;
use crate::transport::{ConnectError, connect};

mod source;

use source::Source;

/// A server that sends no byte for so long is given up, and asked anew.
const STALLED_TIME: Duration = Duration::from_secs(30);

/// Most bytes of an answer that is no file.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Bytes cannot be brought over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    /// The server cannot be reached.
    #[error("the server cannot be reached")]
    Connect(#[from] ConnectError),
    /// The exchange failed.
    #[error("the server was reached, and the exchange failed")]
    Request(#[from] RequestError),
    /// No byte came.
    #[error("the server sent nothing for {STALLED_TIME:?}")]
    Stalled,
    /// Fewer bytes came than the server announced, or than the order names.
    #[error("the server's answer ended too early")]
    Ended,
    /// It sent another part than was asked for.
    #[error("asked for the bytes from {wanted} on, the server sent {found}")]
    OtherPart {
        /// Where it should begin.
        wanted: u64,
        /// What the server said.
        found: String,
    },
    /// It sent more.
    #[error("the server sent more than the {0} bytes that the order names")]
    TooMany(u64),
    /// Its answer cannot be read.
    #[error("the server's answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// It says that it has more than there is.
    #[error("the server says that it has {found} bytes, the file has {bytes}")]
    Ahead {
        /// What it says.
        found: u64,
        /// The file's size.
        bytes: u64,
    },
    /// It says that it has all, and has another number of bytes.
    #[error("the server says that it has all of the file, and that this is {found} bytes; the file has {bytes}")]
    OtherWhole {
        /// What it says.
        found: u64,
        /// The file's size.
        bytes: u64,
    },
    /// The file on this instance.
    #[error("the file could not be read to its end: did it change?")]
    Read(#[source] std::io::Error),
    /// Nobody takes the bytes any more.
    #[error("what was brought over could not be written")]
    NotTaken,
}

impl TransferError {
    /// Whether another try can help.
    fn passes(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(error, ConnectError::WrongCa { .. }),
            Self::Request(RequestError::Refused { status, .. }) => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::Request(_) | Self::Stalled | Self::Ended => true,
            _ => false,
        }
    }
}

/// What a server has got of a file, and what its bytes digest to here.
#[derive(Debug)]
pub(crate) struct Sent {
    /// SHA-256 of all bytes of the file, which were read here whatever the server says.
    pub here: Digest,
    /// SHA-256 of what the server stored, as it says.
    pub there: Option<Digest>,
}

/// The way for files; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    identity: Rc<Identity>,
}

impl Transfer {
    /// A way to the server of this identity.
    pub(crate) fn new(identity: Rc<Identity>) -> Self {
        Self { identity }
    }

    /// Brings content over, in order, into `sink`. The caller checks what it digests to.
    ///
    /// # Errors
    /// The server does not give it, or nobody takes it. What may pass is tried again for as long as this is waited for; `last`
    /// holds why the last try failed.
    pub(crate) async fn fetch(
        &self,
        content: Digest,
        bytes: u64,
        sink: &mpsc::Sender<Bytes>,
        last: &Last,
    ) -> Result<(), TransferError> {
        let mut have = 0;
        let mut backoff = Backoff::default();
        while have < bytes {
            let before = have;
            let Err(error) = self.fetch_from(content, bytes, &mut have, sink).await else { continue };
            pause(error, &mut backoff, before, have, last).await?;
        }
        Ok(())
    }

    async fn fetch_from(
        &self,
        content: Digest,
        bytes: u64,
        have: &mut u64,
        sink: &mpsc::Sender<Bytes>,
    ) -> Result<(), TransferError> {
        let mut line = self.line("blob").await?;
        let request = line.request(Method::GET, &format!("/agent/v1/blobs/{content}"));
        let request = request.header(header::RANGE, format!("bytes={have}-"));
        let mut response = line.exchange.ask(request.body(nothing()).map_err(RequestError::Request)?).await?;
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let whole = response.status() == StatusCode::OK && *have == 0;
        if !whole && !range.starts_with(&format!("bytes {have}-")) {
            return Err(TransferError::OtherPart { wanted: *have, found: range.escape_debug().to_string() });
        }
        while *have < bytes {
            let frame = tokio::time::timeout(STALLED_TIME, response.body_mut().frame()).await;
            let Some(frame) = frame.map_err(|_| TransferError::Stalled)? else {
                return Err(TransferError::Ended);
            };
            let frame = frame.map_err(|error| RequestError::Body(error.into()))?;
            let Ok(piece) = frame.into_data() else { continue };
            if piece.len() as u64 > bytes - *have {
                return Err(TransferError::TooMany(bytes));
            }
            *have += piece.len() as u64;
            sink.send(piece).await.map_err(|_| TransferError::NotTaken)?;
        }
        Ok(())
    }

    /// Sends the first `bytes` bytes of a file as what the order `order` collects.
    ///
    /// # Errors
    /// The server does not take it, or the file cannot be read. Tries follow each other as in [`Transfer::fetch`].
    pub(crate) async fn send(&self, order: Digest, file: File, bytes: u64, last: &Last) -> Result<Sent, TransferError> {
        let source = Source::new(file, bytes);
        let mut backoff = Backoff::default();
        loop {
            let before = source.have();
            let error = match self.send_rest(order, bytes, &source).await {
                Ok(there) => {
                    // A server can answer before it has taken a byte; what is signed is the file's digest all the same.
                    source.read_to(bytes).await.map_err(TransferError::Read)?;
                    return Ok(Sent { here: source.digest(), there });
                }
                Err(error) => error,
            };
            if let Some(error) = source.failure() {
                return Err(TransferError::Read(error));
            }
            pause(error, &mut backoff, before, source.have(), last).await?;
        }
    }

    async fn send_rest(&self, order: Digest, bytes: u64, source: &Source) -> Result<Option<Digest>, TransferError> {
        let path = format!("/agent/v1/files/{order}");
        let mut line = self.line("file").await?;
        let request = line.request(Method::GET, &path).body(nothing()).map_err(RequestError::Request)?;
        let state = received(line.exchange.ask(request).await?).await?;
        if state.bytes > bytes {
            return Err(TransferError::Ahead { found: state.bytes, bytes });
        }
        // What an earlier try sent is read all the same: the receipt's digest is of bytes that were read here.
        source.read_to(state.bytes).await.map_err(TransferError::Read)?;
        if state.digest.is_some() {
            return whole(&state, bytes);
        }
        let request = line
            .request(Method::PUT, &format!("{path}?bytes={bytes}&offset={}", state.bytes))
            .header(header::CONTENT_TYPE, OCTETS)
            .header(header::CONTENT_LENGTH, bytes - state.bytes)
            .body(source.body(state.bytes))
            .map_err(RequestError::Request)?;
        whole(&received(line.exchange.send(request).await?).await?, bytes)
    }

    /// A fresh connection, with the proof that is good for it.
    async fn line(&self, purpose: &str) -> Result<Line, TransferError> {
        let server = &self.identity.server;
        let connection = connect(server, &self.identity.pins.ca).await?;
        let id = self.identity.id();
        let proof = self.identity.key.sign(&link_message(purpose, id, &connection.exporter));
        let proof = format!("{id} {}", STANDARD.encode(proof));
        Ok(Line { exchange: Exchange::begin(connection).await?, authority: server.authority(), proof })
    }
}

/// A connection for several requests.
struct Line {
    exchange: Exchange,
    authority: String,
    proof: String,
}

impl Line {
    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(INSTANCE_PROOF_HEADER, &self.proof)
    }
}

async fn received(answer: Response<Incoming>) -> Result<Received, TransferError> {
    serde_json::from_slice(&small(answer, ANSWER_MAX_BYTES).await?).map_err(TransferError::Answer)
}

/// The digest of what the server has, where it says that this is all.
fn whole(state: &Received, bytes: u64) -> Result<Option<Digest>, TransferError> {
    if state.digest.is_some() && state.bytes != bytes {
        return Err(TransferError::OtherWhole { found: state.bytes, bytes });
    }
    Ok(state.digest)
}

/// Waits for the next try, unless no try can help. A try that brought something over makes the wait short again.
async fn pause(
    error: TransferError,
    backoff: &mut Backoff,
    before: u64,
    after: u64,
    last: &Last,
) -> Result<(), TransferError> {
    if !error.passes() {
        return Err(error);
    }
    if after > before {
        *backoff = Backoff::default();
    }
    let wait = backoff.next();
    tracing::warn!(error = %last.note(&error), bytes = after, wait_ms = wait.as_millis(), "a transfer was cut, going on");
    tokio::time::sleep(wait).await;
    Ok(())
}

/// Why the last try failed, for whoever gives up waiting.
#[derive(Debug, Default)]
pub(crate) struct Last(RefCell<Option<String>>);

impl Last {
    fn note(&self, error: &TransferError) -> String {
        let mut told = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            told.push_str(&format!(": {error}"));
            cause = error.source();
        }
        *self.0.borrow_mut() = Some(told.clone());
        told
    }

    /// In a sentence's tail; empty where no try failed.
    pub(crate) fn tail(&self) -> String {
        self.0.borrow().as_ref().map_or_else(String::new, |told| format!("; the last try: {told}"))
    }
}
