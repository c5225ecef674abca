//! How entries lie in the journal's file, and how a file is read back after anything may have happened to it.
//!
//! Owns the frame format and the verdict on a file's end: clean, torn (a write that a crash cut off: it was never
//! synced, so nobody was told of it) or corrupt (bytes that were synced once and are wrong now). Torn and corrupt
//! are never confused with empty. It never interprets an entry.
//!
//! A frame is a header of 16 bytes (`OJ1` and a line end, the payload's length, 8 bytes of SHA-256 over both and the
//! frame's place in the file), 16 bytes of SHA-256 over the payload, and the payload. The place is in the check so
//! that bytes of another frame are never taken for one. One append is one frame: a crash tears the last frame only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

/// What every frame begins with.
const MAGIC: [u8; 4] = *b"OJ1\n";

/// Bytes before the payload.
pub(super) const OVERHEAD: usize = 32;

/// Most bytes of one payload: the largest report that a server takes, as JSON, with room for its companions.
pub(super) const PAYLOAD_MAX: usize = 12 * 1024 * 1024;

/// Where a payload lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset of the payload's first byte.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
}

impl Place {
    /// The offset behind the frame.
    fn end(self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// How a file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Behind a whole frame.
    Clean,
    /// In a frame whose writing was cut off; it begins here.
    Torn(u64),
    /// The first frame that is wrong though it was once whole begins here.
    Corrupt(u64),
}

/// What bytes hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scan {
    /// The payloads of the good frames, in order. Where the file is corrupt, those behind the damage too.
    places: Vec<Place>,
    /// How it ends.
    end: End,
}

/// Reads a file frame by frame and gives each good payload to `each`; holds one payload at a time. Where a frame is wrong the
/// rest of the file is looked at as a whole, to tell a cut-off write from damage and to find the good frames behind it.
/// Answers how the file ends, and its length.
pub(super) fn read<E: From<io::Error>>(
    file: &File,
    mut each: impl FnMut(Place, &[u8]) -> Result<(), E>,
) -> Result<(End, u64), E> {
    let length = file.metadata()?.len();
    let (mut at, mut payload) = (0, Vec::new());
    while at < length {
        let Some(place) = frame_in(file, at, length, &mut payload)? else {
            let mut rest = vec![0; usize::try_from(length - at).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut rest, at)?;
            let Scan { places, end } = scan(&rest, at);
            for place in places {
                let start = usize::try_from(place.offset - at).unwrap_or(usize::MAX);
                each(place, rest.get(start..start.saturating_add(place.length as usize)).unwrap_or_default())?;
            }
            return Ok((end, length));
        };
        each(place, &payload)?;
        at = place.end();
    }
    Ok((End::Clean, length))
}

/// Reads the payload of the frame at `at`; nothing where there is no good frame.
fn frame_in(file: &File, at: u64, length: u64, payload: &mut Vec<u8>) -> io::Result<Option<Place>> {
    let mut head = [0; OVERHEAD];
    if length - at < OVERHEAD as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut head, at)?;
    let (place, check) = match header(&head, at) {
        Ok((place, check)) if place.end() <= length => (place, check),
        _ => return Ok(None),
    };
    payload.resize(place.length as usize, 0);
    file.read_exact_at(payload, place.offset)?;
    Ok((check == payload_check(payload)).then_some(place))
}

/// The frame of a payload that will begin at `offset` in the file.
pub(super) fn encode(offset: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(OVERHEAD + payload.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&header_check(offset, length));
    frame.extend_from_slice(&payload_check(payload));
    frame.extend_from_slice(payload);
    frame
}

/// Reads the bytes of a file from offset `base` on, to its end.
fn scan(file: &[u8], base: u64) -> Scan {
    let mut places = Vec::new();
    let mut at = 0;
    while at < file.len() {
        match frame_at(file, at, base) {
            Ok(place) => {
                at = usize::try_from(place.end() - base).unwrap_or(usize::MAX);
                places.push(place);
            }
            Err(wrong) => {
                let later = resync(file, at + 1, base);
                let wrong_at = base + at as u64;
                let end = if later.is_empty() && wrong == Wrong::Unfinished {
                    End::Torn(wrong_at)
                } else {
                    End::Corrupt(wrong_at)
                };
                places.extend(later);
                return Scan { places, end };
            }
        }
    }
    Scan { places, end: End::Clean }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It could be a frame whose writing was cut off: it ends with the file, or pages of it never reached the disk.
    Unfinished,
    /// No cut-off write leaves this.
    Damaged,
}

/// What the header of a frame at `at` says: where its payload lies, and the check over it.
fn header(head: &[u8], at: u64) -> Result<(Place, [u8; 16]), Wrong> {
    let length = head.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    let good = head.get(..4) == Some(&MAGIC) && head.get(8..16) == Some(&header_check(at, length));
    let check = head.get(16..OVERHEAD).and_then(|bytes| bytes.try_into().ok());
    match check {
        Some(check) if good && length as usize <= PAYLOAD_MAX => {
            Ok((Place { offset: at + OVERHEAD as u64, length }, check))
        }
        _ => Err(Wrong::Damaged),
    }
}

