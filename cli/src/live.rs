//! Output of running tasks on the terminal: as it comes, in order, and whole at the end.
//!
//! Owns how far each task's output has been shown. Live chunks are lossy: what is missing is shown from the stored
//! output when the task ends, so that nothing is shown twice and nothing is left out unseen. Never asks a server.

use std::collections::BTreeMap;

use orderly_signing::InstanceId;
use orderly_wire::to_server::{KeptOutput, Segment, Stream};

use crate::output::{Printer, Tone, printable};

/// Where shown bytes go.
pub(crate) trait Screen {
    /// Standard output of a task.
    fn out(&mut self, bytes: &[u8]);
    /// Standard error of a task.
    fn err(&mut self, bytes: &[u8]);
    /// A remark about the output.
    fn remark(&mut self, text: &str);
}

/// The real terminal. A progress bar, where there is one, is taken away while something is written.
pub(crate) struct Terminal<'a> {
    /// The way to it.
    pub(crate) printer: &'a Printer,
    /// The bar.
    pub(crate) bar: Option<indicatif::ProgressBar>,
}

impl Terminal<'_> {
    fn write(&self, write: impl FnOnce(&Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(self.printer)),
            None => write(self.printer),
        }
    }
}

impl Screen for Terminal<'_> {
    fn out(&mut self, bytes: &[u8]) {
        self.write(|printer| printer.raw(bytes));
    }

    fn err(&mut self, bytes: &[u8]) {
        self.write(|printer| printer.raw_error(bytes));
    }

    fn remark(&mut self, text: &str) {
        self.write(|printer| printer.remark_toned(Tone::Dim, text, ""));
    }
}

/// The longest line that is held back to be shown whole; a longer one is shown in parts.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// The output of all tasks of an invocation.
#[derive(Debug)]
pub(crate) struct Live {
    /// Whether lines are marked with the instance's name.
    prefixed: bool,
    /// Whether nothing may be missing: then what follows a missed chunk waits for the end.
    whole: bool,
    tasks: BTreeMap<InstanceId, Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    /// Bytes of the whole output that were shown.
    bytes: u64,
    /// A chunk before this one was missed: the rest follows at the end.
    held: bool,
    /// Begun lines, of standard output and standard error.
    lines: [Vec<u8>; 2],
}

impl Live {
    /// For the tasks of one invocation; lines are marked with names where there are `several`.
    ///
    /// With `whole` all output is shown, in order, and live only as far as no chunk was missed: for files and pipes.
    /// Without it a missed chunk is said and the view goes on: for a person who watches.
    pub(crate) fn new(several: bool, whole: bool) -> Self {
        Self { prefixed: several, whole, tasks: BTreeMap::new() }
    }

    /// Bytes of this task's output that were shown.
    pub(crate) fn shown(&self, instance: &InstanceId) -> u64 {
        self.tasks.get(instance).map_or(0, |shown| shown.bytes)
    }

    /// A live chunk, which begins after `offset` bytes of the task's whole output.
    pub(crate) fn chunk(
        &mut self,
        screen: &mut dyn Screen,
        instance: &InstanceId,
        name: &str,
        offset: u64,
        segments: &[Segment],
    ) {
        let prefix = self.prefixed.then_some(name);
        let shown = self.tasks.entry(instance.clone()).or_default();
        if shown.held {
            return;
        }
        if offset > shown.bytes && self.whole {
            shown.held = true;
            return;
        }
        if offset > shown.bytes {
            shown.end_lines(screen, prefix);
            let missed = offset - shown.bytes;
            screen.remark(&format!("… {missed} bytes of `{name}` were missed here; `orderly task output` has them …"));
            shown.bytes = offset;
        }
        shown.show(screen, prefix, offset, segments);
    }

    /// The end of a task: what was not shown yet, from the stored output.
    pub(crate) fn finish(
        &mut self,
        screen: &mut dyn Screen,
        instance: &InstanceId,
        name: &str,
        kept: Option<&KeptOutput>,
    ) {
        let prefix = self.prefixed.then_some(name);
        let mut shown = self.tasks.remove(instance).unwrap_or_default();
        if let Some(kept) = kept {
            shown.show(screen, prefix, 0, &kept.head);
            let head: u64 = kept.head.iter().map(|segment| segment.data.len() as u64).sum();
            let tail_at = head.saturating_add(kept.dropped_bytes);
            if shown.bytes < tail_at {
                shown.end_lines(screen, prefix);
                let left_out = tail_at - shown.bytes;
                screen.remark(&format!("… {left_out} bytes of `{name}` were not kept …"));
                shown.bytes = tail_at;
            }
            shown.show(screen, prefix, tail_at, &kept.tail);
        }
        shown.end_lines(screen, prefix);
        // Remembered, so that a chunk that comes late is not shown again.
        shown.held = true;
        self.tasks.insert(instance.clone(), shown);
    }
}

impl Shown {
    /// Shows the part of the segments that was not shown yet.
    fn show(&mut self, screen: &mut dyn Screen, prefix: Option<&str>, offset: u64, segments: &[Segment]) {
        let mut at = offset;
        for segment in segments {
            let end = at.saturating_add(segment.data.len() as u64);
            if end > self.bytes {
                let skip = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(usize::MAX);
                let fresh = segment.data.get(skip..).unwrap_or_default();
                self.write(screen, prefix, segment.stream, fresh);
                self.bytes = end;
            }
            at = end;
        }
    }

