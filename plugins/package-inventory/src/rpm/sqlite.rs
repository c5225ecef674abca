//! Reads one table of an SQLite database: rpm's `Packages`.
//!
//! Owns pages, trees and records as far as that table needs them. Never locks: the agent's host gives a plugin no locks,
//! so a database that is being written may read as damaged, and then it is told so.
//! Format: sqlite.org/fileformat2.html.

use std::collections::HashMap;

use orderly_plugin::files::ReadAt;

use super::bytes::{be16, be32};
use super::{Fault, Found, HEADER_MAX, exactly, wal};

/// Trees of tables are not deeper: with 4 KiB pages that would be more rows than rows can have.
const DEPTH_MAX: usize = 12;
/// Pages that are read for one table, so that a loop in a file ends.
const PAGES_MAX: usize = 2 * 1024 * 1024;

/// Reads all packages. `log` is the write-ahead log, where there is one.
pub(crate) fn packages(file: &dyn ReadAt, log: Option<&dyn ReadAt>) -> Result<Found, Fault> {
    let mut database = Database::open(file, log)?;
    let mut root = None;
    database.table(1, &mut |_, record| {
        if root.is_none() {
            root = packages_root(record);
        }
    })?;
    let root = root.ok_or(Fault::Format("there is no table Packages"))?;
    let mut found = Found::default();
    database.table(root, &mut |_, record| match columns(record).and_then(|columns| columns.into_iter().nth(1)) {
        Some(Value::Bytes(blob)) => found.take(blob),
        _ => found.unreadable += 1,
    })?;
    Ok(found)
}

/// The root page, where a row of the schema table describes `Packages`.
fn packages_root(record: &[u8]) -> Option<u32> {
    let columns = columns(record)?;
    let is = |index: usize, text: &[u8]| matches!(columns.get(index), Some(Value::Bytes(bytes)) if *bytes == text);
    match columns.get(3) {
        Some(Value::Integer(root)) if is(0, b"table") && is(1, b"Packages") => u32::try_from(*root).ok(),
        _ => None,
    }
}

struct Database<'f> {
    file: &'f dyn ReadAt,
    log: Option<(&'f dyn ReadAt, HashMap<u32, u64>)>,
    page_size: usize,
    /// Bytes of a page that hold content.
    usable: usize,
    pages_read: usize,
}

impl<'f> Database<'f> {
    fn open(file: &'f dyn ReadAt, log: Option<&'f dyn ReadAt>) -> Result<Self, Fault> {
        let head = exactly(file, 0, 100)?;
        if !head.starts_with(b"SQLite format 3\0") {
            return Err(Fault::Format("no SQLite database"));
        }
        let page_size = match be16(&head, 16) {
            Some(1) => 65_536,
            Some(size) if size.is_power_of_two() && size >= 512 => usize::from(size),
            _ => return Err(Fault::Format("an impossible size of pages")),
        };
        let usable = page_size - usize::from(head[20]);
        if usable < 480 {
            return Err(Fault::Format("an impossible reserve in pages"));
        }
        let log = match log {
            Some(log) => Some((log, wal::pages(log, page_size)?)),
            None => None,
        };
        Ok(Self { file, log, page_size, usable, pages_read: 0 })
    }

    fn page(&mut self, number: u32) -> Result<Vec<u8>, Fault> {
        self.pages_read += 1;
        if number == 0 || self.pages_read > PAGES_MAX {
            return Err(Fault::Format("pages point in a circle or nowhere"));
        }
        if let Some((log, pages)) = &self.log
            && let Some(at) = pages.get(&number)
        {
            return exactly(*log, *at, self.page_size);
        }
        exactly(self.file, u64::from(number - 1) * self.page_size as u64, self.page_size)
    }

    /// Gives every row of the table with this root page: its id and its record.
    fn table(&mut self, root: u32, row: &mut dyn FnMut(i64, &[u8])) -> Result<(), Fault> {
        self.pages_read = 0;
        self.subtree(root, 0, row)
    }

