//! The file that is sent: read piece by piece, from any place, and digested once.
//!
//! Owns the place up to which the file was digested. A piece that is sent a second time is read a second time and digested only
//! where it goes on behind that place. Reads happen on a thread for that, one piece at a time; a body ends when it is dropped.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use orderly_signing::digest::{Digest, DigestWriter};

use crate::transport::exchange::Outgoing;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The file that is sent; a handle.
#[derive(Clone)]
pub(super) struct Source {
    file: Arc<File>,
    /// Its first bytes that are meant.
    bytes: u64,
    /// Held for one piece only, on the thread that reads it.
    state: Arc<Mutex<State>>,
}

struct State {
    digest: DigestWriter,
    /// Bytes that are in the digest.
    digested: u64,
    /// Why the file could not be read.
    failure: Option<io::Error>,
}

impl Source {
    pub(super) fn new(file: File, bytes: u64) -> Self {
        let state = State { digest: DigestWriter::new(), digested: 0, failure: None };
        Self { file: Arc::new(file), bytes, state: Arc::new(Mutex::new(state)) }
    }

    /// Bytes that were read.
    pub(super) fn have(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).digested
    }

    /// SHA-256 of what was read.
    pub(super) fn digest(&self) -> Digest {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).digest.clone().finish()
    }

    /// Why the file could not be read, once.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }

    /// Reads on until these many bytes are digested.
    pub(super) async fn read_to(&self, end: u64) -> io::Result<()> {
        loop {
            let have = self.have();
            if have >= end {
                return Ok(());
            }
            self.piece(have).await?;
        }
    }

    /// The bytes from `offset` on, as a body.
    pub(super) fn body(&self, offset: u64) -> Outgoing {
        let pieces = futures_util::stream::unfold((self.clone(), offset), |(source, at)| async move {
            if at >= source.bytes {
                return None;
            }
            match source.piece(at).await {
                Ok(piece) => {
                    let next = at + piece.len() as u64;
                    Some((Ok(Frame::data(piece)), (source, next)))
                }
                Err(error) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    source.state.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(error);
                    let end = source.bytes;
                    Some((Err(told), (source, end)))
                }
            }
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    /// The piece at `at`; never empty.
    async fn piece(&self, at: u64) -> io::Result<Bytes> {
        let source = self.clone();
        tokio::task::spawn_blocking(move || source.read_piece(at)).await.map_err(io::Error::other)?
    }

    fn read_piece(&self, at: u64) -> io::Result<Bytes> {
        let room = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut piece = vec![0; room];
        let read = loop {
            match self.file.read_at(&mut piece, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        piece.truncate(read);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = usize::try_from(state.digested.saturating_sub(at)).unwrap_or(usize::MAX);
        if let (true, Some(fresh)) = (state.digested >= at, piece.get(known..)) {
            state.digest.update(fresh);
            state.digested += fresh.len() as u64;
        }
        Ok(Bytes::from(piece))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn what_is_sent_twice_is_digested_once() {
        let content: Vec<u8> = (0..3 * PIECE_BYTES + 17).map(|number| number.to_le_bytes()[1]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let source = Source::new(file, content.len() as u64);
        source.read_to(PIECE_BYTES as u64 + 1).await.unwrap();
        for offset in [0, 5, PIECE_BYTES, 2 * PIECE_BYTES] {
            let body = source.body(offset as u64).collect().await.unwrap().to_bytes();
            assert_eq!(body, content[offset..], "{offset}");
        }
        assert_eq!((source.have(), source.digest()), (content.len() as u64, Digest::of(&content)));
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error_and_never_a_shorter_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let source = Source::new(file, 10);
        assert!(source.body(0).collect().await.is_err());
        assert!(source.failure().unwrap().to_string().contains("shorter"));
    }
}
