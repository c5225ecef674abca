//! Reports become facts only as far as their receipts prove them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::receipt::{OutputDigest, Receipt};
use orderly_signing::sign::sign_receipt;
use orderly_wire::to_server::{Finished, KeptOutput, Report, ReportEvent, Segment, Stream, UNREADABLE};

use super::Reporter;
use crate::store::fact::{Ended, What};
use crate::tests::fleet::key;

fn receipt(key: &SecretKey, output: &[u8]) -> Receipt {
    let bytes = output.len() as u64;
    Receipt {
        version: 1,
        order: Digest::of(b"order"),
        invocation: format!("t-{}", "0".repeat(26)),
        instance: InstanceId::of(key.public()),
        generation: 1,
        series: None,
        status: "Success".to_owned(),
        code: None,
        reason: None,
        check: None,
        exit_code: Some(0),
        output: OutputDigest { sha256: Digest::of(output), bytes, stdout_bytes: bytes, stderr_bytes: 0 },
        report: None,
        started_ms: Some(1),
        finished_ms: 2,
        used: Vec::new(),
        agent: "0.1.0".to_owned(),
    }
}

fn kept(text: &str, dropped_bytes: u64) -> KeptOutput {
    let segment = Segment { stream: Stream::Stdout, data: text.as_bytes().to_vec() };
    KeptOutput { head: vec![segment], dropped_bytes, tail: Vec::new() }
}

/// What the intake makes of an end: reported by the holder of `mine`, with a receipt signed by `signer`.
fn ended(mine: &SecretKey, signer: &SecretKey, receipt: &Receipt, output: KeptOutput) -> Option<Ended> {
    reported(mine, signer, receipt, output, (None, 1))
}

/// The same, of a report that names an invocation and a run.
fn reported(
    mine: &SecretKey,
    signer: &SecretKey,
    receipt: &Receipt,
    output: KeptOutput,
    (invocation, generation): (Option<&str>, u32),
) -> Option<Ended> {
    let reporter = Reporter { instance: 7, key: mine.public().clone() };
    let receipt = sign_receipt(receipt, signer).unwrap().to_json();
    let fact = reporter.fact(Report {
        seq: 1,
        order: Digest::of(b"order"),
        invocation: invocation.map(str::to_owned),
        generation,
        event: ReportEvent::Finished(Box::new(Finished { receipt, output, report: None })),
    });
    assert_eq!((fact.instance, fact.order), (7, Digest::of(b"order")));
    match fact.what {
        What::Ended(ended) => Some(*ended),
        What::Unproven { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_receipt_is_the_end_that_it_says() {
    let key = key();
    let end = ended(&key, &key, &receipt(&key, b"hi"), kept("hi", 0)).unwrap();
    assert_eq!((end.status.as_str(), end.exit_code, end.output_bytes), ("Success", Some(0), 2));
    assert_eq!(serde_json::from_slice::<KeptOutput>(&end.output).unwrap(), kept("hi", 0));
}

#[test]
fn forged_receipt() {
    let (mine, other) = (key(), key());
    assert!(ended(&mine, &other, &receipt(&mine, b""), KeptOutput::default()).is_none());
    assert!(ended(&mine, &other, &receipt(&other, b""), KeptOutput::default()).is_none());
    assert!(ended(&mine, &mine, &receipt(&other, b""), KeptOutput::default()).is_none(), "another's id under this key");
}

#[test]
fn receipt_for_another_order() {
    let key = key();
    let receipt = Receipt { order: Digest::of(b"other"), ..receipt(&key, b"") };
    assert!(ended(&key, &key, &receipt, KeptOutput::default()).is_none());
}

#[test]
fn receipt_for_another_invocation_or_run_than_the_report() {
    let key = key();
    let receipt = receipt(&key, b"");
    let of = |receipt: &Receipt, about| reported(&key, &key, receipt, KeptOutput::default(), about);
    let end = of(&receipt, (Some(&receipt.invocation), 1)).unwrap();
    assert_eq!(end.invocation.as_ref(), Some(&receipt.invocation));
    assert!(of(&receipt, (Some("t-other"), 1)).is_none());
    assert!(of(&receipt, (Some(&receipt.invocation), 2)).is_none());
    assert_eq!(of(&receipt, (None, 1)).unwrap().invocation, Some(receipt.invocation.clone()), "the store compares it");
    // What was never read names no invocation, and what names none never began.
    let unread = Receipt { invocation: UNREADABLE.to_owned(), started_ms: None, ..receipt };
    assert_eq!(of(&unread, (None, 1)).unwrap().invocation, None);
    let began = Receipt { started_ms: Some(1), ..unread };
    assert_eq!(of(&began, (None, 1)).unwrap().invocation.as_deref(), Some(UNREADABLE));
}

#[test]
fn a_receipt_that_ends_nothing_is_no_end() {
    let key = key();
    for status in ["Running", "Done", "success"] {
        let receipt = Receipt { status: status.to_owned(), ..receipt(&key, b"") };
        assert!(ended(&key, &key, &receipt, KeptOutput::default()).is_none(), "{status}");
    }
}

#[test]
fn an_output_that_the_receipt_does_not_cover_is_left_out() {
    let key = key();
    let receipt = receipt(&key, b"0123456789");
    let stored = |output| {
        let end = ended(&key, &key, &receipt, output).unwrap();
        serde_json::from_slice::<KeptOutput>(&end.output).unwrap()
    };
    let nothing = KeptOutput { head: Vec::new(), dropped_bytes: 10, tail: Vec::new() };
    assert_eq!(stored(kept("0123456789", 0)), kept("0123456789", 0));
    assert_eq!(stored(kept("0123", 6)), kept("0123", 6), "what was dropped cannot be checked, the sizes can");
    assert_eq!(stored(kept("012345678X", 0)), nothing, "other bytes");
    assert_eq!(stored(kept("0123", 7)), nothing, "sizes that do not add up");
    assert_eq!(stored(kept("0123", u64::MAX)), nothing);
    let moved = |dropped_bytes, text: &str| {
        let segment = Segment { stream: Stream::Stderr, data: text.as_bytes().to_vec() };
        KeptOutput { head: vec![segment], dropped_bytes, tail: Vec::new() }
    };
    assert_eq!(stored(moved(0, "0123456789")), nothing, "the bytes of the other stream");
    assert_eq!(stored(moved(6, "0123")), nothing, "more of a stream than there was");
}
