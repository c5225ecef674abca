//! Reads a program's two pipes until both end, into the keeper and the sink.
//!
//! Owns two buffers for the whole run; never grows with the output. It stops at the end of both pipes, when it is
//! dropped, or when the cap on the total is passed.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use super::{Keeper, OutputSink, Stream};

/// Bytes that are read at once from one pipe. A pipe holds 64 KiB; half of it lets the writer go on meanwhile.
const BUFFER_BYTES: usize = 32 * 1024;

/// Why the pump stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpEnd {
    /// Both pipes were closed by all who held them.
    Closed,
    /// More than the allowed total was read; the rest is unread.
    OverTotal,
}

/// Reads `stdout` and `stderr` until both end, or until more than `total_max` bytes were read in all.
///
/// Cancelling it (dropping the future) loses nothing that was pushed into the keeper before.
///
/// # Errors
/// What the operating system said of a read.
pub async fn pump(
    stdout: &mut Option<Receiver>,
    stderr: &mut Option<Receiver>,
    total_max: u64,
    keeper: &mut Keeper,
    sink: &mut impl OutputSink,
) -> io::Result<PumpEnd> {
    let mut out = vec![0; BUFFER_BYTES];
    let mut err = vec![0; BUFFER_BYTES];
    while stdout.is_some() || stderr.is_some() {
        let (stream, read) = tokio::select! {
            read = read(stdout, &mut out) => (Stream::Stdout, read?),
            read = read(stderr, &mut err) => (Stream::Stderr, read?),
        };
        let (pipe, buffer) = match stream {
            Stream::Stdout => (&mut *stdout, &out),
            Stream::Stderr => (&mut *stderr, &err),
        };
        if read == 0 {
            *pipe = None;
            continue;
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        keeper.push(stream, bytes);
        sink.chunk(stream, bytes);
        if keeper.total_bytes() > total_max {
            return Ok(PumpEnd::OverTotal);
        }
    }
    Ok(PumpEnd::Closed)
}

async fn read(pipe: &mut Option<Receiver>, buffer: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(buffer).await,
        None => std::future::pending().await,
    }
}
