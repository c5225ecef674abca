//! Rollouts over hundreds of agents: they halt where they should, go on when somebody says so, and never have more open than is allowed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use orderly_signing::InstanceId;
use orderly_signing::sign::sign_order;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work as Script;
use orderly_tests::simulated::{Load, Place, Simulated, Work};
use orderly_tests::tls;
use orderly_tests::wait::until;
use orderly_wire::http::invocation::{CreateInvocation, InvocationView, Targets};
use orderly_wire::http::problem::Problem;
use orderly_wire::http::rollout::{ConfirmRollout, HaltRollout, ResumeRollout, RolloutView};
use reqwest::Method;

/// How long a rollout may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Simulated agents that work; every agent whose number `fails` fails each task.
fn working(fleet: &Fleet, count: usize, takes: Duration, fails: impl Fn(usize) -> bool) -> (Vec<Simulated>, Arc<Load>) {
    let place = Place { address: fleet.address, tls: tls::client_config(&fleet.ca_pem()) };
    let code = fleet.api.activation(u32::try_from(count).unwrap()).code;
    let enrolling = (0..count).map(|number| {
        let (place, code) = (place.clone(), code.clone());
        async move { Simulated::enrol(&place, &code, &format!("simulated-{number}")).await.unwrap() }
    });
    let enrolling = futures_util::stream::iter(enrolling).buffered(8).collect::<Vec<_>>();
    let mut agents = fleet.runtime.block_on(enrolling);
    let load = Arc::new(Load::default());
    for (number, agent) in agents.iter_mut().enumerate() {
        let work = Work { takes, fails: fails(number), load: Arc::clone(&load) };
        agent.start_working(fleet.runtime.handle(), &place, work);
    }
    (agents, load)
}

fn request(fleet: &Fleet, agents: &[Simulated], deadline_s: u32, within_s: i64, policy: &str) -> CreateInvocation {
    let ids: Vec<InstanceId> = agents.iter().map(|agent| agent.id.clone()).collect();
    let work = Script::script("true").deadline(deadline_s);
    let mut order = work.order(&ids);
    order.expires_ms = order.issued_ms + within_s * 1000;
    let signed = sign_order(&order, &fleet.trust.operator).unwrap();
    let request = work.request(Targets::Instances(ids), Some(&signed));
    CreateInvocation { rollout: Some(serde_json::from_str(policy).unwrap()), ..request }
}

fn rollout(view: &InvocationView) -> &RolloutView {
    view.rollout.as_ref().expect("a rollout")
}

fn wait(fleet: &Fleet, id: &str, what: &str, is_so: impl Fn(&InvocationView) -> bool) -> InvocationView {
    until(what, LIMIT, || Some(fleet.api.invocation(id)).filter(|view| is_so(view)))
}

fn say(fleet: &Fleet, id: &str, what: &str, body: &impl serde::Serialize) -> Result<InvocationView, Box<Problem>> {
    fleet.api.send(Method::POST, &format!("/v1/invocations/{id}/{what}"), body)
}

fn each_ran_once(agents: &[Simulated], view: &InvocationView) {
    let order = view.order.parse().unwrap();
    assert!(agents.iter().all(|agent| agent.begun(&order) == 1 && agent.offered(&order) >= 1));
}

#[test]
fn a_rollout_over_500_agents_halts_resumes_and_never_exceeds_its_concurrency() {
    let fleet = Fleet::start();
    // 3 % fail, spread evenly: 15 of 500. Ten are borne.
    let (agents, load) = working(&fleet, 500, Duration::from_millis(20), |number| number % 33 == 32);
    let policy = r#"{"max_concurrency":"10%","max_errors":"10"}"#;
    let id = fleet.api.create(&request(&fleet, &agents, 60, 3600, policy)).unwrap().id;

    let halted = wait(&fleet, &id, "the halt", |view| rollout(view).state == "halted" && rollout(view).open == 0);
    let seen = rollout(&halted);
    let failed = halted.counts["Failed"];
    assert_eq!(seen.errors, failed);
    // The eleventh error halts; what was open then went on to its end.
    assert!((11..=15).contains(&failed), "{halted:?}");
    assert!((363..=363 + 50).contains(&seen.started), "the eleventh that fails is number 363: {halted:?}");
    assert_eq!(seen.held, 500 - seen.started);
    assert_eq!(halted.counts["Pending"], seen.held, "the rest waits for somebody");
    assert!(seen.reason.as_ref().unwrap().contains("at most 10 are borne"), "{seen:?}");
    let order = halted.order.parse().unwrap();
    let begun = agents.iter().filter(|agent| agent.begun(&order) > 0).count();
    assert_eq!(begun as u64, seen.started, "nobody else was asked");

    let resumed = say(&fleet, &id, "resume", &ResumeRollout { errors: seen.errors }).unwrap();
    assert_ne!(rollout(&resumed).state, "halted");
    let end = wait(&fleet, &id, "the end", |view| view.finished_ms.is_some());
    assert_eq!(end.counts, [("Failed".to_owned(), 15), ("Success".to_owned(), 485)].into());
    each_ran_once(&agents, &end);
    assert!(load.most() <= 50, "{} went on at once", load.most());
    assert!(load.most() > 10, "it was no rollout at all: {} went on at once", load.most());
}