    fn write(&mut self, screen: &mut dyn Screen, prefix: Option<&str>, stream: Stream, bytes: &[u8]) {
        let Some(prefix) = prefix else {
            emit(screen, stream, bytes);
            return;
        };
        let line = &mut self.lines[index(stream)];
        let mut text = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= LINE_MAX_BYTES {
                push_line(&mut text, prefix, line);
            }
        }
        emit(screen, stream, &text);
    }

    fn end_lines(&mut self, screen: &mut dyn Screen, prefix: Option<&str>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = &mut self.lines[index(stream)];
            if let Some(prefix) = prefix.filter(|_| !line.is_empty()) {
                let mut text = Vec::new();
                push_line(&mut text, prefix, line);
                emit(screen, stream, &text);
            }
        }
    }
}

fn push_line(text: &mut Vec<u8>, prefix: &str, line: &mut Vec<u8>) {
    text.extend_from_slice(printable(prefix).as_bytes());
    text.extend_from_slice(b" | ");
    text.append(line);
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
}

const fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

fn emit(screen: &mut dyn Screen, stream: Stream, bytes: &[u8]) {
    match stream {
        _ if bytes.is_empty() => {}
        Stream::Stdout => screen.out(bytes),
        Stream::Stderr => screen.err(bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::SecretKey;
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Paper {
        out: String,
        err: String,
        remarks: Vec<String>,
    }

    impl Screen for Paper {
        fn out(&mut self, bytes: &[u8]) {
            self.out.push_str(std::str::from_utf8(bytes).unwrap());
        }
        fn err(&mut self, bytes: &[u8]) {
            self.err.push_str(std::str::from_utf8(bytes).unwrap());
        }
        fn remark(&mut self, text: &str) {
            self.remarks.push(text.to_owned());
        }
    }

    fn id() -> InstanceId {
        InstanceId::of(SecretKey::from_seed([1; 32]).public())
    }

    fn segment(text: &str) -> Segment {
        Segment { stream: Stream::Stdout, data: text.as_bytes().to_vec() }
    }

    fn kept(head: &str, dropped_bytes: u64, tail: &str) -> KeptOutput {
        KeptOutput { head: vec![segment(head)], dropped_bytes, tail: vec![segment(tail)] }
    }

    #[test]
    fn lines_are_whole_and_marked() {
        let (mut live, mut paper) = (Live::new(true, true), Paper::default());
        live.chunk(&mut paper, &id(), "a", 0, &[segment("on"), segment("e\ntw")]);
        assert_eq!(paper.out, "a | one\n");
        live.finish(&mut paper, &id(), "a", Some(&kept("one\ntwo", 0, "")));
        assert_eq!(paper.out, "a | one\na | two\n");
    }

    #[test]
    fn what_was_dropped_is_said() {
        let (mut live, mut paper) = (Live::new(false, true), Paper::default());
        live.finish(&mut paper, &id(), "a", Some(&kept("head\n", 100, "tail\n")));
        assert_eq!(paper.out, "head\ntail\n");
        assert!(paper.remarks[0].contains("100 bytes"), "{:?}", paper.remarks);
    }

    #[test]
    fn live_output_that_the_store_dropped_is_not_said_to_be_lost() {
        let (mut live, mut paper) = (Live::new(false, true), Paper::default());
        live.chunk(&mut paper, &id(), "a", 0, &[segment("0123456789")]);
        live.finish(&mut paper, &id(), "a", Some(&kept("01", 6, "89")));
        assert_eq!((paper.out.as_str(), paper.remarks.len()), ("0123456789", 0));
    }

    #[test]
    fn a_person_who_watches_sees_on_after_a_missed_chunk() {
        let (mut live, mut paper) = (Live::new(false, false), Paper::default());
        live.chunk(&mut paper, &id(), "a", 4, &[segment("live\n")]);
        live.finish(&mut paper, &id(), "a", Some(&kept("lostlive\nend\n", 0, "")));
        assert_eq!(paper.out, "live\nend\n");
        assert!(paper.remarks[0].contains("4 bytes"), "{:?}", paper.remarks);
    }

    proptest! {
        /// Whatever chunks are lost or come twice: the whole output is shown once and in order.
        #[test]
        fn nothing_is_shown_twice_or_left_out(
            text in "[a-z\n]{0,40}",
            chunks in proptest::collection::vec((0usize..40, 0usize..10), 0..12),
            several: bool,
        ) {
            let (mut live, mut paper) = (Live::new(several, true), Paper::default());
            for (at, length) in chunks {
                let at = at.min(text.len());
                let end = (at + length).min(text.len());
                live.chunk(&mut paper, &id(), "n", at as u64, &[segment(&text[at..end])]);
            }
            live.finish(&mut paper, &id(), "n", Some(&kept(&text, 0, "")));
            live.chunk(&mut paper, &id(), "n", 0, &[segment(&text)]);
            let shown = if several { paper.out.replace("n | ", "") } else { paper.out.clone() };
            let mut expected = text;
            if several && !expected.is_empty() && !expected.ends_with('\n') { expected.push('\n'); }
            prop_assert_eq!(shown, expected);
        }
    }
}
