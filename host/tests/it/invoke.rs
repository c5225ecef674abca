//! A run comes out as what it was: done, over its limits, refused, crashed. One test per way.

use std::time::{Duration, Instant};

use orderly_host::PluginFacts;
use orderly_host::invoke::{Ended, PluginRun, describe};
use orderly_host::limits::Limits;
use orderly_host::platform::Trees;
use orderly_model::grant::Grants;
use orderly_model::report::{Outcome, Verdict};
use orderly_signing::Digest;
use tokio_util::sync::CancellationToken;

use crate::support::{place, program, text, unique};
use crate::wat::{importing, logging, plain, plugin};

fn done() -> Ended {
    Ended::Outcome(Outcome { verdict: Verdict::Pass, summary: "done".to_owned() })
}

#[tokio::test]
async fn a_plugin_that_does_its_work_says_so_and_its_output_is_kept() {
    let place = place();
    let component = logging("(call $log (i32.const 2) (i32.const 1024) (i32.const 11)) (i32.const 128)");
    let (end, seen) = place.run(&component, "{}", |_| {}).await;
    assert_eq!(end.ended, done());
    assert_eq!(end.report.outcome, Some(Outcome { verdict: Verdict::Pass, summary: "done".to_owned() }));
    assert_eq!(text(&end.kept), "warn: hello, file\n");
    assert_eq!((seen.text.as_slice(), end.kept.stderr_bytes), (&b"warn: hello, file\n"[..], 18));
    assert!(end.used.is_empty() && end.usage.max_rss_bytes > 0);
}

#[tokio::test]
async fn the_box_is_closed_as_far_as_this_machine_can() {
    let place = place();
    let can = orderly_host::platform::sandbox::probe();
    let (end, _) = place.run(&plain("(i32.const 128)"), "{}", |_| {}).await;
    assert_eq!(end.ended, done());
    assert_eq!(
        (end.sandbox.landlock, end.sandbox.seccomp, end.sandbox.uid_dropped),
        (can.landlock, can.seccomp, can.uid_dropped)
    );
    assert_eq!(end.sandbox.missing.is_empty(), can.missing.is_empty(), "{:?}", end.sandbox.missing);
}

#[tokio::test]
async fn a_sandbox_that_is_required_and_there_is_no_obstacle() {
    let place = place();
    let can = orderly_host::platform::sandbox::probe();
    let (end, _) = place.run(&plain("(i32.const 128)"), "{}", |run| run.require_sandbox = true).await;
    if can.landlock.is_some() && can.seccomp {
        assert_eq!(end.ended, done());
    } else {
        assert!(matches!(end.ended, Ended::Refused(_)), "{:?}", end.ended);
    }
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    let place = place();
    let start = Instant::now();
    let (end, _) = place
        .run(&plain("(loop $again (br $again)) (unreachable)"), "{}", |run| {
            run.limits.deadline = Duration::from_millis(300);
        })
        .await;
    assert_eq!(end.ended, Ended::Deadline);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    let place = place();
    let deep = plugin(
        "",
        "",
        "(func $deep (param i32) (result i32) (call $deep (i32.add (local.get 0) (i32.const 1))))",
        "(call $deep (i32.const 0))",
    );
    let (end, _) = place.run(&deep, "{}", |_| {}).await;
    assert!(matches!(&end.ended, Ended::Trap(reason) if reason.contains("stack")), "{:?}", end.ended);
}

#[tokio::test]
async fn more_memory_than_allowed_is_refused_and_named() {
    let place = place();
    let run = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let (end, _) = place.run(&plain(run), "{}", |run| run.limits.memory_bytes = 8 * 1024 * 1024).await;
    assert_eq!(end.ended, Ended::OutOfMemory);
    // Refused growth alone is no fault: who can do without goes on.
    let run = "(drop (memory.grow (i32.const 1000))) (i32.const 128)";
    let (end, _) = place.run(&plain(run), "{}", |run| run.limits.memory_bytes = 8 * 1024 * 1024).await;
    assert_eq!(end.ended, done());
}

#[tokio::test]
async fn a_flood_of_output_is_ended_and_what_is_kept_stays_small() {
    let place = place();
    let flood =
        logging("(loop $again (call $log (i32.const 1) (i32.const 0) (i32.const 8000)) (br $again)) (unreachable)");
    let (end, _) = place.run(&flood, "{}", |run| run.limits.output_total_bytes = 1_000_000).await;
    assert_eq!(end.ended, Ended::OutputCap);
    assert!(end.kept.total_bytes > 1_000_000 && end.kept.total_bytes < 2_000_000);
    assert!(text(&end.kept).len() <= 4_096);
}

