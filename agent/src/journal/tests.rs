//! What the journal promises: a prefix after any cut, nothing invented, nothing synced forgotten, damage told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use orderly_wire::to_server::{Finished, KeptOutput, ReportEvent};

use super::index::Entry;
use super::record::{approved, floor, seen};
use super::series::Kept;
use super::*;

mod series;

impl Journal {
    /// From here on the disk takes nothing, or takes everything again.
    pub(crate) fn refuse_writes(&mut self, refused: bool) {
        self.broken = refused;
    }
}

fn order(number: u8) -> Digest {
    Digest::of(&[number])
}

fn finished(size: usize) -> ReportEvent {
    let segment =
        orderly_wire::to_server::Segment { stream: orderly_wire::to_server::Stream::Stdout, data: vec![b'x'; size] };
    let output = KeptOutput { head: vec![segment], ..KeptOutput::default() };
    ReportEvent::Finished(Box::new(Finished { receipt: b"receipt".to_vec(), output, report: None }))
}

fn told(journal: &Journal, order: Digest, event: ReportEvent) -> Record {
    Record::Report(Box::new(Report {
        seq: journal.next_seq(),
        order,
        invocation: Some("t-1".to_owned()),
        generation: 1,
        event,
    }))
}

fn accept(journal: &mut Journal, number: u8) {
    let id = Some(format!("o-{number}"));
    let accepted = told(journal, order(number), ReportEvent::Accepted { at_ms: 1 });
    journal.append(&[seen(order(number), id, Some("t-1".to_owned()), 1, 1000), accepted]).unwrap();
}

fn end(journal: &mut Journal, number: u8) {
    let ended = told(journal, order(number), finished(100));
    journal.append(&[ended]).unwrap();
}

fn open(dir: &Path) -> (Journal, Found) {
    Journal::open(dir, Expect::Existing, 5000).unwrap()
}

fn fresh() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, found) = Journal::open(dir.path(), Expect::Fresh, 5000).unwrap();
    assert_eq!(found, Found::New);
    (dir, journal)
}

fn reports(journal: &Journal) -> Vec<Report> {
    let mut all = Vec::new();
    while let Some(report) = journal.next_report(all.last().map_or(0, |last: &Report| last.seq)).unwrap() {
        all.push(report);
    }
    all
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let (dir, mut journal) = fresh();
    accept(&mut journal, 1);
    accept(&mut journal, 2);
    end(&mut journal, 1);
    journal.append(&[floor(777)]).unwrap();
    let before = reports(&journal);
    drop(journal);
    let (journal, found) = open(dir.path());
    assert_eq!(found, Found::Whole);
    assert_eq!(journal.known(&order(1)), Some(Known::Ended));
    assert_eq!(journal.known(&order(2)), Some(Known::Open { stopping: false }));
    assert_eq!(journal.known(&order(3)), None);
    assert_eq!(journal.digest_of("o-2"), Some(order(2)));
    assert_eq!((journal.floor_ms(), journal.next_seq(), journal.distrust_before_ms()), (777, 4, None));
    assert_eq!(reports(&journal), before);
    assert_eq!(journal.unfinished().len(), 1);
}

#[test]
fn the_highest_revision_of_an_approval_is_kept_over_restarts_and_rewrites() {
    let (dir, mut journal) = fresh();
    journal.append(&[approved("disk-report", "1.0.0", 3), approved("disk-report", "1.0.1", 1)]).unwrap();
    journal.append(&[approved("disk-report", "1.0.0", 2)]).unwrap();
    for round in ["appended", "rewritten", "rewritten twice"] {
        let revisions = ["1.0.0", "1.0.1", "2.0.0"].map(|version| journal.approval_revision("disk-report", version));
        assert_eq!(revisions, [Some(3), Some(1), None], "{round}");
        journal.compact(KEEP_MS * 2).unwrap();
        drop(journal);
        (journal, _) = open(dir.path());
    }
}