fn frame_at(file: &[u8], at: usize, base: u64) -> Result<Place, Wrong> {
    let rest = file.get(at..).unwrap_or_default();
    if rest.iter().all(|&byte| byte == 0) {
        // A file system may have grown the file before it wrote the bytes.
        return Err(Wrong::Unfinished);
    }
    let Some((head, body)) = rest.split_at_checked(OVERHEAD) else {
        let shared = rest.len().min(MAGIC.len());
        return Err(if rest.get(..shared) == MAGIC.get(..shared) { Wrong::Unfinished } else { Wrong::Damaged });
    };
    let (place, check) = header(head, base + at as u64)?;
    let length = place.length as usize;
    let Some(payload) = body.get(..length) else { return Err(Wrong::Unfinished) };
    if check != payload_check(payload) {
        // The last frame of all may have pages that never reached the disk; `scan` looks for what follows it.
        return Err(if body.len() == length { Wrong::Unfinished } else { Wrong::Damaged });
    }
    Ok(place)
}

/// The good frames behind a wrong one.
fn resync(file: &[u8], from: usize, base: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = from;
    while at < file.len() {
        let rest = file.get(at..).unwrap_or_default();
        let Some(found) = rest.windows(MAGIC.len()).position(|window| window == MAGIC) else { break };
        at += found;
        match frame_at(file, at, base) {
            Ok(place) => {
                at = usize::try_from(place.end() - base).unwrap_or(usize::MAX);
                places.push(place);
            }
            Err(_) => at += 1,
        }
    }
    places
}

fn header_check(offset: u64, length: u32) -> [u8; 8] {
    let hash = Sha256::new().chain_update(MAGIC).chain_update(length.to_le_bytes()).chain_update(offset.to_le_bytes());
    let mut check = [0; 8];
    check.copy_from_slice(hash.finalize().get(..8).unwrap_or(&[0; 8]));
    check
}

fn payload_check(payload: &[u8]) -> [u8; 16] {
    let mut check = [0; 16];
    check.copy_from_slice(Sha256::digest(payload).get(..16).unwrap_or(&[0; 16]));
    check
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn file(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut file = Vec::new();
        for payload in payloads {
            file.extend(encode(file.len() as u64, payload));
        }
        file
    }

    fn read(file: &[u8], scan: &Scan) -> Vec<Vec<u8>> {
        let bytes = |place: &Place| file[place.offset as usize..place.end() as usize].to_vec();
        scan.places.iter().map(bytes).collect()
    }

    /// What is found in these bytes, from a file as from memory.
    fn looked_at(bytes: &[u8]) -> Scan {
        let found = scan(bytes, 0);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut places = Vec::new();
        let (end, length) = super::read(&file, |place, payload| {
            let start = place.offset as usize;
            assert_eq!(payload, &bytes[start..start + place.length as usize]);
            places.push(place);
            io::Result::Ok(())
        })
        .unwrap();
        assert_eq!((Scan { places, end }, length), (found.clone(), bytes.len() as u64));
        found
    }

    #[test]
    fn cut_at_every_byte_a_file_gives_a_prefix_and_is_torn_or_clean() {
        let payloads: Vec<Vec<u8>> = vec![b"first".to_vec(), Vec::new(), b"third, longer".to_vec(), b"4".to_vec()];
        let whole = file(&payloads);
        let mut ends = vec![0];
        for payload in &payloads {
            ends.push(ends.last().unwrap() + OVERHEAD + payload.len());
        }
        for cut in 0..=whole.len() {
            let found = looked_at(&whole[..cut]);
            let complete = ends.iter().filter(|&&end| end <= cut).count() - 1;
            assert_eq!(read(&whole, &found), payloads[..complete], "cut at {cut}");
            let expected = if ends.contains(&cut) { End::Clean } else { End::Torn(ends[complete] as u64) };
            assert_eq!(found.end, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_tail_of_zeros_or_with_missing_pages_is_torn() {
        let payloads = vec![b"one".to_vec(), vec![b'x'; 9000]];
        let mut grown = file(&payloads[..1]);
        let good = grown.len() as u64;
        grown.extend([0; 5000]);
        assert_eq!(looked_at(&grown).end, End::Torn(good));
        let mut paged = file(&payloads);
        let length = paged.len();
        paged[length - 4000..].fill(0);
        let found = looked_at(&paged);
        assert_eq!((found.places.len(), found.end), (1, End::Torn(good)));
    }

    proptest! {
        #[test]
        fn a_flipped_byte_never_invents_an_entry_and_before_the_last_frame_is_corrupt(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 2..6),
            place: prop::sample::Index,
            flip in 1..=255_u8,
        ) {
            let mut bytes = file(&payloads);
            let last = bytes.len() - OVERHEAD - payloads.last().unwrap().len();
            let at = place.index(bytes.len());
            bytes[at] ^= flip;
            let found = looked_at(&bytes);
            prop_assert!(found.end != End::Clean);
            for payload in read(&bytes, &found) {
                prop_assert!(payloads.contains(&payload));
            }
            prop_assert_eq!(found.places.len(), payloads.len() - 1);
            if at < last {
                prop_assert!(matches!(found.end, End::Corrupt(_)));
            }
        }

        #[test]
        fn reading_is_total(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(looked_at(&bytes).places.is_empty() || bytes.windows(4).any(|window| window == MAGIC));
        }
    }
}
