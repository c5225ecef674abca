//! A flood of output costs the agent what a trickle costs it.

use std::io::{Read as _, repeat};
use std::time::Duration;

use orderly_signing::DigestWriter;
use orderly_signing::verify::verify_receipt;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::programs;
use orderly_wire::to_server::Segment;

/// Bytes between the first and the last line of the script's output.
const FLOOD: u64 = 1_000_000_000;

/// The most that the agent may have had resident, in KiB, in an optimised build.
const PEAK_KIB: u64 = 24 * 1024;

/// The same without the program's own pages, in any build: idle it is about 3 MiB, and a flood must not show.
const PEAK_DATA_KIB: u64 = 10 * 1024;

fn joined(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(|segment| segment.data.iter().copied()).collect()
}

#[test]
fn a_gigabyte_of_output_keeps_the_agent_small_and_head_tail_and_count_right() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let work =
        Work::script(format!("echo first-line\nhead -c {FLOOD} /dev/zero | tr '\\0' 'x'\necho\necho last-line\n"));
    let request = work.timeout(240).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    let invocation = fleet.api.create(&request).unwrap().id;
    let task = fleet.api.wait_end(&invocation, &agent.id, Duration::from_secs(240));
    let memory = agent.program().memory();
    println!("the agent's memory: {memory:?}");
    assert_eq!(task.view.status, "Success", "{:?}", task.view);

    let total = 11 + FLOOD + 11;
    let output = task.output.as_ref().unwrap();
    let (head, tail) = (joined(&output.head), joined(&output.tail));
    assert!(head.starts_with(b"first-line\nxxxx"), "{:?}", String::from_utf8_lossy(&head[..20]));
    assert!(tail.ends_with(b"xxxx\nlast-line\n"), "{:?}", String::from_utf8_lossy(&tail));
    let kept = (head.len() + tail.len()) as u64;
    assert!(kept <= 24 * 1024 && kept > 20 * 1024, "{kept} bytes were kept of 24 KiB");
    assert_eq!(output.dropped_bytes, total - kept);
    assert_eq!((task.view.output_bytes, task.view.dropped_bytes), (total, total - kept));

    let mut expected = DigestWriter::new();
    expected.update(b"first-line\n");
    std::io::copy(&mut repeat(b'x').take(FLOOD), &mut expected).unwrap();
    expected.update(b"\nlast-line\n");
    let receipt = serde_json::to_vec(task.receipt.as_ref().unwrap()).unwrap();
    let receipt = verify_receipt(&receipt, &fleet.api.instance(&agent.id).key).unwrap();
    assert_eq!((receipt.output.bytes, receipt.output.sha256), (total, expected.finish()));
    assert!(memory.peak_data_kib() < PEAK_DATA_KIB, "{memory:?}");
    assert!(!programs::optimised() || memory.peak_kib < PEAK_KIB, "{memory:?}");
}
