//! HTTP requests whose bodies are streams: a file's bytes, down or up.
//!
//! Owns one connection and the requests on it, one behind the other. Bodies are never held whole: a connection buffers at most
//! [`BUFFER_BYTES`]. It never retries; its driver ends when it is dropped.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::Connection;
use super::request::{PROBLEM_MAX_BYTES, RequestError};

/// Bytes that a connection buffers, at most.
const BUFFER_BYTES: usize = 64 * 1024;

/// Time for the head of an answer, the bytes of the request not counted.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A body on its way to the server.
pub(crate) type Outgoing = UnsyncBoxBody<Bytes, std::io::Error>;

/// No body.
pub(crate) fn nothing() -> Outgoing {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A connection for requests with streams.
pub(crate) struct Exchange {
    sender: http1::SendRequest<Outgoing>,
    _driver: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl Exchange {
    /// Begins on a fresh connection.
    ///
    /// # Errors
    /// The connection broke already.
    pub(crate) async fn begin(connection: Connection) -> Result<Self, RequestError> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(connection.stream))
            .await
            .map_err(RequestError::Exchange)?;
        Ok(Self { sender, _driver: AbortOnDropHandle::new(tokio::spawn(driver)) })
    }

    /// Sends a request without a body and gives the answer, whose body is still to be read.
    ///
    /// # Errors
    /// The exchange broke off or was slow, or the answer is a refusal.
    pub(crate) async fn ask(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, RequestError> {
        tokio::time::timeout(ANSWER_TIME, self.send(request)).await.unwrap_or(Err(RequestError::Slow(ANSWER_TIME)))
    }

    /// Sends a request whose body takes the time that it takes, and gives the answer.
    ///
    /// # Errors
    /// The exchange broke off, or the answer is a refusal.
    pub(crate) async fn send(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, RequestError> {
        self.sender.ready().await.map_err(RequestError::Exchange)?;
        let response = self.sender.send_request(request).await.map_err(RequestError::Exchange)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = small(response, PROBLEM_MAX_BYTES).await.ok();
        let problem = problem.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Err(RequestError::Refused { status, problem })
    }
}

/// Reads a small answer whole.
///
/// # Errors
/// It broke off, was slow, or is larger than `cap`.
pub(crate) async fn small(response: Response<Incoming>, cap: usize) -> Result<Bytes, RequestError> {
    let body = tokio::time::timeout(ANSWER_TIME, Limited::new(response.into_body(), cap).collect()).await;
    Ok(body.map_err(|_| RequestError::Slow(ANSWER_TIME))?.map_err(RequestError::Body)?.to_bytes())
}
