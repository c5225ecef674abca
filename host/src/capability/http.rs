//! `http`: requests leave through the parent, which checks the grant and the address again; the child has no socket.
//!
//! Owns turning a guest's request into a call and the reply into a response whose body is fetched chunk by chunk. The
//! request's body is read whole, up to 1 MiB, before anything is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::uses::Recorder;
use crate::frame::{self, Call, HttpRefusal, HttpRequest, Reply, Up};
use crate::line::Line;

/// Most bytes of a request's body.
pub(crate) const REQUEST_BODY_MAX_BYTES: usize = 1024 * 1024;

type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

/// The sender behind `wasi:http`.
pub(crate) struct Brokered {
    pub(crate) line: Arc<Line>,
    pub(crate) recorder: Arc<Recorder>,
}

impl WasiHttpHooks for Brokered {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (line, recorder) = (Arc::clone(&self.line), Arc::clone(&self.recorder));
        Box::new(async move {
            let response = send(line, &recorder, request, options).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

async fn send(
    line: Arc<Line>,
    recorder: &Recorder,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<http::Response<WasiBody>, Error> {
    let (head, body) = request.into_parts();
    let detail = format!("{} {}", head.method, head.uri.authority().map_or("", |authority| authority.as_str()));
    let too_large = || Error::HttpRequestBodySize(Some(REQUEST_BODY_MAX_BYTES as u64));
    let body = Limited::new(body, REQUEST_BODY_MAX_BYTES).collect().await.map_err(|_| too_large())?.to_bytes();
    let timeout = options.and_then(|options| options.first_byte_timeout.or(options.connect_timeout));
    let call = Call::Http(HttpRequest {
        method: head.method.as_str().to_owned(),
        url: head.uri.to_string(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), frame::Bytes(value.as_bytes().to_vec())))
            .collect(),
        body: frame::Bytes(body.to_vec()),
        timeout_ms: timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
    });
    let reply = line.call(call).await;
    // A refused request is told as such: the owner may want to know that it was tried.
    let denied =
        matches!(reply, Ok(Reply::HttpRefused(HttpRefusal::Denied | HttpRefusal::Address | HttpRefusal::Invalid(_))));
    recorder.count(if denied { "denied http" } else { "http" }, &detail);
    match reply {
        Ok(Reply::Response { response, status, headers }) => {
            let mut built = http::Response::builder().status(status);
            for (name, value) in headers {
                built = built.header(name, value.0);
            }
            let body = Fetched { line, response, waiting: None, ended: false };
            built.body(BodyExt::boxed_unsync(body)).map_err(|_| Error::HttpProtocolError)
        }
        Ok(Reply::HttpRefused(refusal)) => Err(error(refusal)),
        _ => Err(Error::InternalError(Some("the agent did not answer".to_owned()))),
    }
}

fn error(refusal: HttpRefusal) -> Error {
    match refusal {
        HttpRefusal::Denied => Error::HttpRequestDenied,
        HttpRefusal::Address => Error::DestinationIpProhibited,
        HttpRefusal::Dns(reason) => Error::DnsError { rcode: Some(reason), info_code: None },
        HttpRefusal::Refused => Error::ConnectionRefused,
        HttpRefusal::Tls(reason) => Error::TlsAlertReceived { alert_id: None, alert_message: Some(reason) },
        HttpRefusal::TimedOut => Error::HttpResponseTimeout,
        HttpRefusal::TooLarge => Error::HttpResponseBodySize(None),
        HttpRefusal::Invalid(_) => Error::HttpRequestUriInvalid,
        HttpRefusal::Protocol(reason) => Error::InternalError(Some(reason)),
    }
}

type Next = Pin<Box<dyn Future<Output = Result<Option<Bytes>, Error>> + Send>>;

/// A response's body; each chunk is asked for when the guest wants it, so that nothing piles up.
struct Fetched {
    line: Arc<Line>,
    response: u32,
    waiting: Option<Next>,
    ended: bool,
}

impl Body for Fetched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let (line, response) = (Arc::clone(&self.line), self.response);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(async move { next(&line, response).await }));
        let found = std::task::ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        self.ended = !matches!(found, Ok(Some(_)));
        Poll::Ready(found.map(|chunk| chunk.map(Frame::data)).transpose())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if !self.ended {
            let close = Up::Call { id: 0, call: Call::Close { response: self.response } };
            let _ = self.line.tell(&close);
        }
    }
}

async fn next(line: &Line, response: u32) -> Result<Option<Bytes>, Error> {
    match line.call(Call::Body { response }).await {
        Ok(Reply::Body(chunk)) => Ok(chunk.map(|chunk| Bytes::from(chunk.0))),
        Ok(Reply::HttpRefused(refusal)) => Err(error(refusal)),
        _ => Err(Error::HttpResponseIncomplete),
    }
}
