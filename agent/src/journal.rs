//! The journal: what this agent promised, did and has to tell, over crashes and reboots.
//!
//! Owns one append-only file in the data directory. What [`Journal::append`] has answered is on the disk, and only
//! then may anybody be told of it. An order that is in here never starts again; a report that is in here is told
//! until it is acknowledged. It never decides what to do with an order. Nothing to stop: no thread, no timer; a
//! torn end of the file is cut off when it is opened again, damage in the middle is set aside, salvaged and told.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use orderly_host::platform::TreeIdentity;
use orderly_signing::digest::Digest;
use orderly_wire::to_server::Report;

mod compact;
mod frame;
mod index;
mod outbox;
pub(crate) mod record;
pub(crate) mod series;
#[cfg(test)]
mod tests;

use frame::{End, PAYLOAD_MAX, Place};
use index::{At, Index, State};
use record::{Opened, Record, VERSION};

/// The file's name in the data directory.
const NAME: &str = "journal";

/// Bytes below which the file is not rewritten.
const COMPACT_MIN_BYTES: u64 = 1024 * 1024;

/// How long an ended order is remembered at least, so that a resend is answered with its receipt: 7 days.
const KEEP_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The journal cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The file cannot be opened, read or made.
    #[error("the journal `{path}` cannot be {doing}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Records could not be put on the disk. None of them is there.
    #[error("the journal cannot be written: is the disk full?")]
    Write(#[source] io::Error),
    /// An earlier write failed in a way that leaves the end of the file unknown.
    #[error("the journal is not written any more since an earlier write failed half-way: start the agent again")]
    Broken,
    /// Records are too large for one entry.
    #[error("{size} bytes are too many for one journal entry, at most {PAYLOAD_MAX} are allowed")]
    TooLarge {
        /// How many there are.
        size: usize,
    },
    /// A record cannot be written as, or read from, JSON.
    #[error("a record of the journal is not what this version of the agent writes")]
    Json(#[source] serde_json::Error),
    /// Written by a newer agent.
    #[error("the journal has version {0}, this agent knows {VERSION}: run the agent that wrote it")]
    Version(u32),
}

impl JournalError {
    /// Whether the record itself cannot be written, however often it is tried.
    pub(crate) fn is_about_the_record(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Json(_))
    }
}

/// What is known of an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known {
    /// Accepted, not ended.
    Open {
        /// Whether a stop was asked for.
        stopping: bool,
    },
    /// Ended or refused.
    Ended,
}

/// A task that was accepted and has not ended.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    /// Its order.
    pub order: Digest,
    /// The invocation that it names.
    pub invocation: Option<String>,
    /// Its process tree, where it had one already.
    pub tree: Option<TreeIdentity>,
}

/// What opening found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// All was well.
    Whole,
    /// There was none.
    New,
    /// The last write had been cut off; so many bytes were removed.
    Torn(u64),
    /// It was damaged at this offset; the file was set aside here, and what was whole of it was kept.
    Corrupt(u64, PathBuf),
    /// There was none, though the agent is enrolled.
    Missing,
}

/// Whether a journal must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Made if absent: the instance is new and no order can be for it yet.
    Fresh,
    /// It was made at enrolment: if it is absent it was lost, and with it what ran already.
    Existing,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole frames: where the next one goes.
    length: u64,
    /// Bytes behind `length` that are set aside for what must be written later.
    reserved: u64,
    broken: bool,
    index: Index,
    compacted_length: u64,
    /// Answers that the disk did not take: told, but forgotten with the process.
    unrecorded: BTreeMap<u64, Report>,
}

