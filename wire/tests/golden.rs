//! Golden files: the exact JSON of every frame of the agent link, in both directions.
//!
//! A released frame never changes: where a test here fails, either the change is a mistake, or `LINK_VERSION` goes up and
//! the old form stays readable. `tests/golden/NAME.json` holds one frame each, written for people; compared is what it
//! means, and that it reads back as what was written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use orderly_model::instance::{Facts, Platform, Sandbox};
use orderly_model::report::{Fact, Finding, FindingVerdict, Outcome, Report as PluginReport, Severity, Table, Verdict};
use orderly_model::schedule::{Cause, Reason};
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::merkle::TargetProof;
use orderly_signing::proof::link_message;
use orderly_wire::frame::{FrameError, TO_AGENT_MAX, TO_SERVER_MAX, decode, encode};
use orderly_wire::http::agent::{Enrol, Enrolled};
use orderly_wire::to_agent::{Ack, Goodbye, KeyringUpdate, Offer, PluginDocuments, ToAgent, Welcome};
use orderly_wire::to_server::{
    EndOfSeries, Finished, Hello, KeptOutput, Output, Progress, Report, ReportEvent, Segment, Skipped, Stream, ToServer,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Compares a frame with its golden file, both ways. `ORDERLY_GOLDEN=write` writes files that are not there yet, never
/// one that is.
fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, frame: &T, limit: usize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let text = encode(frame).unwrap();
    if std::env::var("ORDERLY_GOLDEN").is_ok_and(|value| value == "write") && !path.exists() {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&value).unwrap() + "\n").unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; a new frame gets its file with `ORDERLY_GOLDEN=write`", path.display())
    });
    let as_value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(as_value(&text), as_value(&stored), "{name} is written otherwise than it was released");
    assert_eq!(&decode::<T>(&stored, limit).unwrap(), frame, "{name} is read otherwise than it was released");
}

fn to_agent(name: &str, frame: &ToAgent) {
    golden(&format!("to-agent-{name}"), frame, TO_AGENT_MAX);
}

fn to_server(name: &str, frame: &ToServer) {
    golden(&format!("to-server-{name}"), frame, TO_SERVER_MAX);
}

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn invocation() -> String {
    format!("t-{}", "0".repeat(26))
}

fn facts() -> Facts {
    Facts {
        hostname: "web-1".to_owned(),
        architecture: "x86_64".to_owned(),
        system: Platform::Linux,
        kernel: "6.1.0".to_owned(),
        os_release: vec![("ID".to_owned(), "debian".to_owned())],
        agent_version: "0.1.0".to_owned(),
        wit: vec!["orderly:plugin@0.1.0".to_owned()],
        sandbox: Sandbox { landlock_abi: 3, seccomp: true, own_user: true, cgroup: false },
    }
}

fn offer() -> Offer {
    Offer {
        order: b"{\"payload\":\"\"}".to_vec(),
        proof: TargetProof { index: 2, hashes: vec![digest("a"), digest("b")] },
        content: None,
        plugin: None,
        built_ins: BTreeMap::new(),
        live: true,
    }
}

fn kept() -> KeptOutput {
    KeptOutput {
        head: vec![
            Segment { stream: Stream::Stdout, data: b"out\n".to_vec() },
            Segment { stream: Stream::Stderr, data: b"err\n".to_vec() },
        ],
        dropped_bytes: 17,
        tail: vec![Segment { stream: Stream::Stdout, data: vec![0xff, 0x00] }],
    }
}

fn plugin_report() -> PluginReport {
    PluginReport {
        findings: vec![Finding {
            id: "ssh-01".to_owned(),
            title: "Root logs in with a key only".to_owned(),
            severity: Severity::High,
            verdict: FindingVerdict::Fail,
            evidence: "PermitRootLogin yes".to_owned(),
            remedy: "Set `PermitRootLogin no`".to_owned(),
        }],
        facts: vec![Fact { key: "os".to_owned(), value: "debian".to_owned() }],
        tables: vec![Table {
            name: "mounts".to_owned(),
            columns: vec!["path".to_owned()],
            rows: vec![vec!["/".to_owned()]],
        }],
        outcome: Some(Outcome { verdict: Verdict::Attention, summary: "1 finding".to_owned() }),
    }
}

fn report(event: ReportEvent) -> ToServer {
    report_of(1, event)
}

fn report_of(generation: u32, event: ReportEvent) -> ToServer {
    ToServer::Report(Box::new(Report {
        seq: 3,
        order: digest("order"),
        invocation: Some(invocation()),
        generation,
        event,
    }))
}

