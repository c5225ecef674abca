//! rpm's own kind of database, `Packages.db` (SUSE and others).
//!
//! Owns slots and blobs. Format: rpm's `lib/backend/ndb/rpmpkg.c`.

use orderly_plugin::files::ReadAt;

use super::bytes::le32;
use super::{Fault, Found, HEADER_MAX, exactly};

const PAGE: usize = 4096;
const SLOT: usize = 16;
/// Offsets and lengths of blobs are counted in blocks of this many bytes.
const BLOCK: u64 = 16;
const MAGIC: u32 = u32::from_le_bytes(*b"RpmP");
const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"Slot");
const BLOB_MAGIC: u32 = u32::from_le_bytes(*b"BlbS");
/// Pages of slots: 256 slots each, so a million packages.
const SLOT_PAGES_MAX: u32 = 4096;

/// Reads all packages.
pub(crate) fn packages(file: &dyn ReadAt) -> Result<Found, Fault> {
    let head = exactly(file, 0, 2 * SLOT)?;
    if le32(&head, 0) != Some(MAGIC) || le32(&head, 4) != Some(0) {
        return Err(Fault::Format("no rpm package database of version 0"));
    }
    let pages = le32(&head, 12).unwrap_or(0);
    if pages == 0 || pages > SLOT_PAGES_MAX {
        return Err(Fault::Format("an impossible number of pages"));
    }
    let mut found = Found::default();
    for page in 0..pages {
        let slots = exactly(file, u64::from(page) * PAGE as u64, PAGE)?;
        // The first page begins with the file's header.
        let skipped = if page == 0 { 2 } else { 0 };
        for slot in slots.chunks_exact(SLOT).skip(skipped) {
            let (magic, package, block) = (le32(slot, 0), le32(slot, 4).unwrap_or(0), le32(slot, 8).unwrap_or(0));
            if magic != Some(SLOT_MAGIC) {
                return Err(Fault::Format("a damaged slot"));
            }
            if block == 0 {
                continue;
            }
            match blob(file, package, u64::from(block) * BLOCK) {
                Ok(header) => found.take(&header),
                Err(Fault::Format(_)) => found.unreadable += 1,
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(found)
}

fn blob(file: &dyn ReadAt, package: u32, at: u64) -> Result<Vec<u8>, Fault> {
    let head = exactly(file, at, SLOT)?;
    if le32(&head, 0) != Some(BLOB_MAGIC) || le32(&head, 4) != Some(package) {
        return Err(Fault::Format("a slot points to no package"));
    }
    let length = le32(&head, 12).and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    if length > HEADER_MAX {
        return Err(Fault::Format("a package's header is too long"));
    }
    exactly(file, at + SLOT as u64, length)
}