#[test]
fn the_server_killed_in_the_middle_of_a_rollout_loses_nothing_and_its_limits_still_hold() {
    let mut fleet = Fleet::start();
    let (agents, load) = working(&fleet, 60, Duration::from_millis(50), |_| false);
    let policy = r#"{"max_concurrency":"5","canary":"2","batch":"20"}"#;
    let id = fleet.api.create(&request(&fleet, &agents, 60, 3600, policy)).unwrap().id;
    for started in [3, 12, 25, 45] {
        wait(&fleet, &id, "some to have started", |view| rollout(view).started >= started);
        fleet.kill_server();
        fleet.restart_server();
    }
    let end = wait(&fleet, &id, "the end", |view| view.finished_ms.is_some());
    assert_eq!(end.counts, [("Success".to_owned(), 60)].into());
    assert_eq!((rollout(&end).wave, rollout(&end).waves, rollout(&end).held), (4, 4, 0));
    each_ran_once(&agents, &end);
    assert!(load.most() <= 5, "{} went on at once", load.most());
}

#[test]
fn waves_wait_for_a_person_and_what_was_never_started_is_cancelled_by_a_stop() {
    let fleet = Fleet::start();
    let (agents, _) = working(&fleet, 6, Duration::from_millis(1), |_| false);
    let policy = r#"{"canary":"1","batch":"2","confirm":"each-wave"}"#;
    let id = fleet.api.create(&request(&fleet, &agents, 60, 3600, policy)).unwrap().id;
    wait(&fleet, &id, "the first wave to be over", |view| rollout(view).state == "confirming");
    let refused = say(&fleet, &id, "confirm", &ConfirmRollout { wave: 2 }).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (409, "wave-not-waiting"), "{refused:?}");
    assert_eq!(say(&fleet, &id, "resume", &ResumeRollout { errors: 0 }).unwrap_err().code, "rollout-not-halted");
    // Two people confirm the same wave: only that one starts.
    say(&fleet, &id, "confirm", &ConfirmRollout { wave: 1 }).unwrap();
    say(&fleet, &id, "confirm", &ConfirmRollout { wave: 1 }).unwrap();
    let waits = wait(&fleet, &id, "the second wave to be over", |view| {
        rollout(view).wave == 2 && rollout(view).state == "confirming"
    });
    assert_eq!((rollout(&waits).started, rollout(&waits).waves), (3, 4));
    let halted = say(&fleet, &id, "halt", &HaltRollout { reason: Some("lunch".to_owned()) }).unwrap();
    assert!(rollout(&halted).reason.as_ref().unwrap().ends_with("lunch"), "{halted:?}");
    fleet.api.stop(&id);
    let end = wait(&fleet, &id, "the end", |view| view.finished_ms.is_some());
    assert_eq!(end.counts, [("Cancelled".to_owned(), 3), ("Success".to_owned(), 3)].into());
    let cancelled = fleet.api.tasks(&id).into_iter().find(|task| task.status == "Cancelled").unwrap();
    assert_eq!(cancelled.code.as_deref(), Some("RolloutHalted"));
    assert_eq!(say(&fleet, &id, "halt", &HaltRollout::default()).unwrap_err().code, "rollout-started");

    // What cannot be is refused, with the sum.
    let slow = request(&fleet, &agents, 60, 1800, r#"{"batch":"1","pause_s":600}"#);
    let refused = fleet.api.create(&slow).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "rollout-too-long"));
    let sum = "5 pause(s) of 600 s and 60 s for the last wave to be accepted are 3060 s; the order lives";
    assert!(refused.detail.as_ref().unwrap().starts_with(sum), "{refused:?}");
    for nothing in [
        r#"{}"#,
        r#"{"max_errors":"1"}"#,
        r#"{"max_concurrency":"0"}"#,
        r#"{"canary":"1","confirm":"each-wave","pause_s":604801}"#,
    ] {
        let refused = fleet.api.create(&request(&fleet, &agents, 60, 3600, nothing)).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, "invalid-request"), "{nothing}");
    }
}