    fn subtree(&mut self, number: u32, depth: usize, row: &mut dyn FnMut(i64, &[u8])) -> Result<(), Fault> {
        const DAMAGED: Fault = Fault::Format("a damaged page");
        if depth > DEPTH_MAX {
            return Err(Fault::Format("a tree that is too deep"));
        }
        let page = self.page(number)?;
        // The first page begins with the file's header.
        let start = if number == 1 { 100 } else { 0 };
        let kind = *page.get(start).ok_or(DAMAGED)?;
        let cells = usize::from(be16(&page, start + 3).ok_or(DAMAGED)?);
        let pointers = start + if kind == 0x05 { 12 } else { 8 };
        let cell = |index: usize| Some(usize::from(be16(&page, pointers + index * 2)?));
        match kind {
            // Inside: children left of each key, and one more at the right.
            0x05 => {
                for index in 0..cells {
                    let child = cell(index).and_then(|at| be32(&page, at)).ok_or(DAMAGED)?;
                    self.subtree(child, depth + 1, row)?;
                }
                self.subtree(be32(&page, start + 8).ok_or(DAMAGED)?, depth + 1, row)
            }
            0x0d => {
                for index in 0..cells {
                    let at = cell(index).ok_or(DAMAGED)?;
                    let (length, first) = varint(&page, at).ok_or(DAMAGED)?;
                    let (id, second) = varint(&page, at + first).ok_or(DAMAGED)?;
                    let payload = self.payload(&page, at + first + second, length)?;
                    row(id, &payload);
                }
                Ok(())
            }
            _ => Err(Fault::Format("a page that is no table's")),
        }
    }

    /// A payload: what is in the page, then a chain of overflow pages.
    fn payload(&mut self, page: &[u8], at: usize, length: i64) -> Result<Vec<u8>, Fault> {
        const DAMAGED: Fault = Fault::Format("a damaged row");
        let length = usize::try_from(length).ok().filter(|length| *length <= HEADER_MAX).ok_or(DAMAGED)?;
        let most = self.usable - 35;
        if length <= most {
            return Ok(page.get(at..at + length).ok_or(DAMAGED)?.to_vec());
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = least + (length - least) % (self.usable - 4);
        let local = if local <= most { local } else { least };
        let mut payload = page.get(at..at + local).ok_or(DAMAGED)?.to_vec();
        let mut next = be32(page, at + local).ok_or(DAMAGED)?;
        while payload.len() < length {
            let overflow = self.page(next)?;
            let wanted = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(overflow.get(4..4 + wanted).ok_or(DAMAGED)?);
            next = be32(&overflow, 0).ok_or(DAMAGED)?;
        }
        Ok(payload)
    }
}

/// A value of a record; others than these are told apart by nobody here.
enum Value<'r> {
    Integer(i64),
    Bytes(&'r [u8]),
    Other,
}

/// The values of a record.
fn columns(record: &[u8]) -> Option<Vec<Value<'_>>> {
    let (head, mut at) = varint(record, 0)?;
    let head = usize::try_from(head).ok()?;
    let mut body = head;
    let mut columns = Vec::new();
    while at < head {
        let (kind, length) = varint(record, at)?;
        at += length;
        let size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = record.get(body..body.checked_add(size)?)?;
        body += size;
        columns.push(match kind {
            1..=6 => Value::Integer(integer(bytes)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            12.. => Value::Bytes(bytes),
            _ => Value::Other,
        });
    }
    Some(columns)
}

/// A signed number of 1 to 8 bytes, the greatest first.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| (number << 8) | i64::from(*byte))
}

/// A number of 1 to 9 bytes, and how many they are.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number = 0_u64;
    for index in 0..9 {
        let byte = *bytes.get(at.checked_add(index)?)?;
        if index == 8 {
            return Some(((number << 8 | u64::from(byte)).cast_signed(), 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number.cast_signed(), index + 1));
        }
    }
    None
}