#[tokio::test]
async fn all_imports_that_are_not_granted_are_told_before_anything_runs() {
    let place = place();
    let (end, _) = place.run(&importing("orderly:plugin/mounts@0.1.0"), "{}", |_| {}).await;
    let Ended::Refused(reasons) = &end.ended else { panic!("{:?}", end.ended) };
    assert!(
        reasons.len() == 1 && reasons[0].contains("orderly:plugin/mounts@0.1.0") && reasons[0].contains("`mounts`"),
        "{reasons:?}"
    );
    let (end, _) = place.run(&importing("wasi:sockets/tcp@0.2.0"), "{}", |_| {}).await;
    assert!(
        matches!(&end.ended, Ended::Refused(reasons) if reasons[0].contains("wasi:sockets/tcp@0.2.0")),
        "{:?}",
        end.ended
    );
}

#[tokio::test]
async fn stopping_a_run_leaves_nothing_alive() {
    let place = place();
    let stop = CancellationToken::new();
    let later = stop.clone();
    let component =
        logging("(call $log (i32.const 1) (i32.const 1024) (i32.const 5)) (loop $again (br $again)) (unreachable)");
    let (plugin, compiled) = place.compiled(&component).await;
    let tree = place.tree();
    struct StopAtOutput(CancellationToken);
    impl orderly_host::output::OutputSink for StopAtOutput {
        fn chunk(&mut self, _stream: orderly_host::output::Stream, _bytes: &[u8]) {
            self.0.cancel();
        }
    }
    let run = PluginRun {
        plugin: &plugin,
        compiled: &compiled,
        grants: &Grants::none(),
        limits: Limits::new(64, Duration::from_secs(60), 1_000),
        arguments: Vec::new(),
        facts: PluginFacts::default(),
        tree: &tree,
        program: program(),
        stop,
        require_sandbox: false,
        started_ms: 0,
        seed: Digest::ZERO,
        trace: false,
    };
    let end = orderly_host::invoke::invoke(run, &mut StopAtOutput(later)).await;
    assert_eq!(end.ended, Ended::Stopped);
    assert!(end.tree.is_ok() && tree.is_empty().unwrap());
}

#[tokio::test]
async fn a_plugin_describes_itself_without_any_grant() {
    let place = place();
    let component = importing("orderly:plugin/mounts@0.1.0");
    let (plugin, compiled) = place.compiled(&component).await;
    let tree = place.tree();
    let run = PluginRun {
        plugin: &plugin,
        compiled: &compiled,
        grants: &Grants::none(),
        limits: Limits::describe(),
        arguments: Vec::new(),
        facts: PluginFacts::default(),
        tree: &tree,
        program: program(),
        stop: CancellationToken::new(),
        require_sandbox: false,
        started_ms: 0,
        seed: Digest::ZERO,
        trace: false,
    };
    let described = describe(run).await.unwrap();
    assert_eq!(
        (described.name.as_str(), described.version.as_str(), described.summary.as_str()),
        ("probe", "1.0.0", "test")
    );
}

#[tokio::test]
async fn code_of_another_component_is_not_run() {
    let place = place();
    let (_, other) = place.compiled(&plain("(unreachable)")).await;
    let (end, _) = place.run(&plain("(i32.const 128)"), "{}", |run| run.compiled = Box::leak(Box::new(other))).await;
    assert!(
        matches!(&end.ended, Ended::Refused(reasons) if reasons[0].contains("another component")),
        "{:?}",
        end.ended
    );
}

#[tokio::test]
async fn a_program_that_is_no_child_is_a_crash_and_not_a_success() {
    let place = place();
    let (end, _) =
        place.run(&plain("(i32.const 128)"), "{}", |run| run.program = std::path::Path::new("/bin/true")).await;
    assert!(matches!(end.ended, Ended::Crashed(_)), "{:?}", end.ended);
    let (end, _) =
        place.run(&plain("(i32.const 128)"), "{}", |run| run.program = std::path::Path::new("/no/such/program")).await;
    assert!(matches!(&end.ended, Ended::NotStarted(reason) if reason.contains("/no/such/program")), "{:?}", end.ended);
}

#[tokio::test]
async fn it_runs_beneath_a_supervisor_as_in_a_cgroup() {
    let mut place = place();
    place.trees = Trees::supervised(program());
    let (end, _) = place.run(&plain("(i32.const 128)"), "{}", |_| {}).await;
    assert_eq!(end.ended, done());
    let (end, _) = place
        .run(&plain("(loop $again (br $again)) (unreachable)"), "{}", |run| {
            run.limits.deadline = Duration::from_millis(300);
        })
        .await;
    assert_eq!(end.ended, Ended::Deadline);
    assert!(place.trees.create(&unique("after")).is_ok());
}
