//! Bodies that must come at a pace.
//!
//! A client that sends a byte of a body now and then would hold a connection, and what waits behind it, for as long as it likes, and
//! needs no token for it. So each body has a time to begin, a least rate after that, and a longest silence. Owns that rule. A body that
//! is too slow ends with an error; no task is started.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How slow a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// What every body gets.
    pub(super) grace: Duration,
    /// The longest silence.
    pub(super) silence: Duration,
    /// Bytes a second, after the grace.
    pub(super) rate: u64,
}

/// Slow enough for a bad mobile line, which carries some 10 KiB a second.
pub(super) const PACE: Pace = Pace { grace: Duration::from_secs(30), silence: Duration::from_secs(30), rate: 1024 };

impl Pace {
    /// Until when the next bytes must be there.
    fn due(&self, started: Instant, last: Instant, received: u64) -> Instant {
        // A week is more than any body may take, and keeps the sum within what a clock can say.
        let earned = Duration::from_secs((received / self.rate.max(1)).min(7 * 24 * 60 * 60));
        (started + self.grace + earned).min(last + self.silence)
    }
}

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly: the next bytes must come within {} s", .0.silence.as_secs())]
pub(super) struct TooSlow(Pace);

/// A body with a pace.
pub(super) struct Paced<B> {
    // Taken where it was too slow, so that nobody waits for its rest.
    body: Option<B>,
    pace: Pace,
    started: Instant,
    last: Instant,
    received: u64,
    /// Made when the body is waited for; most are there with their head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    /// The pace counts from now.
    pub(super) fn new(body: B, pace: Pace) -> Self {
        let now = Instant::now();
        Self { body: Some(body), pace, started: now, last: now, received: 0, timer: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B>
where
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.last = Instant::now();
                this.timer = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let due = this.pace.due(this.started, this.last, this.received);
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                ready!(timer.as_mut().poll(context));
                this.body = None;
                Poll::Ready(Some(Err(Box::new(TooSlow(this.pace)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};

    use super::*;

    const QUICK: Pace = Pace { grace: Duration::from_millis(20), silence: Duration::from_millis(20), rate: 1024 };

    #[tokio::test]
    async fn a_body_that_never_comes_ends_and_says_why() {
        let one = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"x"))]);
        let body = axum::body::Body::from_stream(one.chain(stream::pending()));
        let read = axum::body::to_bytes(axum::body::Body::new(Paced::new(body, QUICK)), 100).await;
        let error = read.expect_err("it never ends");
        let cause = std::error::Error::source(&error).unwrap_or(&error).to_string();
        assert!(cause.contains("too slowly"), "{cause}");
    }

    #[tokio::test]
    async fn a_body_that_comes_is_left_alone() {
        let pieces = stream::iter((0..100).map(|_| Ok::<_, Infallible>(Bytes::from_static(&[7; 1000]))));
        let body = Paced::new(axum::body::Body::from_stream(pieces), QUICK);
        let read = axum::body::to_bytes(axum::body::Body::new(body), 1 << 20).await.unwrap();
        assert_eq!(read.len(), 100_000);
    }

    #[test]
    fn single_bytes_earn_no_time_and_many_earn_no_silence() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(PACE.due(start, at(29), 30), at(30), "a byte a second");
        assert_eq!(PACE.due(start, at(40), 20 * 1024), at(50), "one KiB a second behind the grace");
        assert_eq!(PACE.due(start, at(40), u64::MAX), at(70), "a silence behind much");
    }
}
