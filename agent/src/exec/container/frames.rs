//! The output of a program in a container as the Docker Engine API sends it: frames of eight bytes of head and the text of one
//! stream.
//!
//! Owns taking them apart. Holds at most one head, whatever comes; a frame may be of any length and come in any pieces.

use orderly_host::output::Stream;

/// Bytes of a head: the stream's number, three zeros, the length of what follows (most significant byte first).
const HEAD_BYTES: usize = 8;

/// What came is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the container runtime sent output of a stream numbered {0}")]
pub(super) struct NoStream(u8);

/// Takes frames apart.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    have: usize,
    stream: Stream,
    /// Bytes of the present frame that are still to come.
    left: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { head: [0; HEAD_BYTES], have: 0, stream: Stream::Stdout, left: 0 }
    }

    /// Takes what came, and gives on the text that is in it.
    ///
    /// # Errors
    /// A stream that there is not. What was in front of it has been given on.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut text: impl FnMut(Stream, &[u8])) -> Result<(), NoStream> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (now, later) = bytes.split_at(bytes.len().min(self.left));
                text(self.stream, now);
                self.left -= now.len();
                bytes = later;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.have));
            for (place, byte) in self.head.iter_mut().skip(self.have).zip(now) {
                *place = *byte;
            }
            self.have += now.len();
            bytes = later;
            if self.have == HEAD_BYTES {
                self.have = 0;
                let [stream, _, _, _, a, b, c, d] = self.head;
                self.stream = match stream {
                    // 0 is what a terminal would echo.
                    0 | 1 => Stream::Stdout,
                    2 => Stream::Stderr,
                    other => return Err(NoStream(other)),
                };
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, text].concat()
    }

    proptest! {
        #[test]
        fn frames_come_out_the_same_in_whatever_pieces_they_come(
            frames in proptest::collection::vec((1u8..=2, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            piece in 1usize..20,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(stream, text)| frame(*stream, text)).collect();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut taken = Frames::new();
            for piece in bytes.chunks(piece) {
                taken.take(piece, |stream, text| match stream {
                    Stream::Stdout => out.extend_from_slice(text),
                    Stream::Stderr => err.extend_from_slice(text),
                }).unwrap();
            }
            let of = |number| frames.iter().filter(move |(stream, _)| *stream == number).flat_map(|(_, text)| text.clone());
            prop_assert_eq!((out, err), (of(1).collect::<Vec<_>>(), of(2).collect::<Vec<_>>()));
        }

        #[test]
        fn whatever_comes_no_more_is_given_on_than_came(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut given = 0;
            let _ = Frames::new().take(&bytes, |_, text| given += text.len());
            prop_assert!(given <= bytes.len());
        }
    }
}
