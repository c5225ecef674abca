//! Ends of tasks: time-out and stop, and that nothing of the tree is alive when they are said.

use std::time::Duration;

use orderly_signing::InstanceId;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::process::alive_with;
use orderly_tests::wait::{SOON, until};

/// A number of seconds to sleep that no other process on the machine sleeps.
fn odd_sleep() -> String {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    format!("3600.{:010}", u32::from_be_bytes(bytes))
}

/// A script whose tree tries to get away: in the background, double-forked, in a session of its own, deaf to SIGTERM.
fn runaway(sleep: &str) -> String {
    format!(
        "#!/bin/sh\n\
         sleep {sleep} &\n\
         setsid sh -c 'trap \"\" TERM HUP; (sleep {sleep} &) ; sh -c \"sleep {sleep}; :\" & exit 0' </dev/null >/dev/null 2>&1 &\n\
         (setsid setsid sleep {sleep} </dev/null >/dev/null 2>&1 &)\n\
         echo started\n\
         sleep {sleep}\n"
    )
}

fn start(fleet: &Fleet, id: &InstanceId, work: &Work) -> String {
    fleet.api.create(&work.signed(std::slice::from_ref(id), &fleet.trust.operator)).unwrap().id
}

#[test]
fn after_a_timeout_no_process_of_the_tree_is_alive() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let sleep = odd_sleep();
    let invocation = start(&fleet, &agent.id, &Work::script(runaway(&sleep)).timeout(2));
    until("the whole tree", SOON, || (alive_with(&sleep).len() >= 4).then_some(()));
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    let alive = alive_with(&sleep);
    assert_eq!(task.view.status, "Timeout", "{:?}", task.view);
    assert!(alive.is_empty(), "Timeout was said while these are alive: {alive:?}");
}

#[test]
fn after_a_stop_no_process_of_the_tree_is_alive() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let sleep = odd_sleep();
    let invocation = start(&fleet, &agent.id, &Work::script(runaway(&sleep)));
    until("the whole tree", SOON, || (alive_with(&sleep).len() >= 4).then_some(()));
    fleet.api.wait_status(&invocation, &agent.id, "Running", SOON);
    fleet.api.stop(&invocation);
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    let alive = alive_with(&sleep);
    assert_eq!(task.view.status, "Terminated", "{:?}", task.view);
    assert!(alive.is_empty(), "Terminated was said while these are alive: {alive:?}");
    assert_eq!(fleet.api.invocation(&invocation).status, "Stopped");
}

#[test]
fn a_task_stopped_while_queued_never_runs() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let (sleep, mark) = (odd_sleep(), fleet.path("mark"));
    // More than run at once, so that the rest waits in the queue.
    let running: Vec<String> =
        (0..8).map(|_| start(&fleet, &agent.id, &Work::script(format!("sleep {sleep}")))).collect();
    until("some to run", SOON, || (alive_with(&sleep).len() >= 2).then_some(()));
    let queued = start(&fleet, &agent.id, &Work::script(format!("echo ran > {}", mark.display())));
    fleet.api.stop(&queued);
    let task = fleet.api.wait_end(&queued, &agent.id, SOON);
    assert_eq!(task.view.status, "Cancelled", "{:?}", task.view);
    for invocation in &running {
        fleet.api.stop(invocation);
    }
    for invocation in &running {
        let status = fleet.api.wait_end(invocation, &agent.id, SOON).view.status;
        assert!(["Terminated", "Cancelled"].contains(&status.as_str()), "{status}");
    }
    assert!(alive_with(&sleep).is_empty());
    assert!(!mark.exists(), "the stopped task ran");
}

#[test]
fn a_task_stopped_before_delivery_is_cancelled_and_never_runs() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    agent.end();
    fleet.api.wait_online(&agent.id, false);
    let mark = fleet.path("mark");
    let work = Work::script(format!("echo ran > {}", mark.display())).deadline(3600);
    let invocation = start(&fleet, &agent.id, &work);
    assert_eq!(fleet.api.task(&invocation, &agent.id).view.status, "Pending");
    fleet.api.stop(&invocation);
    agent.start();
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    assert_eq!(task.view.status, "Cancelled", "{:?}", task.view);
    let (_, after) = crate::native::run(&fleet, &agent.id, &Work::script("echo after"));
    assert_eq!(after.view.status, "Success");
    assert!(!mark.exists(), "the stopped task ran");
}

#[test]
fn a_grandchild_that_holds_the_output_does_not_hold_the_task() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let sleep = odd_sleep();
    let work = Work::script(format!("sleep {sleep} &\necho done\n")).timeout(40);
    let invocation = start(&fleet, &agent.id, &work);
    let task = fleet.api.wait_end(&invocation, &agent.id, Duration::from_secs(25));
    assert_eq!(task.view.status, "Success", "{:?}", task.view);
    // The order says that the tree ends with its script.
    until("the background process to end", SOON, || alive_with(&sleep).is_empty().then_some(()));
}