#[test]
fn acknowledged_reports_are_not_told_again_and_their_end_is_still_known() {
    let (dir, mut journal) = fresh();
    accept(&mut journal, 1);
    end(&mut journal, 1);
    journal.acknowledge(1, 0).unwrap();
    assert_eq!(reports(&journal).iter().map(|report| report.seq).collect::<Vec<_>>(), [2]);
    journal.acknowledge(u64::MAX, 0).unwrap();
    assert_eq!(
        (reports(&journal).len(), journal.next_seq()),
        (0, 3),
        "a number that was never given out silences nothing"
    );
    drop(journal);
    let (mut journal, _) = open(dir.path());
    assert_eq!(reports(&journal), []);
    journal.compact(5000).unwrap();
    let (invocation, ended) = journal.ended(&order(1)).unwrap().unwrap();
    assert_eq!((invocation.as_deref(), ended.receipt.as_slice()), (Some("t-1"), &b"receipt"[..]));
    assert_eq!(ended.output.dropped_bytes, 100, "the output is gone, and that is said");
    assert_eq!(journal.known(&order(1)), Some(Known::Ended));
}

#[test]
fn compaction_keeps_all_that_is_open_or_untold_and_shrinks() {
    let (dir, mut journal) = fresh();
    for number in 0..50 {
        accept(&mut journal, number);
        if number != 7 {
            end(&mut journal, number);
        }
    }
    journal.append(&[floor(2000)]).unwrap();
    let last = journal.next_seq() - 1;
    journal.acknowledge(last - 1, 0).unwrap();
    let (before, length) = (reports(&journal), journal.length);
    assert_eq!(before.len(), 1);
    journal.compact(KEEP_MS * 2).unwrap();
    assert!(journal.length < length / 4, "{} of {length}", journal.length);
    assert_eq!(reports(&journal), before);
    drop(journal);
    let (journal, found) = open(dir.path());
    assert_eq!(found, Found::Whole);
    assert_eq!(reports(&journal), before);
    assert_eq!(journal.unfinished().iter().map(|task| task.order).collect::<Vec<_>>(), [order(7)]);
    assert_eq!(journal.unfinished()[0].invocation.as_deref(), Some("t-1"));
    assert_eq!((journal.next_seq(), journal.floor_ms()), (last + 1, 2000));
    // Expired behind the floor and told long ago: forgotten, since the time check refuses it for ever.
    assert_eq!(journal.known(&order(1)), None);
}

#[test]
fn an_order_is_not_forgotten_while_a_clock_that_was_set_back_could_let_it_in_again() {
    let (_dir, mut journal) = fresh();
    accept(&mut journal, 1);
    end(&mut journal, 1);
    journal.acknowledge(2, 0).unwrap();
    journal.append(&[floor(999)]).unwrap();
    journal.compact(KEEP_MS * 2).unwrap();
    assert_eq!(journal.known(&order(1)), Some(Known::Ended), "it expires at 1000, the floor is 999");
    journal.append(&[floor(1000)]).unwrap();
    journal.compact(KEEP_MS * 2).unwrap();
    assert_eq!(journal.known(&order(1)), None);
}

/// A refusal of an order that was not verified: only its payload says when it ends.
fn refuse(journal: &mut Journal, order: Digest, expires_ms: i64) {
    let refused = told(journal, order, finished(0));
    journal.append(&[seen(order, None, Some("t-1".to_owned()), 1, expires_ms), refused]).unwrap();
    journal.acknowledge(journal.next_seq() - 1, 0).unwrap();
}

