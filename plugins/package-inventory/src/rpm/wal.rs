//! SQLite's write-ahead log: pages that are newer than those in the database file.
//!
//! Owns which of its frames count: those with the log's salts and right checksums, up to the last commit.
//! Format: sqlite.org/fileformat2.html, section 4.

use std::collections::HashMap;

use orderly_plugin::files::ReadAt;

use super::bytes::be32;
use super::{Fault, exactly};

const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// Frames that are looked at: 4 GiB of pages of 4 KiB.
const FRAMES_MAX: u64 = 1024 * 1024;

/// Where each page that the log holds begins in the log's file.
pub(super) fn pages(file: &dyn ReadAt, page_size: usize) -> Result<HashMap<u32, u64>, Fault> {
    let mut committed = HashMap::new();
    let head = file.read_at(0, HEAD)?;
    let Some(big_endian) = endianness(&head) else { return Ok(committed) };
    if be32(&head, 8).and_then(|size| usize::try_from(size).ok()) != Some(page_size) {
        return Err(Fault::Format("the log's pages differ in size from the database's"));
    }
    let mut sum = checksum((0, 0), &head[..24], big_endian);
    if (Some(sum.0), Some(sum.1)) != (be32(&head, 24), be32(&head, 28)) {
        return Ok(committed);
    }
    let mut pending = Vec::new();
    for index in 0..FRAMES_MAX {
        let at = HEAD as u64 + index * (FRAME_HEAD + page_size) as u64;
        // A frame that is cut short, of an older log or torn ends what counts.
        let Ok(frame) = exactly(file, at, FRAME_HEAD + page_size) else { break };
        sum = checksum(sum, &frame[..8], big_endian);
        sum = checksum(sum, &frame[FRAME_HEAD..], big_endian);
        if frame[8..16] != head[16..24] || (Some(sum.0), Some(sum.1)) != (be32(&frame, 16), be32(&frame, 20)) {
            break;
        }
        pending.push((be32(&frame, 0).unwrap_or(0), at + FRAME_HEAD as u64));
        if be32(&frame, 4).is_some_and(|size| size > 0) {
            committed.extend(pending.drain(..));
        }
    }
    Ok(committed)
}

/// The byte order of the checksums; `None` where this is no log.
fn endianness(head: &[u8]) -> Option<bool> {
    match be32(head, 0)? {
        0x377f_0682 if head.len() == HEAD => Some(false),
        0x377f_0683 if head.len() == HEAD => Some(true),
        _ => None,
    }
}

fn checksum(mut sum: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
        Ok(word) if big_endian => u32::from_be_bytes(word),
        Ok(word) => u32::from_le_bytes(word),
        Err(_) => 0,
    };
    for pair in bytes.chunks_exact(8) {
        sum.0 = sum.0.wrapping_add(word(&pair[..4])).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(word(&pair[4..])).wrapping_add(sum.0);
    }
    sum
}
