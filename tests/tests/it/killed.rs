//! SIGKILL at any moment: nothing runs twice, nothing is lost, and each end is told truthfully.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use orderly_signing::InstanceId;
use orderly_tests::api::ended;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::process::alive_with;
use orderly_tests::simulated::{Answer, Place, Simulated};
use orderly_tests::tls;
use orderly_tests::wait::until;

/// Times that the agent is killed.
const AGENT_KILLS: u32 = 200;

/// Times that the server is killed, each during a fan-out of its own.
const SERVER_KILLS: u32 = 8;

/// Simulated agents of the fan-out.
const SIMULATED: usize = 200;

/// Random moments from a seed that is printed, so that a failure can be looked at again.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).unwrap();
        let seed = u64::from_be_bytes(seed) | 1;
        println!("seed of the random moments: {seed}");
        Self(seed)
    }

    /// Lets a random time pass, up to `most`: this is the experiment, not a wait for something.
    fn pass(&mut self, most: Duration) {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let micros = u64::try_from(most.as_micros()).unwrap();
        thread::sleep(Duration::from_micros(self.0 % micros));
    }
}

fn lines_of(fleet: &Fleet) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(fleet.path("runs")).unwrap_or_default().lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn the_agent_killed_200_times_runs_nothing_twice_and_loses_nothing() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let mut moments = Moments::new();
    let runs = fleet.path("runs").display().to_string();
    let mut invocations = Vec::new();
    for round in 0..AGENT_KILLS {
        // The marker shows in the command line of the script's child, so that leftovers can be seen.
        let script =
            format!("echo start-{round} >> {runs}; sh -c 'sleep 0.04; : {runs}-{round}'; echo end-{round} >> {runs}");
        let request =
            Work::script(script).deadline(3600).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
        invocations.push(fleet.api.create(&request).unwrap().id);
        // Around acceptance, start, end and report: most tasks take about 100 ms from the request to the result.
        moments.pass(Duration::from_millis(150));
        agent.kill();
        agent.start();
    }
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for (round, invocation) in invocations.iter().enumerate() {
        let task = fleet.api.wait_end(invocation, &agent.id, Duration::from_secs(120));
        let seen = lines_of(&fleet);
        let count = |what: &str| seen.get(&format!("{what}-{round}")).copied().unwrap_or(0);
        let (started, finished) = (count("start"), count("end"));
        let view = &task.view;
        *counts.entry(format!("{} {}", view.status, view.code.as_deref().unwrap_or(""))).or_default() += 1;
        assert!(started <= 1 && finished <= 1, "round {round} ran {started} times: {view:?}");
        match view.status.as_str() {
            "Success" => assert_eq!((started, finished), (1, 1), "round {round}: a success that did not run: {view:?}"),
            "Error" => assert_eq!(view.code.as_deref(), Some("ExecutionInterrupted"), "round {round}: {view:?}"),
            other => panic!("round {round} ended as {other}: {view:?}"),
        }
        assert!(task.receipt.is_some(), "round {round} has no receipt: {view:?}");
    }
    println!("ends: {counts:?}");
    assert_eq!(counts.values().sum::<u32>(), AGENT_KILLS);
    assert!(alive_with(&format!("{runs}-")).is_empty(), "left over: {:?}", alive_with(&format!("{runs}-")));
    // Nothing that was interrupted goes on afterwards: the file stays as it is through another task.
    let before = lines_of(&fleet);
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::script("echo still-works"));
    assert_eq!(task.view.status, "Success");
    assert_eq!(lines_of(&fleet), before);
}

fn simulated(fleet: &Fleet, count: usize, answer: Answer) -> Vec<Simulated> {
    let place = Place { address: fleet.address, tls: tls::client_config(&fleet.ca_pem()) };
    let code = fleet.api.activation(u32::try_from(count).unwrap()).code;
    let mut agents = Vec::new();
    for number in 0..count {
        let enrolled = fleet.runtime.block_on(Simulated::enrol(&place, &code, &format!("simulated-{number}")));
        agents.push(enrolled.unwrap_or_else(|error| panic!("agent {number}: {error:#}")));
    }
    for agent in &mut agents {
        agent.start(fleet.runtime.handle(), &place, answer);
    }
    agents
}

#[test]
fn the_server_killed_during_a_fan_out_loses_and_doubles_nothing() {
    let mut fleet = Fleet::start();
    let agents = simulated(&fleet, SIMULATED, Answer::Succeed);
    let ids: Vec<InstanceId> = agents.iter().map(|agent| agent.id.clone()).collect();
    let mut moments = Moments::new();
    let mut invocations = Vec::new();
    for round in 0..SERVER_KILLS {
        let request = Work::script(format!("echo {round}")).deadline(3600).signed(&ids, &fleet.trust.operator);
        invocations.push(fleet.api.create(&request).unwrap());
        moments.pass(Duration::from_millis(250));
        fleet.kill_server();
        fleet.restart_server();
    }
    for (round, invocation) in invocations.iter().enumerate() {
        let order = invocation.order.parse().unwrap();
        until(&format!("all tasks of round {round}"), Duration::from_secs(120), || {
            let tasks = fleet.api.tasks(&invocation.id);
            tasks.iter().all(|task| ended(&task.status)).then_some(())
        });
        let tasks = fleet.api.tasks(&invocation.id);
        assert_eq!(tasks.len(), SIMULATED);
        for (task, agent) in
            tasks.iter().map(|task| (task, agents.iter().find(|agent| agent.id == task.instance).unwrap()))
        {
            assert_eq!(task.status, "Success", "round {round}: {task:?}");
            assert_eq!(agent.begun(&order), 1, "round {round}: {} began it another number of times", agent.id);
        }
        let view = fleet.api.invocation(&invocation.id);
        assert_eq!(view.status, "Success");
        assert_eq!(view.counts, [("Success".to_owned(), SIMULATED as u64)].into());
    }
    until("all reports to be acknowledged", Duration::from_secs(60), || {
        agents.iter().all(|agent| agent.unacknowledged() == 0).then_some(())
    });
}

#[test]
fn an_invocation_whose_creation_was_cut_off_is_there_wholly_or_not_at_all() {
    let mut fleet = Fleet::start();
    let agents = simulated(&fleet, 20, Answer::Succeed);
    let ids: Vec<InstanceId> = agents.iter().map(|agent| agent.id.clone()).collect();
    let mut moments = Moments::new();
    for round in 0..4 {
        let request = Work::script(format!("echo {round}")).deadline(3600).signed(&ids, &fleet.trust.operator);
        let (api, runtime) = (fleet.api.clone(), fleet.runtime.handle().clone());
        let sending = runtime.spawn_blocking(move || {
            // The answer may be cut off together with the server: what counts is what is there afterwards.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| api.create(&request).map(|view| view.id)))
        });
        moments.pass(Duration::from_millis(30));
        fleet.kill_server();
        fleet.runtime.block_on(sending).unwrap().ok();
        fleet.restart_server();
    }
    let page: orderly_wire::http::Page<orderly_wire::http::invocation::InvocationView> =
        fleet.api.get("/v1/invocations?limit=100").unwrap();
    println!("{} of 4 invocations were recorded", page.items.len());
    for invocation in page.items {
        assert_eq!(fleet.api.tasks(&invocation.id).len(), ids.len(), "half an invocation: {invocation:?}");
        until("its tasks", Duration::from_secs(60), || {
            (fleet.api.invocation(&invocation.id).status == "Success").then_some(())
        });
        let order = invocation.order.parse().unwrap();
        assert!(agents.iter().all(|agent| agent.begun(&order) == 1));
    }
}
