//! The keeper against a naive restatement of its rule, and its cuts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn flat(segments: &[Segment]) -> Vec<(Stream, u8)> {
    segments.iter().flat_map(|segment| segment.bytes.iter().map(|byte| (segment.stream, *byte))).collect()
}

proptest! {
    #[test]
    fn keeps_what_the_naive_rule_keeps(
        cap in 0u32..40,
        chunks in prop::collection::vec((any::<bool>(), prop::collection::vec(0u8..0x7F, 0..30)), 0..20),
    ) {
        let mut keeper = Keeper::new(cap);
        let mut all = Vec::new();
        for (is_stdout, bytes) in &chunks {
            let stream = if *is_stdout { Stream::Stdout } else { Stream::Stderr };
            keeper.push(stream, bytes);
            all.extend(bytes.iter().map(|byte| (stream, *byte)));
        }
        let kept = keeper.finish();
        let head_length = all.len().min(cap as usize / 2);
        let tail_length = (all.len() - head_length).min(cap as usize - cap as usize / 2);
        prop_assert_eq!(flat(&kept.head), &all[..head_length]);
        prop_assert_eq!(flat(&kept.tail), &all[all.len() - tail_length..]);
        prop_assert_eq!(kept.dropped_bytes as usize, all.len() - head_length - tail_length);
        prop_assert_eq!(kept.total_bytes as usize, all.len());
        prop_assert_eq!(kept.stdout_bytes + kept.stderr_bytes, kept.total_bytes);
        let bytes: Vec<u8> = all.iter().map(|(_, byte)| *byte).collect();
        prop_assert_eq!(kept.sha256, Digest::of(&bytes));
        prop_assert!(kept.head.iter().chain(&kept.tail).all(|segment| !segment.bytes.is_empty()));
    }

    #[test]
    fn a_cut_never_splits_a_character(text in "[aé€😀]{0,60}", cap in 0u32..64) {
        let mut keeper = Keeper::new(cap);
        keeper.push(Stream::Stdout, text.as_bytes());
        let kept = keeper.finish();
        let head: Vec<u8> = kept.head.iter().flat_map(|segment| segment.bytes.clone()).collect();
        let tail: Vec<u8> = kept.tail.iter().flat_map(|segment| segment.bytes.clone()).collect();
        if kept.dropped_bytes == 0 {
            prop_assert_eq!([head, tail].concat(), text.as_bytes());
        } else {
            prop_assert!(std::str::from_utf8(&head).is_ok());
            prop_assert!(std::str::from_utf8(&tail).is_ok());
            prop_assert_eq!(kept.dropped_bytes as usize, text.len() - head.len() - tail.len());
        }
    }
}

#[test]
fn bytes_that_are_no_text_lose_at_most_three_at_each_cut() {
    let mut keeper = Keeper::new(16);
    keeper.push(Stream::Stderr, &[0x80; 100]);
    let kept = keeper.finish();
    assert_eq!(kept.head[0].bytes.len(), 8);
    assert_eq!(kept.tail[0].bytes.len(), 5);
    assert_eq!(kept.dropped_bytes, 87);
}

#[test]
fn memory_stays_within_the_cap_however_the_streams_alternate() {
    let mut keeper = Keeper::new(1_000);
    for number in 0..100_000u32 {
        keeper.push(if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, b"x");
    }
    assert!(keeper.runs.len() <= 500 && keeper.tail.capacity() <= 4_096);
    assert_eq!(keeper.finish().dropped_bytes, 99_000);
}

#[test]
fn streams_that_alternate_byte_by_byte_do_not_multiply_what_is_kept() {
    let cap = 1 << 20;
    let mut keeper = Keeper::new(cap);
    for number in 0..2 * cap {
        keeper.push(if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr }, b"x");
    }
    keeper.push(Stream::Stdout, b"the end");
    let kept = keeper.finish();
    assert!(kept.head.len() <= segments_max(cap) && kept.tail.len() <= segments_max(cap));
    assert_eq!(kept.tail.last().unwrap().bytes, b"the end");
    let bytes = kept.head.iter().chain(&kept.tail).map(|segment| segment.bytes.len() as u64).sum::<u64>();
    assert_eq!(bytes + kept.dropped_bytes, kept.total_bytes);
}

#[tokio::test(flavor = "current_thread")]
async fn the_pump_reads_both_pipes_to_their_end() {
    use std::io::Write as _;
    let (out_read, out_write) = std::io::pipe().unwrap();
    let (err_read, err_write) = std::io::pipe().unwrap();
    let writer = std::thread::spawn(move || {
        let (mut out_write, mut err_write) = (out_write, err_write);
        for _ in 0..1_000 {
            out_write.write_all(&[b'o'; 1_000]).unwrap();
            err_write.write_all(&[b'e'; 100]).unwrap();
        }
    });
    let mut keeper = Keeper::new(64);
    let mut stdout = Some(Receiver::from_owned_fd(out_read.into()).unwrap());
    let mut stderr = Some(Receiver::from_owned_fd(err_read.into()).unwrap());
    let end = pump(&mut stdout, &mut stderr, u64::MAX, &mut keeper, &mut NoSink).await.unwrap();
    writer.join().unwrap();
    assert_eq!(end, PumpEnd::Closed);
    let kept = keeper.finish();
    assert_eq!((kept.stdout_bytes, kept.stderr_bytes), (1_000_000, 100_000));
}

#[tokio::test(flavor = "current_thread")]
async fn the_pump_stops_over_the_total() {
    use std::io::Write as _;
    let (read, write) = std::io::pipe().unwrap();
    let writer = std::thread::spawn(move || {
        let mut write = write;
        while write.write_all(&[0; 4_096]).is_ok() {}
    });
    let mut keeper = Keeper::new(64);
    let mut stdout = Some(Receiver::from_owned_fd(read.into()).unwrap());
    let end = pump(&mut stdout, &mut None, 100_000, &mut keeper, &mut NoSink).await.unwrap();
    assert_eq!(end, PumpEnd::OverTotal);
    drop(stdout);
    writer.join().unwrap();
}

use tokio::net::unix::pipe::Receiver;
