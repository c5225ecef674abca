//! One HTTP request on one connection: enrolment and blobs.
//!
//! Owns the exchange and its caps. It never retries, follows no redirect and keeps no connection: a proof is good for
//! one connection only.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use orderly_wire::http::problem::Problem;

use super::Connection;

/// Most bytes of a problem's body.
pub(super) const PROBLEM_MAX_BYTES: usize = 64 * 1024;

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The exchange broke off.
    #[error("the exchange with the server broke off")]
    Exchange(#[source] hyper::Error),
    /// The request could not be made.
    #[error("the request cannot be written")]
    Request(#[source] http::Error),
    /// It took too long.
    #[error("the server did not answer within {0:?}")]
    Slow(Duration),
    /// The body is longer than allowed.
    #[error("the server's answer has more than {0} bytes")]
    TooLarge(usize),
    /// The body broke off.
    #[error("the server's answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server said no.
    #[error("{}", told(.status, .problem.as_deref()))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What it said, where it could be read.
        problem: Option<Box<Problem>>,
    },
}

fn told(status: &StatusCode, problem: Option<&Problem>) -> String {
    let Some(problem) = problem else { return format!("the server answered {status}") };
    let mut text = format!("the server says: {}", problem.title);
    for more in [&problem.detail, &problem.hint].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    // It goes to a terminal.
    text.replace(|c: char| c.is_control(), " ")
}

/// How long an answer of so many bytes may take: a slow line of 64 KiB/s and half a minute.
pub(crate) fn patience(bytes: u64) -> Duration {
    Duration::from_secs(30 + bytes / (64 * 1024))
}

/// Sends a request and reads an answer of at most `cap` bytes within this time.
///
/// # Errors
/// The exchange broke off or was too slow, the answer is too large, or it is a refusal.
pub(crate) async fn send(
    connection: Connection,
    request: http::request::Builder,
    body: Vec<u8>,
    cap: usize,
    time: Duration,
) -> Result<Bytes, RequestError> {
    let request: Request<Full<Bytes>> =
        request.header(header::CONNECTION, "close").body(Full::new(body.into())).map_err(RequestError::Request)?;
    let (mut sender, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection.stream)).await.map_err(RequestError::Exchange)?;
    let driver = tokio::spawn(driver);
    let answer = tokio::time::timeout(time, async {
        let response = sender.send_request(request).await.map_err(RequestError::Exchange)?;
        let status = response.status();
        let cap = if status.is_success() { cap } else { PROBLEM_MAX_BYTES };
        let body = Limited::new(response.into_body(), cap).collect().await.map_err(|error| {
            match error.is::<LengthLimitError>() {
                true => RequestError::TooLarge(cap),
                false => RequestError::Body(error),
            }
        })?;
        let bytes = body.to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(RequestError::Refused { status, problem: serde_json::from_slice(&bytes).ok() })
    })
    .await
    .unwrap_or(Err(RequestError::Slow(time)));
    driver.abort();
    answer
}