#[test]
fn frames_to_the_agent() {
    to_agent("welcome", &ToAgent::Welcome(Welcome { version: 1, server_time_ms: 1_764_000_000_000, heartbeat_s: 30 }));
    to_agent("offer-script", &ToAgent::Offer(Box::new(Offer { content: Some(b"echo hi".to_vec()), ..offer() })));
    to_agent("offer-bare", &ToAgent::Offer(Box::new(offer())));
    let plugin = PluginDocuments {
        component: digest("component"),
        component_bytes: 1234,
        manifest: b"[plugin]".to_vec(),
        statement: b"{}".to_vec(),
        approval: Some(b"{}".to_vec()),
    };
    to_agent("offer-plugin", &ToAgent::Offer(Box::new(Offer { plugin: Some(plugin), ..offer() })));
    let built_ins =
        [("InstanceName", "web-1"), ("Tag::team", "red")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    to_agent("offer-values", &ToAgent::Offer(Box::new(Offer { built_ins: built_ins.into(), ..offer() })));
    to_agent("ack", &ToAgent::Ack(Ack { seq: 42 }));
    to_agent("keyring", &ToAgent::Keyring(KeyringUpdate { keyring: b"{}".to_vec() }));
    to_agent("goodbye", &ToAgent::Goodbye(Goodbye { code: "replaced".to_owned(), reason: "another link".to_owned() }));
}

#[test]
fn frames_to_the_server() {
    let id = InstanceId::of(key().public());
    let proof = key().sign(&link_message("link", &id, &[1; 32])).to_vec();
    to_server(
        "hello",
        &ToServer::Hello(Box::new(Hello {
            oldest: 1,
            newest: 1,
            instance: id,
            proof,
            facts: facts(),
            boot_id: "5c0a3b1e".to_owned(),
            keyring_revision: 4,
        })),
    );
    to_server("heartbeat", &ToServer::Heartbeat);
    to_server("report-accepted", &report(ReportEvent::Accepted { at_ms: 5 }));
    to_server("report-stopping", &report(ReportEvent::Stopping { at_ms: 6 }));
    let finished = Finished { receipt: b"{}".to_vec(), output: kept(), report: None };
    to_server("report-finished", &report(ReportEvent::Finished(Box::new(finished.clone()))));
    let with_report = Finished { report: Some(plugin_report()), ..finished };
    to_server("report-finished-plugin", &report(ReportEvent::Finished(Box::new(with_report))));
    let segments = vec![Segment { stream: Stream::Stdout, data: b"live".to_vec() }];
    to_server(
        "output",
        &ToServer::Output(Output { order: digest("order"), invocation: invocation(), offset: 9, segments }),
    );
    to_server(
        "progress",
        &ToServer::Progress(Progress {
            order: digest("order"),
            invocation: invocation(),
            done: 1,
            total: 4,
            message: "reading".to_owned(),
        }),
    );
}

#[test]
fn reports_about_a_series() {
    to_server("report-began", &report_of(7, ReportEvent::Began { due_ms: 5, late: None, at_ms: 6 }));
    let late = Some(Cause::AgentDown);
    to_server("report-began-late", &report_of(8, ReportEvent::Began { due_ms: 5, late, at_ms: 60 }));
    let skipped = Skipped { first_ms: 1, last_ms: 9, count: 3, exact: true, reason: Reason::Overlap, at_ms: 10 };
    to_server("report-skipped", &report_of(0, ReportEvent::Skipped(skipped.clone())));
    let reason = Reason::Missed(Cause::Suspended);
    to_server(
        "report-skipped-missed",
        &report_of(0, ReportEvent::Skipped(Skipped { reason, exact: false, ..skipped })),
    );
    to_server("report-waits", &report_of(0, ReportEvent::Waits { until_ms: 90, at_ms: 10 }));
    let ended = |end| report_of(0, ReportEvent::SeriesEnded { end, at_ms: 11 });
    to_server("report-series-completed", &ended(EndOfSeries::Completed));
    to_server("report-series-stopped", &ended(EndOfSeries::Stopped));
    to_server("report-series-lost", &ended(EndOfSeries::Lost));
}

#[test]
fn enrolment() {
    let id = InstanceId::of(key().public());
    let proof = key().sign(&link_message("enrol", &id, &[1; 32])).to_vec();
    let asked = Enrol {
        code: "oac_code".to_owned(),
        key: key().public().clone(),
        root: Some(Digest::of(b"root")),
        name: Some("web-1".to_owned()),
        facts: facts(),
        proof,
    };
    golden("http-enrol", &asked, TO_SERVER_MAX);
    golden(
        "http-enrolled",
        &Enrolled { instance: id, name: "web-1".to_owned(), keyring: b"{}".to_vec() },
        TO_AGENT_MAX,
    );
}

#[test]
fn a_frame_with_an_unknown_field_or_of_an_unknown_kind_is_refused() {
    for text in [
        r#"{"type":"ack","seq":1,"more":true}"#,
        r#"{"type":"nack","seq":1}"#,
        r#"{"seq":1}"#,
        r#"{"type":"ack"}"#,
        r#"{"type":"keyring","keyring":"not base64!"}"#,
        "[]",
        "",
    ] {
        assert!(matches!(decode::<ToAgent>(text, TO_AGENT_MAX), Err(FrameError::Malformed(_))), "{text}");
    }
}

#[test]
fn a_frame_over_its_limit_is_refused_before_it_is_read() {
    let text = " ".repeat(TO_AGENT_MAX + 1);
    assert!(matches!(decode::<ToAgent>(&text, TO_AGENT_MAX), Err(FrameError::TooLarge { .. })));
}

#[test]
fn the_largest_offer_fits_into_a_frame() {
    let largest = Offer {
        order: vec![b'x'; orderly_signing::envelope::MAX_ENVELOPE_BYTES],
        proof: TargetProof { index: u64::MAX, hashes: vec![digest("a"); orderly_signing::merkle::MAX_PROOF_HASHES] },
        content: Some(vec![b'x'; orderly_model::limits::CONTENT_INLINE_MAX_BYTES]),
        plugin: None,
        // All tags, each with the longest key and value, and the rest.
        built_ins: (0..32).map(|number| (format!("Tag::{number}-{}", "k".repeat(128)), "v".repeat(256))).collect(),
        live: true,
    };
    assert!(encode(&ToAgent::Offer(Box::new(largest))).unwrap().len() <= TO_AGENT_MAX);
}
