//! Hostile guests: each is stopped with a truthful status, and the agent's next task works.
//!
//! One test for each folder of `plugins/hostile`, of its name (tidy checks that).

use orderly_tests::agent::Agent;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_wire::http::task::TaskDetail;

/// Runs a hostile guest, then an honest script and an honest plugin on the same agent.
fn attack(guest: &str, timeout_s: u32, parameters: &[(&str, &str)]) -> (Fleet, Agent, TaskDetail) {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let view = fleet.publish_plugin(guest);
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, parameters).timeout(timeout_s));
    println!("{guest}: {:?} {:?} {:?}", task.view.status, task.view.code, task.view.reason);
    let (_, next) = crate::native::run(&fleet, &agent.id, &Work::script("echo still here"));
    assert_eq!(next.view.status, "Success", "after {guest}: {:?}", next.view);
    let honest = fleet.publish_plugin("disk-report");
    let (_, next) = crate::native::run(&fleet, &agent.id, &Work::plugin(&honest, &[]));
    assert_eq!(next.view.status, "Success", "after {guest}: {:?}", next.view);
    assert!(agent.program().runs());
    (fleet, agent, task)
}

fn reason(task: &TaskDetail) -> String {
    task.view.reason.clone().unwrap_or_default().to_lowercase()
}
