//! Berkeley DB's hash tables, `Packages` of older rpm (Red Hat 8 and before).
//!
//! Owns pages of hash tables as far as values that stand in overflow pages need: every header does. Files of
//! the other byte order are refused. Format: Berkeley DB's `dbinc/db_page.h`.

use orderly_plugin::files::ReadAt;

use super::bytes::{le16, le32};
use super::{Fault, Found, HEADER_MAX, exactly};

const HASH_MAGIC: u32 = 0x0006_1561;
/// Bytes of a page before its index.
const PAGE_HEAD: usize = 26;
const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH: u8 = 13;
/// An item that only says where its value is.
const ITEM_OFF_PAGE: u8 = 3;

/// Reads all packages.
pub(crate) fn packages(file: &dyn ReadAt) -> Result<Found, Fault> {
    let head = exactly(file, 0, 72)?;
    if le32(&head, 12) != Some(HASH_MAGIC) {
        return Err(Fault::Format("no Berkeley DB hash table of this machine's byte order"));
    }
    let page_size = match le32(&head, 20).and_then(|size| usize::try_from(size).ok()) {
        Some(size) if size.is_power_of_two() && (512..=65_536).contains(&size) => size,
        _ => return Err(Fault::Format("an impossible size of pages")),
    };
    let last = le32(&head, 32).unwrap_or(0);
    let table = Table { file, page_size, last };
    let mut found = Found::default();
    for number in 1..=last {
        let page = match table.page(number) {
            Ok(page) => page,
            // The last pages of a table may not have been written yet.
            Err(Fault::Format(_)) => break,
            Err(fault) => return Err(fault),
        };
        if matches!(page[25], PAGE_HASH | PAGE_HASH_UNSORTED) {
            table.values(&page, &mut found)?;
        }
    }
    Ok(found)
}

struct Table<'f> {
    file: &'f dyn ReadAt,
    page_size: usize,
    last: u32,
}

impl Table<'_> {
    fn page(&self, number: u32) -> Result<Vec<u8>, Fault> {
        exactly(self.file, u64::from(number) * self.page_size as u64, self.page_size)
    }

    /// Items come in pairs of key and value.
    fn values(&self, page: &[u8], found: &mut Found) -> Result<(), Fault> {
        let entries = usize::from(le16(page, 20).unwrap_or(0));
        for index in (1..entries).step_by(2) {
            let Some(at) = le16(page, PAGE_HEAD + index * 2).map(usize::from) else { break };
            if page.get(at) != Some(&ITEM_OFF_PAGE) {
                // The table's own counter is the one short value.
                continue;
            }
            let (Some(first), Some(length)) = (le32(page, at + 4), le32(page, at + 8)) else {
                found.unreadable += 1;
                continue;
            };
            match self.chain(first, length) {
                Ok(header) => found.take(&header),
                Err(Fault::Format(_)) => found.unreadable += 1,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    fn chain(&self, first: u32, length: u32) -> Result<Vec<u8>, Fault> {
        const DAMAGED: Fault = Fault::Format("a damaged chain of pages");
        let length = usize::try_from(length).ok().filter(|length| *length <= HEADER_MAX).ok_or(DAMAGED)?;
        let (mut value, mut next) = (Vec::new(), first);
        while value.len() < length {
            if next == 0 || next > self.last {
                return Err(DAMAGED);
            }
            let page = self.page(next)?;
            // On an overflow page the field for free space says how much is used.
            let used = usize::from(le16(&page, 22).unwrap_or(0));
            if page[25] != PAGE_OVERFLOW || used == 0 {
                return Err(DAMAGED);
            }
            value.extend_from_slice(page.get(PAGE_HEAD..PAGE_HEAD + used).ok_or(DAMAGED)?);
            next = le32(&page, 16).unwrap_or(0);
        }
        value.truncate(length);
        Ok(value)
    }
}