impl Journal {
    /// Opens or makes the journal of this data directory, and says what it found.
    ///
    /// # Errors
    /// The file cannot be read or written, or a newer agent wrote it.
    pub(crate) fn open(directory: &Path, expect: Expect, now_ms: i64) -> Result<(Self, Found), JournalError> {
        let path = directory.join(NAME);
        let failed = |doing| {
            let path = path.clone();
            move |source| JournalError::File { path, doing, source }
        };
        let old = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let distrust = (expect == Expect::Existing).then_some(now_ms);
                let journal = Self::write_new(
                    &path,
                    &Index { distrust_before_ms: distrust, next_seq: 1, ..Index::default() },
                    None,
                )?;
                let found = if distrust.is_some() { Found::Missing } else { Found::New };
                return Ok((journal, found));
            }
            Err(source) => return Err(failed("read")(source)),
        };
        let mut index = Index { next_seq: 1, ..Index::default() };
        // A file without a first record was cut off while it was made; an empty one never is left by us otherwise.
        let mut unopened = true;
        let read = frame::read(&old, |place, payload| {
            unopened = false;
            replay(&mut index, payload, place).map_err(Unread::Journal)
        });
        let (end, bytes) = match read {
            Ok(found) => found,
            Err(Unread::Journal(error)) => return Err(error),
            Err(Unread::File(source)) => return Err(failed("read")(source)),
        };
        match end {
            End::Corrupt(offset) => {
                let aside = directory.join(format!("{NAME}.corrupt-{now_ms}"));
                // A second name for it: it keeps the first until the new file is whole and takes that over.
                std::fs::hard_link(&path, &aside).map_err(failed("set aside"))?;
                index.distrust_before_ms = Some(now_ms.max(index.floor_ms));
                // Sequence numbers may have been used in the damaged part: leave a gap that no agent fills.
                index.next_seq += 1_000_000;
                let old = File::open(&aside).map_err(failed("read"))?;
                let journal = Self::write_new(&path, &index, Some(&old))?;
                Ok((journal, Found::Corrupt(offset, aside)))
            }
            _ if unopened => {
                let distrust = (expect == Expect::Existing).then_some(now_ms);
                index.distrust_before_ms = distrust;
                let journal = Self::write_new(&path, &index, None)?;
                Ok((journal, if distrust.is_some() { Found::Missing } else { Found::New }))
            }
            end => {
                let file = open_file(&path).map_err(failed("opened"))?;
                let length = if let End::Torn(at) = end { at } else { bytes };
                let found = if let End::Torn(at) = end { Found::Torn(bytes - at) } else { Found::Whole };
                if found != Found::Whole {
                    file.set_len(length)
                        .and_then(|()| file.sync_all())
                        .map_err(failed("cut to its last whole entry"))?;
                }
                Ok((
                    Self {
                        path,
                        file,
                        length,
                        reserved: 0,
                        broken: false,
                        index,
                        compacted_length: 0,
                        unrecorded: BTreeMap::new(),
                    },
                    found,
                ))
            }
        }
    }

    /// Puts records on the disk, all or none, and only then answers.
    ///
    /// # Errors
    /// Nothing of it is there: the disk is full, or fails.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        self.write(records, true)
    }

    /// Adds a record without waiting for the disk: it outlives this process, but perhaps not the machine.
    ///
    /// # Errors
    /// The disk is full, or fails.
    pub(crate) fn note(&mut self, record: &Record) -> Result<(), JournalError> {
        self.write(std::slice::from_ref(record), false)
    }

    fn write(&mut self, records: &[Record], sync: bool) -> Result<(), JournalError> {
        if self.broken {
            return Err(JournalError::Broken);
        }
        let payload = serde_json::to_vec(records).map_err(JournalError::Json)?;
        if payload.len() > PAYLOAD_MAX {
            return Err(JournalError::TooLarge { size: payload.len() });
        }
        let bytes = frame::encode(self.length, &payload);
        let written = self.file.write_all_at(&bytes, self.length);
        let written = written.and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(source) = written {
            // What a failed write or sync has left is unknown; cut it off, and if that fails too, stop writing.
            let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
            self.broken = cut.is_err();
            // Cutting has given back what was set aside.
            self.reserve_now();
            return Err(JournalError::Write(source));
        }
        let place = Place {
            offset: self.length + frame::OVERHEAD as u64,
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        };
        self.length += bytes.len() as u64;
        for (nth, record) in records.iter().enumerate() {
            self.index.apply(record, At { place, nth: u16::try_from(nth).unwrap_or(u16::MAX) });
        }
        Ok(())
    }

    /// Sets room aside behind the end, so that the end of a task can be written on a disk that has filled up
    /// meanwhile. `bytes` is the whole room that all open tasks may need.
    ///
    /// # Errors
    /// There is not so much room.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<(), JournalError> {
        compact::allocate(&self.file, self.length, bytes).map_err(JournalError::Write)?;
        self.reserved = bytes;
        Ok(())
    }

    fn reserve_now(&mut self) {
        if let Err(error) = compact::allocate(&self.file, self.length, self.reserved) {
            tracing::warn!(%error, "no room can be set aside for the ends of running tasks");
        }
    }

    /// The sequence number for the next report.
    pub(crate) fn next_seq(&self) -> u64 {
        self.index.next_seq
    }

    /// What is known of an order.
    pub(crate) fn known(&self, order: &Digest) -> Option<Known> {
        self.index.entries.get(order).map(|entry| match entry.state {
            State::Open | State::Series => Known::Open { stopping: entry.stopping },
            State::Ended(_) => Known::Ended,
        })
    }

    /// The invocation that an order names.
    pub(crate) fn invocation(&self, order: &Digest) -> Option<String> {
        self.index.entries.get(order).and_then(|entry| entry.invocation.clone())
    }

    /// The digest of the order that was seen with this id.
    pub(crate) fn digest_of(&self, id: &str) -> Option<Digest> {
        self.index.by_id.get(id).copied()
    }

    /// Orders signed before this may have run without a trace.
    pub(crate) fn distrust_before_ms(&self) -> Option<i64> {
        self.index.distrust_before_ms
    }

    /// The newest time that a verified document said.
    pub(crate) fn floor_ms(&self) -> i64 {
        self.index.floor_ms
    }

    /// The highest revision of an approval of this version of a plugin that was verified here.
    pub(crate) fn approval_revision(&self, name: &str, version: &str) -> Option<u64> {
        self.index.approvals.get(&(name.to_owned(), version.to_owned())).copied()
    }

    /// Tasks that were accepted and have not ended, oldest first.
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        let mut open: Vec<_> = self.index.entries.iter().filter(|(_, entry)| entry.state == State::Open).collect();
        open.sort_by_key(|(_, entry)| entry.at_ms);
        open.into_iter()
            .map(|(order, entry)| Unfinished {
                order: *order,
                invocation: entry.invocation.clone(),
                tree: entry.tree.clone(),
            })
            .collect()
    }
}

fn opened(index: &Index) -> Record {
    Record::Opened(Opened { version: VERSION, next_seq: index.next_seq, distrust_before_ms: index.distrust_before_ms })
}

fn replay(index: &mut Index, payload: &[u8], place: Place) -> Result<(), JournalError> {
    let records: Vec<Record> = serde_json::from_slice(payload).map_err(JournalError::Json)?;
    for (nth, record) in records.iter().enumerate() {
        if let Record::Opened(opened) = record
            && opened.version != VERSION
        {
            return Err(JournalError::Version(opened.version));
        }
        index.apply(record, At { place, nth: u16::try_from(nth).unwrap_or(u16::MAX) });
    }
    Ok(())
}

/// Why a file was not read to its end.
enum Unread {
    File(io::Error),
    Journal(JournalError),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

fn read_record(file: &File, at: At) -> io::Result<Record> {
    let mut payload = vec![0; at.place.length as usize];
    file.read_exact_at(&mut payload, at.place.offset)?;
    let records: Vec<Record> = serde_json::from_slice(&payload)?;
    records.into_iter().nth(usize::from(at.nth)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).mode(0o600).open(path)
}
