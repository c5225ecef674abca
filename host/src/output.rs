//! A task's output: what is kept of it, how it is counted and digested, and the pump that reads it.
//!
//! Owns the rule of head and tail. Memory is bounded by the cap whatever the size of the output: a script that
//! prints 10 GB costs what one that prints 10 KB costs. It never interprets the bytes, except that a cut never
//! splits a UTF-8 character.

use std::collections::VecDeque;

use orderly_signing::{Digest, DigestWriter};
use serde::{Deserialize, Serialize};

mod pump;
#[cfg(test)]
mod tests;

pub use pump::{PumpEnd, pump};

/// Most segments of each half of what is kept under a cap of `cap` bytes: enough for streams that alternate line by line.
pub const fn segments_max(cap: u32) -> usize {
    1_024 + cap as usize / 128
}

/// Which of the two streams bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Where live output goes while the task runs. Called on the task's own thread: it must not block.
pub trait OutputSink {
    /// Bytes as they were read, at most 32 KiB at a time.
    fn chunk(&mut self, stream: Stream, bytes: &[u8]);

    /// How far a plugin says that it is. Lossy; ignored unless a sink wants it.
    fn progress(&mut self, done: u32, total: u32, message: &str) {
        let _ = (done, total, message);
    }

    /// A capability that a plugin used, as the receipt words it; told only where a trace was asked for.
    fn used(&mut self, capability: &str) {
        let _ = capability;
    }
}

/// A sink that throws everything away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl OutputSink for NoSink {
    fn chunk(&mut self, _stream: Stream, _bytes: &[u8]) {}
}

/// Bytes of one stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The stream.
    pub stream: Stream,
    /// The bytes; never empty.
    pub bytes: Vec<u8>,
}

/// What is kept of a task's output, and what is said of all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The first bytes. Where nothing was dropped, `tail` continues it without a gap.
    pub head: Vec<Segment>,
    /// The last bytes.
    pub tail: Vec<Segment>,
    /// Bytes between head and tail that are not kept.
    pub dropped_bytes: u64,
    /// Bytes of both streams.
    pub total_bytes: u64,
    /// Bytes of descriptor 1.
    pub stdout_bytes: u64,
    /// Bytes of descriptor 2.
    pub stderr_bytes: u64,
    /// SHA-256 over all bytes of both streams, in the order in which they were read.
    pub sha256: Digest,
}

/// Builds a [`Kept`]. Memory is at most proportional to the cap.
pub struct Keeper {
    /// Most segments of the head, and of the tail. Without it two streams that alternate byte by byte would cost, kept
    /// and told, some forty times their bytes.
    segments_max: usize,
    head_cap: usize,
    tail_cap: usize,
    head: Vec<Segment>,
    head_bytes: usize,
    tail: VecDeque<u8>,
    /// Streams of the bytes in `tail`, run-length coded.
    runs: VecDeque<(Stream, usize)>,
    stdout_bytes: u64,
    stderr_bytes: u64,
    digest: DigestWriter,
}

impl Keeper {
    /// Keeps at most `cap` bytes: half of them from the start, half from the end, each half in at most
    /// [`segments_max`] segments.
    pub fn new(cap: u32) -> Self {
        let segments_max = segments_max(cap);
        let cap = cap as usize;
        let head_cap = cap / 2;
        Self {
            segments_max,
            head_cap,
            tail_cap: cap - head_cap,
            head: Vec::new(),
            head_bytes: 0,
            tail: VecDeque::new(),
            runs: VecDeque::new(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            digest: DigestWriter::new(),
        }
    }

    /// Bytes of both streams so far.
    pub fn total_bytes(&self) -> u64 {
        self.stdout_bytes.saturating_add(self.stderr_bytes)
    }

    /// Takes the next bytes.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.digest.update(bytes);
        let count = match stream {
            Stream::Stdout => &mut self.stdout_bytes,
            Stream::Stderr => &mut self.stderr_bytes,
        };
        *count = count.saturating_add(bytes.len() as u64);

        if self.head.len() == self.segments_max && self.head.last().is_some_and(|last| last.stream != stream) {
            self.head_cap = self.head_bytes;
        }
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_cap - self.head_bytes));
        self.head_bytes += first.len();
        append(&mut self.head, stream, first);
        self.push_tail(stream, rest);
    }

    fn push_tail(&mut self, stream: Stream, bytes: &[u8]) {
        let bytes = bytes.get(bytes.len().saturating_sub(self.tail_cap)..).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        self.drop_front((self.tail.len() + bytes.len()).saturating_sub(self.tail_cap));
        self.tail.extend(bytes);
        match self.runs.back_mut() {
            Some((last, length)) if *last == stream => *length += bytes.len(),
            _ => self.runs.push_back((stream, bytes.len())),
        }
        if self.runs.len() > self.segments_max {
            self.drop_front(self.runs.front().map_or(0, |(_, length)| *length));
        }
    }

    fn drop_front(&mut self, mut count: usize) {
        self.tail.drain(..count);
        while count > 0 {
            let Some((_, length)) = self.runs.front_mut() else { return };
            if *length > count {
                *length -= count;
                return;
            }
            count -= *length;
            self.runs.pop_front();
        }
    }

    /// Ends the output.
    pub fn finish(mut self) -> Kept {
        let total_bytes = self.total_bytes();
        let mut tail = Vec::new();
        let flat = self.tail.make_contiguous();
        let mut at = 0;
        for &(stream, length) in &self.runs {
            append(&mut tail, stream, flat.get(at..at + length).unwrap_or_default());
            at += length;
        }
        let kept = (self.head_bytes + flat.len()) as u64;
        let mut dropped_bytes = total_bytes - kept;
        if dropped_bytes > 0 {
            dropped_bytes += cut_end(&mut self.head) + cut_start(&mut tail);
        }
        Kept {
            head: self.head,
            tail,
            dropped_bytes,
            total_bytes,
            stdout_bytes: self.stdout_bytes,
            stderr_bytes: self.stderr_bytes,
            sha256: self.digest.finish(),
        }
    }
}

fn append(segments: &mut Vec<Segment>, stream: Stream, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match segments.last_mut() {
        Some(last) if last.stream == stream => last.bytes.extend_from_slice(bytes),
        _ => segments.push(Segment { stream, bytes: bytes.to_vec() }),
    }
}

/// Takes the begun but unfinished UTF-8 character off the end; says how many bytes that were.
fn cut_end(segments: &mut Vec<Segment>) -> u64 {
    let Some(last) = segments.last_mut() else { return 0 };
    let length = last.bytes.len();
    let unfinished = (1..=3.min(length))
        .find(|back| last.bytes.get(length - back).is_some_and(|byte| !is_continuation(*byte)))
        .filter(|back| {
            last.bytes.get(length - back).is_some_and(|byte| {
                let wants = match byte {
                    0xC2..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    0xF0..=0xF4 => 4,
                    _ => 1,
                };
                wants > *back
            })
        })
        .unwrap_or(0);
    last.bytes.truncate(length - unfinished);
    if last.bytes.is_empty() {
        segments.pop();
    }
    unfinished as u64
}

/// Takes the rest of a UTF-8 character that began before the cut off the start; says how many bytes that were.
fn cut_start(segments: &mut Vec<Segment>) -> u64 {
    let Some(first) = segments.first_mut() else { return 0 };
    let rest = first.bytes.iter().take(3).take_while(|byte| is_continuation(**byte)).count();
    first.bytes.drain(..rest);
    if first.bytes.is_empty() {
        segments.remove(0);
    }
    rest as u64
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
