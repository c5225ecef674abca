//! What the journal promises of series: they go on from where they were, and no older order takes their place.

use orderly_model::schedule::{Plan, Reading, Series, State};
use orderly_signing::merkle::TargetProof;
use orderly_signing::order::{self, Due, Misfire, Overlap};
use serde_json::json;

use super::super::record::{Advanced, Armed, Began, Seen, floor};
use super::*;

impl Kept {
    /// Where the order lies is another place after a rewrite.
    pub(super) fn without_place(self) -> Self {
        Self { armed: At { place: Place { offset: 0, length: 0 }, nth: 0 }, ..self }
    }
}

/// The state after so many runs.
fn state(revision: u32, number: u32) -> State {
    let (misfire, overlap) = (Misfire::Skip, Overlap::Skip);
    let due = Due::Frequency("rate(5m)".to_owned());
    let plan = Plan::new(&order::Series { revision, due, until_ms: None, misfire, overlap }, 1).unwrap();
    let reading = json!({"wall_ms": 1, "elapsed_ms": 1, "awake_ms": 1, "boot": "b"});
    let reading: Reading = serde_json::from_value(reading).unwrap();
    let mut state = serde_json::to_value(Series::arm(plan, &reading).state()).unwrap();
    state["number"] = json!(number);
    serde_json::from_value(state).unwrap()
}

fn order_of(revision: u32) -> Digest {
    Digest::of(format!("series {revision}").as_bytes())
}

/// Takes an order of the series in, as the agent does: one write with what is told.
pub(super) fn arm(journal: &mut Journal, revision: u32) {
    let order = order_of(revision);
    let seen = Seen {
        order,
        id: Some(format!("o-series-{revision}")),
        invocation: Some("t-1".to_owned()),
        at_ms: 1,
        // The first of all expires last.
        expires_ms: 2_000 - i64::from(revision),
        stopping: false,
        series: true,
    };
    let armed = Armed {
        invocation: "t-1".to_owned(),
        order,
        revision,
        envelope: revision.to_le_bytes().to_vec(),
        proof: TargetProof { index: 0, hashes: Vec::new() },
        plugin: None,
        built_ins: BTreeMap::new(),
        at_ms: 10 * i64::from(revision),
        expires_ms: seen.expires_ms,
        state: state(revision, 0),
    };
    let accepted = told(journal, order, ReportEvent::Accepted { at_ms: 1 });
    journal.append(&[Record::Seen(seen), Record::Armed(Box::new(armed)), accepted]).unwrap();
}

/// A run has ended: its receipt and where the series stands, in one write.
pub(super) fn advance(journal: &mut Journal, number: u32, ended_ms: Option<i64>) {
    let Some(kept) = journal.series("t-1") else { return };
    let (order, revision) = (kept.order, kept.revision);
    let previous = Some(Digest::of(&number.to_le_bytes()));
    let advanced = Advanced {
        invocation: "t-1".to_owned(),
        state: state(revision, number),
        previous,
        ended_ms,
        end: None,
        expires_ms: None,
        untold: Vec::new(),
    };
    let ended = told(journal, order, finished(1));
    journal.append(&[ended, Record::Advanced(Box::new(advanced))]).unwrap();
}

fn began(number: u32) -> Began {
    Began { invocation: "t-1".to_owned(), order: order_of(2), number, tree: None }
}

pub(super) fn begin(journal: &mut Journal, number: u32) {
    journal.append(&[Record::Began(began(number))]).unwrap();
}

#[test]
fn a_series_goes_on_from_where_it_was_after_restarts_and_rewrites() {
    let (dir, mut journal) = fresh();
    arm(&mut journal, 2);
    advance(&mut journal, 7, None);
    begin(&mut journal, 8);
    for round in ["appended", "rewritten", "rewritten twice"] {
        let kept = journal.series("t-1").unwrap().clone();
        assert_eq!((kept.revision, kept.order), (2, order_of(2)), "{round}");
        assert_eq!(kept.state, state(2, 7), "{round}");
        assert_eq!(kept.previous, Some(Digest::of(&7_u32.to_le_bytes())), "{round}");
        assert_eq!(kept.began, Some(began(8)), "{round}");
        assert_eq!(journal.armed(&kept).unwrap().unwrap().envelope, 2_u32.to_le_bytes(), "{round}");
        assert_eq!(journal.live_series(), ["t-1"], "{round}");
        assert_eq!(journal.unfinished().len(), 0, "{round}: it is no task that was interrupted");
        assert_eq!(
            journal.known(&order_of(2)),
            Some(Known::Open { stopping: false }),
            "{round}: its order came already"
        );
        journal.acknowledge(u64::MAX, 0).unwrap();
        journal.compact(KEEP_MS * 2).unwrap();
        drop(journal);
        (journal, _) = open(dir.path());
    }
}

#[test]
fn series_revision_rolled_back_changes_nothing() {
    let (dir, mut journal) = fresh();
    arm(&mut journal, 1);
    arm(&mut journal, 3);
    advance(&mut journal, 4, None);
    let newest = journal.series("t-1").unwrap().clone();
    arm(&mut journal, 2);
    arm(&mut journal, 3);
    assert_eq!(journal.series("t-1"), Some(&newest));
    journal.compact(KEEP_MS * 2).unwrap();
    arm(&mut journal, 2);
    drop(journal);
    let (journal, _) = open(dir.path());
    let kept = journal.series("t-1").unwrap().clone();
    assert_eq!(kept.clone().without_place(), newest.without_place());
    assert_eq!(kept.at_ms, 10, "it is as old as its first order");
}

#[test]
fn a_series_that_ended_is_remembered_for_as_long_as_one_of_its_orders_could_come_again() {
    let (_dir, mut journal) = fresh();
    arm(&mut journal, 1);
    arm(&mut journal, 2);
    advance(&mut journal, 1, Some(500));
    journal.acknowledge(u64::MAX, 0).unwrap();
    assert_eq!(journal.live_series(), [""; 0]);
    let later = KEEP_MS * 2;
    journal.append(&[floor(1_998)]).unwrap();
    journal.compact(later).unwrap();
    assert!(journal.series("t-1").is_some(), "its first order expires at 1999");
    arm(&mut journal, 2);
    assert_eq!(journal.live_series(), [""; 0], "an old order does not bring it back");
    journal.acknowledge(u64::MAX, 0).unwrap();
    journal.append(&[floor(1_999)]).unwrap();
    journal.compact(later).unwrap();
    assert_eq!(journal.series("t-1"), None);
    assert_eq!((journal.known(&order_of(1)), journal.known(&order_of(2))), (None, None));
}

#[test]
fn a_series_of_a_journal_that_was_damaged_is_in_doubt_and_a_later_one_is_not() {
    let (dir, mut journal) = fresh();
    arm(&mut journal, 1);
    let damaged = usize::try_from(journal.length).unwrap() + 40;
    advance(&mut journal, 1, None);
    advance(&mut journal, 2, None);
    assert!(!journal.is_doubtful(journal.series("t-1").unwrap()));
    drop(journal);
    let path = dir.path().join(NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[damaged] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (journal, _) = open(dir.path());
    let kept = journal.series("t-1").unwrap();
    assert!(journal.is_doubtful(kept));
    assert!(!journal.is_doubtful(&Kept { at_ms: 5_000, ..kept.clone() }));
}
