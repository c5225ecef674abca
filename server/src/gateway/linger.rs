//! Bodies that are read to their end although nobody wants them.
//!
//! A client that is refused in the middle of its upload would see its connection break instead of the answer that says why. So what is
//! left of a body is read and thrown away, up to a limit in bytes and time. Each such task ends by itself, and with its phase.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::shutdown::Phase;

/// Bytes that are thrown away, at most; beyond it the connection breaks after all.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long what is left may take to come.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A request's body that lingers where it is dropped before its end.
pub(super) struct Lingering {
    body: Option<Incoming>,
    phase: Phase,
}

impl Lingering {
    pub(super) fn new(body: Incoming, phase: Phase) -> Self {
        Self { body: Some(body), phase }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let left = self.body.take().filter(|body| !body.is_end_stream());
        // Outside of a runtime there is no connection either.
        if let Some(body) = left
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let stop = self.phase.token();
            self.phase.spawn("linger", async move {
                tokio::select! {
                    _ = tokio::time::timeout(TIME_MAX, throw_away(body)) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}
