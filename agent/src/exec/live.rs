//! Live output: what a running task prints, on its way to whoever watches.
//!
//! Owns the coalescing (up to 16 KiB or 50 ms) and the dropping: a task has a budget of bytes per second, the queue to the
//! link is bounded, and what does not fit is left out, which the next chunk's offset shows. A flood costs neither this
//! instance nor the server more than somebody could read. The stored output is not touched by that. It never waits,
//! and it has a timer only while there is something to send.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orderly_host::output::{OutputSink, Stream};
use orderly_signing::digest::Digest;
use orderly_wire::to_server::{self, Output, Progress, Segment, ToServer};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes after which a chunk goes at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Time between two smaller chunks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Bytes that a task may show at once.
const BURST_BYTES: f64 = 1024.0 * 1024.0;

/// Bytes per second that it may show on and on.
const BYTES_PER_SECOND: f64 = 256.0 * 1024.0;

/// Most bytes of a progress message.
const MESSAGE_MAX_BYTES: usize = 200;

/// The live view of one task.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    // Held for pushes and flushes only, never over an await: the timer of a late flush shares it.
    state: Option<Arc<Mutex<State>>>,
}

#[derive(Debug)]
struct State {
    order: Digest,
    invocation: String,
    queue: mpsc::Sender<ToServer>,
    /// Bytes that were read before `waiting`.
    offset: u64,
    waiting: Vec<Segment>,
    waiting_bytes: usize,
    flushed: Instant,
    /// Bytes that may still be shown, as of the moment beside it.
    budget: (f64, Instant),
    timer: bool,
    progressed: Option<Instant>,
}

impl Live {
    /// A view that sends into this queue.
    pub(crate) fn new(order: Digest, invocation: String, queue: mpsc::Sender<ToServer>) -> Self {
        let state = State {
            order,
            invocation,
            queue,
            offset: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            flushed: Instant::now(),
            budget: (BURST_BYTES, Instant::now()),
            timer: false,
            progressed: None,
        };
        Self { state: Some(Arc::new(Mutex::new(state))) }
    }

    /// A view that nobody wants.
    pub(crate) fn off() -> Self {
        Self { state: None }
    }

    /// Sends what waits.
    pub(crate) fn flush(&self) {
        if let Some(state) = &self.state {
            state.lock().unwrap_or_else(PoisonError::into_inner).flush();
        }
    }
}

impl State {
    /// Takes so many bytes out of the budget, or says that they are too many.
    fn afford(&mut self, bytes: usize) -> bool {
        let (left, since) = self.budget;
        let left = BURST_BYTES.min(left + since.elapsed().as_secs_f64() * BYTES_PER_SECOND);
        let affordable = left >= bytes as f64;
        self.budget = (if affordable { left - bytes as f64 } else { left }, Instant::now());
        affordable
    }

    fn push(&mut self, stream: to_server::Stream, bytes: &[u8]) {
        self.waiting_bytes += bytes.len();
        match self.waiting.last_mut() {
            Some(last) if last.stream == stream => last.data.extend_from_slice(bytes),
            _ => self.waiting.push(Segment { stream, data: bytes.to_vec() }),
        }
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let segments = std::mem::take(&mut self.waiting);
        let output = Output { order: self.order, invocation: self.invocation.clone(), offset: self.offset, segments };
        self.offset += self.waiting_bytes as u64;
        self.waiting_bytes = 0;
        self.flushed = Instant::now();
        let _ = self.queue.try_send(ToServer::Output(output));
    }
}

impl OutputSink for Live {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(shared) = &self.state else { return };
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.afford(bytes.len()) {
            state.flush();
            state.offset += bytes.len() as u64;
            return;
        }
        state.push(wire_stream(stream), bytes);
        if state.waiting_bytes >= CHUNK_BYTES || state.flushed.elapsed() >= INTERVAL {
            state.flush();
        } else if !state.timer {
            state.timer = true;
            let (shared, due) = (Arc::clone(shared), state.flushed + INTERVAL);
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                state.timer = false;
                state.flush();
            });
        }
    }

    fn progress(&mut self, done: u32, total: u32, message: &str) {
        let Some(shared) = &self.state else { return };
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if state.progressed.is_some_and(|last| last.elapsed() < INTERVAL) && done != total {
            return;
        }
        state.progressed = Some(Instant::now());
        let message = message.get(..message.floor_char_boundary(MESSAGE_MAX_BYTES)).unwrap_or_default().to_owned();
        let progress = Progress { order: state.order, invocation: state.invocation.clone(), done, total, message };
        let _ = state.queue.try_send(ToServer::Progress(progress));
    }
}

/// The wire's word for a stream.
pub(crate) fn wire_stream(stream: Stream) -> to_server::Stream {
    match stream {
        Stream::Stdout => to_server::Stream::Stdout,
        Stream::Stderr => to_server::Stream::Stderr,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn view(capacity: usize) -> (Live, mpsc::Receiver<ToServer>) {
        let (queue, frames) = mpsc::channel(capacity);
        (Live::new(Digest::ZERO, "t-1".to_owned(), queue), frames)
    }

    fn next(frames: &mut mpsc::Receiver<ToServer>) -> Option<(u64, usize)> {
        match frames.try_recv().ok()? {
            ToServer::Output(output) => {
                Some((output.offset, output.segments.iter().map(|segment| segment.data.len()).sum()))
            }
            _ => None,
        }
    }

    #[tokio::test]
    async fn small_chunks_wait_for_their_moment_and_then_go_together() {
        let (mut live, mut frames) = view(8);
        for (stream, bytes) in [(Stream::Stdout, &b"ab"[..]), (Stream::Stderr, b"c"), (Stream::Stderr, b"d")] {
            live.chunk(stream, bytes);
        }
        assert_eq!(next(&mut frames), None);
        let Some(ToServer::Output(output)) = frames.recv().await else { panic!() };
        let texts: Vec<_> = output.segments.iter().map(|segment| segment.data.as_slice()).collect();
        assert_eq!((output.offset, texts.as_slice()), (0, &[&b"ab"[..], b"cd"][..]));
        live.chunk(Stream::Stdout, b"e");
        let Some(ToServer::Output(output)) = frames.recv().await else { panic!() };
        assert_eq!(output.offset, 4);
    }

    #[tokio::test]
    async fn a_flood_shows_its_beginning_and_then_no_more_than_somebody_could_read() {
        let (mut live, mut frames) = view(1000);
        let block = vec![b'x'; CHUNK_BYTES];
        for _ in 0..1000 {
            live.chunk(Stream::Stdout, &block);
        }
        let mut shown = 0;
        while let Some((offset, bytes)) = next(&mut frames) {
            assert!(offset >= shown);
            shown += bytes as u64;
        }
        assert!((1024 * 1024..8 * 1024 * 1024).contains(&shown), "{shown} of 16 MiB");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_left_out_and_the_offset_shows_it() {
        let (mut live, mut frames) = view(1);
        let block = vec![b'x'; CHUNK_BYTES];
        live.chunk(Stream::Stdout, &block);
        live.chunk(Stream::Stdout, &block);
        assert_eq!(next(&mut frames), Some((0, CHUNK_BYTES)));
        live.chunk(Stream::Stdout, &block);
        assert_eq!(next(&mut frames), Some((2 * CHUNK_BYTES as u64, CHUNK_BYTES)));
        live.flush();
        assert_eq!(next(&mut frames), None);
    }
}