#[test]
fn an_order_refused_with_its_signatures_stripped_is_not_forgotten_under_a_flood_and_run_later() {
    let (_dir, mut journal) = fresh();
    refuse(&mut journal, order(1), 1_000_000);
    let junk = Entry { id: None, ..journal.index.entries.get(&order(1)).unwrap().clone() };
    let flood = |journal: &mut Journal, expires_ms: i64| {
        for number in 0..index::UNVERIFIED_MAX as u32 {
            let digest = Digest::of(&[&expires_ms.to_le_bytes()[..], &number.to_le_bytes()].concat());
            journal.index.entries.insert(digest, Entry { expires_ms, ..junk.clone() });
        }
    };
    flood(&mut journal, 0);
    assert!(!journal.crowded(true, 2), "what could never be accepted makes room");
    assert_eq!(journal.index.entries.len(), 1);
    journal.compact(KEEP_MS * 2).unwrap();
    assert_eq!(journal.known(&order(1)), Some(Known::Ended), "its receipt says that it was refused");
    flood(&mut journal, 2_000_000);
    assert!(journal.crowded(true, KEEP_MS * 2), "no receipt for what could not be remembered");
    assert!(!journal.crowded(false, KEEP_MS * 2), "orders that were verified are not kept out");
    assert_eq!(journal.known(&order(1)), Some(Known::Ended));
}

#[test]
fn a_server_that_never_acknowledges_does_not_fill_the_disk() {
    let (_dir, mut journal) = fresh();
    accept(&mut journal, 1);
    assert!(!journal.crowded(false, 0));
    let Some((seq, told)) = journal.index.outbox.last_key_value().map(|(seq, told)| (*seq, *told)) else { panic!() };
    journal.index.outbox.extend((0..outbox::UNTOLD_MAX as u64).map(|more| (seq + more, told)));
    assert!(journal.crowded(false, 0));
    journal.acknowledge(u64::MAX, 0).unwrap();
    journal.index.outbox.clear();
    assert!(!journal.crowded(false, 0));
}

