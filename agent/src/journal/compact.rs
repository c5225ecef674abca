//! Rewriting the journal to what still matters, and setting room aside on the disk.
//!
//! Owns the rewrite: a new file beside the old one, synced, then renamed over it, so that a crash leaves one whole
//! journal. Nothing that is open or unacknowledged is ever left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use orderly_wire::to_server::ReportEvent;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::index::{Index, State};
use super::record::{Advanced, Armed, Closed, Record, Seen, TreeOf};
use super::record::{approved, floor};
use super::{Journal, JournalError, KEEP_MS, frame, opened, read_record, replay};

/// Approvals in one entry: far below what an entry holds.
const APPROVALS_MAX: usize = 1_000;

impl Journal {
    /// Rewrites the file without what nobody needs any more.
    ///
    /// # Errors
    /// The old file stays as it is: the new one cannot be written.
    pub(super) fn compact(&mut self, now_ms: i64) -> Result<(), JournalError> {
        // Where the rewrite fails the next try waits until the file has doubled again.
        self.compacted_length = self.length;
        self.index.forget(now_ms, KEEP_MS);
        let new = Self::write_new(&self.path, &self.index, Some(&self.file))?;
        let (reserved, unrecorded) = (self.reserved, std::mem::take(&mut self.unrecorded));
        *self = Self { reserved, unrecorded, ..new };
        self.reserve_now();
        Ok(())
    }

    /// Makes a journal file with what this index says; what it points at is read from the old file.
    pub(super) fn write_new(path: &Path, old: &Index, from: Option<&File>) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.to_owned(), doing: "written anew", source };
        let temporary = path.with_extension("new");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        let mut writer = Writer { file: &file, length: 0, index: Index::default() };
        writer.put(&[opened(old), floor(old.floor_ms)]).map_err(failed)?;
        let approvals = old.approvals.iter();
        let approvals: Vec<_> =
            approvals.map(|((name, version), revision)| approved(name, version, *revision)).collect();
        for some in approvals.chunks(APPROVALS_MAX) {
            writer.put(some).map_err(failed)?;
        }
        if let Some(from) = from {
            writer.copy(old, from).map_err(failed)?;
        }
        let Writer { length, mut index, .. } = writer;
        index.next_seq = old.next_seq;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&temporary, path).map_err(failed)?;
        sync_directory(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            reserved: 0,
            broken: false,
            index,
            compacted_length: length,
            unrecorded: BTreeMap::new(),
        })
    }
}

struct Writer<'a> {
    file: &'a File,
    length: u64,
    index: Index,
}

impl Writer<'_> {
    fn put(&mut self, records: &[Record]) -> io::Result<()> {
        let payload = serde_json::to_vec(records)?;
        let bytes = frame::encode(self.length, &payload);
        self.file.write_all_at(&bytes, self.length)?;
        let place = frame::Place {
            offset: self.length + frame::OVERHEAD as u64,
            length: u32::try_from(payload.len()).map_err(|_| io::ErrorKind::FileTooLarge)?,
        };
        self.length += bytes.len() as u64;
        replay(&mut self.index, &payload, place).map_err(io::Error::other)
    }

    fn copy(&mut self, old: &Index, from: &File) -> io::Result<()> {
        let waiting: BTreeSet<_> = old.outbox.values().map(|(_, order)| *order).collect();
        for (order, entry) in &old.entries {
            let mut records = vec![Record::Seen(Seen {
                order: *order,
                id: entry.id.clone(),
                at_ms: entry.at_ms,
                invocation: entry.invocation.clone(),
                expires_ms: entry.expires_ms,
                stopping: entry.stopping,
                series: entry.state == State::Series,
            })];
            match entry.state {
                State::Open => {
                    let tree = entry.tree.clone();
                    records.extend(tree.map(|tree| Record::Tree(TreeOf { order: *order, tree })));
                }
                State::Series => {}
                // Its report follows below, whole.
                State::Ended(_) if waiting.contains(order) => {}
                State::Ended(at) => records.extend(closed(read_record(from, at)?)),
            }
            self.put(&records)?;
        }
        for (invocation, kept) in &old.series {
            let Record::Armed(armed) = read_record(from, kept.armed)? else { continue };
            let mut records = vec![
                Record::Armed(Box::new(Armed { at_ms: kept.at_ms, expires_ms: kept.expires_ms, ..*armed })),
                Record::Advanced(Box::new(Advanced {
                    invocation: invocation.clone(),
                    state: kept.state.clone(),
                    previous: kept.previous,
                    ended_ms: kept.ended_ms,
                    end: kept.end,
                    expires_ms: None,
                    untold: kept.untold.clone(),
                })),
            ];
            records.extend(kept.began.clone().map(Record::Began));
            self.put(&records)?;
        }
        for (at, _) in old.outbox.values() {
            self.put(&[read_record(from, *at)?])?;
        }
        Ok(())
    }
}

fn closed(record: Record) -> Option<Record> {
    match record {
        Record::Report(report) => match report.event {
            ReportEvent::Finished(finished) => {
                let kept =
                    finished.output.head.iter().chain(&finished.output.tail).map(|segment| segment.data.len() as u64);
                Some(Record::Closed(Closed {
                    order: report.order,
                    receipt: finished.receipt,
                    output_bytes: finished.output.dropped_bytes + kept.sum::<u64>(),
                }))
            }
            _ => None,
        },
        record @ Record::Closed(_) => Some(record),
        _ => None,
    }
}

/// Sets room aside behind the end of a file without changing its length. Where the file system cannot, nothing is
/// set aside.
pub(super) fn allocate(file: &File, length: u64, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, length, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => other.map_err(Into::into),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
