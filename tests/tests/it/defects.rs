//! Cloud Assistant's known defects that no other test shows to be absent here. Each test has the defect's number, as in the table
//! `docs/defects.md`, which also names the tests of all the others.

use orderly_signing::merkle::TargetSet;
use orderly_signing::sign::sign_order;
use orderly_tests::api::output_text;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::rogue::Rogue;
use orderly_wire::to_agent::{Ack, KeyringUpdate, Offer, ToAgent};

use crate::native::run;

#[test]
fn defect_08_no_content_value_or_output_is_in_a_log_however_talkative() {
    let mut fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    agent.end();
    agent.set_environment("ORDERLY_LOG", "trace");
    agent.start();
    let work = Work::script("printf 'mark-of-%s\\n' output # mark-of-content")
        .with(|script| drop(script.environment.insert("SECRET".to_owned(), "mark-of-value".to_owned())));
    let (invocation, task) = run(&fleet, &agent.id, &work);
    assert_eq!(output_text(&task), "mark-of-output\n", "{:?}", task.view);
    let mut lines = agent.program().lines();
    assert!(lines.iter().any(|line| line.contains(&invocation)), "the agent did log this run:\n{}", lines.join("\n"));
    lines.extend(fleet.server().lines());
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("mark-of-")).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn defect_09_no_frame_of_a_hostile_server_makes_an_agent_crash_or_deaf() {
    let mut fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let key = fleet.api.instance(&agent.id).key;
    let pid = agent.program().pid();
    let rogue = Rogue::take_over(&mut fleet);
    rogue.wait_link(0);
    let order = Work::script("echo ran").order(std::slice::from_ref(&agent.id));
    let envelope = sign_order(&order, &fleet.trust.operator).unwrap();
    let targets = TargetSet::of_instances([agent.id.clone()]).unwrap();
    let offer = |order: Vec<u8>, content: Option<Vec<u8>>| {
        let proof = targets.proof(&agent.id).unwrap();
        ToAgent::Offer(Box::new(Offer {
            order,
            proof,
            content,
            plugin: None,
            built_ins: Default::default(),
            live: true,
        }))
    };
    for junk in [
        &b""[..],
        b"{",
        b"\xff\xfe\0",
        b"[[[[[[[[[[[[[[[[",
        b"{\"payload\":\"\",\"payloadType\":\"\",\"signatures\":[]}",
    ] {
        rogue.say(offer(junk.to_vec(), None));
        rogue.say(ToAgent::Keyring(KeyringUpdate { keyring: junk.to_vec() }));
    }
    // Acknowledges what was never said.
    rogue.say(ToAgent::Ack(Ack { seq: u64::MAX }));
    rogue.say(offer(envelope.to_json(), Some(b"echo ran".to_vec())));
    assert_eq!(rogue.receipt(&envelope.digest(), &key).status.as_str(), "Success");
    assert!(agent.program().runs());
    assert_eq!((agent.program().pid(), rogue.links()), (pid, 1), "neither a restart nor another link was needed");
}

#[test]
fn defect_11_root_may_be_said_and_no_name_reaches_a_shell() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let own = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let own = String::from_utf8(own.trim_ascii().to_vec()).unwrap();
    // Where the tests are root's, this is `root` with its group 0.
    let as_own = Work::script("id -un").with(|script| script.user = Some(own.clone()));
    let (_, task) = run(&fleet, &agent.id, &as_own);
    assert_eq!(output_text(&task).trim(), own, "{:?}", task.view);
    let mark = fleet.path("mark");
    for name in [format!("nobody; touch {}", mark.display()), "no body".to_owned(), "$(id)".to_owned()] {
        let work = Work::script("true").with(|script| script.user = Some(name.clone()));
        let problem = fleet.api.create(&work.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator));
        assert!(problem.is_err(), "`{name}` is taken for a user");
    }
    assert!(!mark.exists());
}

#[test]
fn defect_17_a_time_out_is_no_exit_code_and_no_text_has_holes() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let (_, one) = run(&fleet, &agent.id, &Work::script("exit 1"));
    let (_, late) = run(&fleet, &agent.id, &Work::script("while :; do sleep 0.05; done").timeout(1));
    assert_eq!((one.view.status.as_str(), one.view.exit_code), ("Failed", Some(1)));
    assert_eq!((late.view.status.as_str(), late.view.exit_code), ("Timeout", None));
    assert_eq!(late.view.code.as_deref(), Some("ExecutionTimeout"));
    for text in [&one.view.reason, &late.view.reason].into_iter().flatten() {
        assert!(!["<nil>", "None", "null"].iter().any(|hole| text.contains(hole)), "{text}");
    }
}
