//! Files up and down, in one request that may be cut.
//!
//! Owns the difference between a cut, after which going on can help, and a refusal, after which it cannot. Never goes on by itself.

use std::time::Duration;

use orderly_wire::http::file::{OCTETS, Received};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, Response, StatusCode};

use super::{Client, read};
use crate::error::Failure;

/// A server that sends nothing for so long is given up.
pub(crate) const STALLED: Duration = Duration::from_secs(60);

/// Why a transfer ended before its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It was cut, or the server is busy: going on can help.
    Cut(Failure),
    /// The server said no.
    Refused(Failure),
}

impl Client {
    /// Sends the rest of a file.
    pub(crate) async fn put_rest(&self, path: &str, body: Body, length: u64) -> Result<Received, Broken> {
        let request = self.authorised(self.http.request(Method::PUT, format!("{}{path}", self.server)));
        let request = request.header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, length).body(body);
        let response = self.attempt(request).await?;
        read(response).await.map_err(Broken::Cut)
    }

    /// Asks for a file from this byte on.
    pub(crate) async fn get_rest(&self, path: &str, offset: u64) -> Result<Response, Broken> {
        let request = self.authorised(self.http.request(Method::GET, format!("{}{path}", self.server)));
        let response = self.attempt(request.header(RANGE, format!("bytes={offset}-"))).await?;
        if offset > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(Broken::Refused(Failure::server("the server does not send the rest of a file")));
        }
        Ok(response)
    }

    async fn attempt(&self, request: reqwest::RequestBuilder) -> Result<Response, Broken> {
        let response = request.send().await.map_err(|error| Broken::Cut(self.broken(error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        let failure = self.refused(status, &body);
        let passes =
            [StatusCode::CONFLICT, StatusCode::REQUEST_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
        Err(if passes { Broken::Cut(failure) } else { Broken::Refused(failure) })
    }
}