#[test]
fn a_damaged_journal_is_distrusted_from_its_floor_where_the_clock_was_set_back() {
    let (dir, mut journal) = fresh();
    journal.append(&[floor(7000)]).unwrap();
    let damaged = usize::try_from(journal.length).unwrap() + 40;
    accept(&mut journal, 1);
    accept(&mut journal, 2);
    drop(journal);
    let path = dir.path().join(NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[damaged] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(open(dir.path()).0.distrust_before_ms(), Some(7000), "the clock says 5000");
}

#[test]
fn a_journal_that_is_gone_or_emptied_is_never_taken_for_a_new_one() {
    let (dir, mut journal) = fresh();
    accept(&mut journal, 1);
    drop(journal);
    std::fs::write(dir.path().join(NAME), b"").unwrap();
    let (journal, found) = open(dir.path());
    assert_eq!((found, journal.distrust_before_ms()), (Found::Missing, Some(5000)));
    drop(journal);
    std::fs::remove_file(dir.path().join(NAME)).unwrap();
    let (journal, found) = Journal::open(dir.path(), Expect::Existing, 6000).unwrap();
    assert_eq!((found, journal.distrust_before_ms()), (Found::Missing, Some(6000)));
    drop(journal);
    let (journal, found) = Journal::open(dir.path(), Expect::Existing, 9000).unwrap();
    assert_eq!((found, journal.distrust_before_ms()), (Found::Whole, Some(6000)), "it stays known");
}

#[test]
fn damage_in_the_middle_is_set_aside_and_what_is_whole_is_kept() {
    let (dir, mut journal) = fresh();
    accept(&mut journal, 1);
    let damaged = journal.length + 40;
    accept(&mut journal, 2);
    accept(&mut journal, 3);
    let next = journal.next_seq();
    drop(journal);
    let path = dir.path().join(NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(damaged).unwrap()] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (journal, found) = open(dir.path());
    let Found::Corrupt(offset, aside) = found else { panic!("{found:?}") };
    assert_eq!(offset, damaged - 40);
    assert_eq!(std::fs::read(aside).unwrap(), bytes, "the damaged file is kept for whoever looks into it");
    assert_eq!(journal.distrust_before_ms(), Some(5000));
    assert_eq!(journal.unfinished().iter().map(|task| task.order).collect::<Vec<_>>().len(), 2);
    assert!(journal.known(&order(1)).is_some() && journal.known(&order(3)).is_some());
    assert!(journal.next_seq() > next, "no number that the damaged part may hold is used again");
    drop(journal);
    assert_eq!(open(dir.path()).1, Found::Whole);
}

#[test]
fn room_that_was_set_aside_is_really_there() {
    let (dir, mut journal) = fresh();
    journal.reserve(64 * 1024).unwrap();
    let metadata = std::fs::metadata(dir.path().join(NAME)).unwrap();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    assert_eq!(metadata.len(), journal.length, "the file is not longer for it");
    assert!(blocks >= 64 * 1024, "{blocks}");
    assert!(journal.reserve(u64::MAX / 4).is_err());
}

#[test]
fn an_answer_that_the_disk_did_not_take_is_told_while_the_process_lives() {
    let (dir, mut journal) = fresh();
    accept(&mut journal, 1);
    let Record::Report(report) = told(&journal, order(2), finished(1)) else { panic!() };
    journal.tell_unrecorded(*report);
    end(&mut journal, 1);
    assert_eq!(reports(&journal).iter().map(|report| report.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(journal.unacknowledged(), 3);
    journal.acknowledge(2, 0).unwrap();
    assert_eq!(reports(&journal).iter().map(|report| report.seq).collect::<Vec<_>>(), [3]);
    drop(journal);
    assert_eq!(reports(&open(dir.path()).0).len(), 1);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Accept(u8),
    End(u8),
    Ack(u64),
    Compact,
    Arm(u32),
    Advance(u32),
    Begin(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8).prop_map(Step::Accept),
        4 => (0..6_u8).prop_map(Step::End),
        2 => (0..12_u64).prop_map(Step::Ack),
        1 => Just(Step::Compact),
        1 => (1..3_u32).prop_map(Step::Arm),
        1 => (1..3_u32).prop_map(Step::Advance),
        1 => (1..3_u32).prop_map(Step::Begin),
    ]
}

/// What a journal says, in a form that can be compared.
fn says(journal: &Journal) -> (Vec<Report>, Vec<Option<Known>>, u64, Option<Kept>) {
    let known = (0..6).map(|number| journal.known(&order(number))).collect();
    let kept = journal.series("t-1").map(|kept| {
        assert!(journal.armed(kept).unwrap().is_some(), "where its order lies");
        kept.clone().without_place()
    });
    (reports(journal), known, journal.next_seq(), kept)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// The file as a crash may leave it after each step, cut at every byte of what the step wrote: before the last byte the
    /// journal says what it said before the step, after it what it said behind it. Never anything else.
    #[test]
    fn a_crash_at_any_byte_leaves_the_state_before_or_after_the_write(steps in prop::collection::vec(step(), 1..14)) {
        let (dir, mut journal) = fresh();
        // Thousands of syncs: in memory where there is such a file system.
        let memory = Path::new("/dev/shm");
        let scratch = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        for step in steps {
            let (before, file_before) = (says(&journal), std::fs::read(dir.path().join(NAME)).unwrap());
            match step {
                Step::Accept(number) if journal.known(&order(number)).is_none() => accept(&mut journal, number),
                Step::End(number) if journal.known(&order(number)) == Some(Known::Open { stopping: false }) => {
                    end(&mut journal, number);
                }
                Step::Ack(seq) => journal.acknowledge(seq, 0).unwrap(),
                Step::Compact => journal.compact(0).unwrap(),
                Step::Arm(revision) => series::arm(&mut journal, revision),
                Step::Advance(number) => series::advance(&mut journal, number, None),
                Step::Begin(number) => series::begin(&mut journal, number),
                _ => {}
            }
            let after = says(&journal);
            let file = std::fs::read(dir.path().join(NAME)).unwrap();
            let appended = file.starts_with(&file_before);
            let from = if appended { file_before.len() } else { file.len() };
            for cut in from..=file.len() {
                std::fs::write(scratch.path().join(NAME), &file[..cut]).unwrap();
                let (reopened, found) = open(scratch.path());
                let expected = if cut == file.len() { &after } else { &before };
                prop_assert_eq!(&says(&reopened), expected);
                prop_assert!(matches!(found, Found::Whole | Found::Torn(_)));
            }
        }
    }
}
