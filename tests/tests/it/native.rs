//! Scripts on a real agent: what they print, as whom, where, and with what environment.

use std::time::Duration;

use orderly_signing::verify::{check_receipt_for, verify_receipt};
use orderly_signing::{Digest, InstanceId};
use orderly_tests::agent::Agent;
use orderly_tests::api::output_text;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::wait::SOON;
use orderly_wire::http::task::TaskDetail;
use orderly_wire::to_server::Stream;

/// Runs a script to its end.
pub fn run(fleet: &Fleet, id: &InstanceId, work: &Work) -> (String, TaskDetail) {
    let request = work.signed(std::slice::from_ref(id), &fleet.trust.operator);
    let invocation = fleet.api.create(&request).unwrap_or_else(|problem| panic!("{problem:?}")).id;
    let task = fleet.api.wait_end(&invocation, id, Duration::from_secs(90));
    (invocation, task)
}

fn assert_success(task: &TaskDetail) {
    assert_eq!(task.view.status, "Success", "{:?} {:?} {:?}", task.view.code, task.view.reason, task.output);
}

#[test]
fn a_script_runs_and_its_output_receipt_and_counts_come_back() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let work = Work::script("echo to-stdout\necho to-stderr >&2\nexit 0\n");
    let (invocation, task) = run(&fleet, &agent.id, &work);
    assert_success(&task);
    assert_eq!(task.view.exit_code, Some(0));
    let of = |stream: Stream| -> Vec<u8> {
        let segments = &task.output.as_ref().expect("output").head;
        segments.iter().filter(|part| part.stream == stream).flat_map(|part| part.data.clone()).collect()
    };
    assert_eq!(of(Stream::Stdout), b"to-stdout\n");
    assert_eq!(of(Stream::Stderr), b"to-stderr\n");

    let view = fleet.api.invocation(&invocation);
    assert_eq!(view.status, "Success");
    assert_eq!(view.counts, [("Success".to_owned(), 1)].into());
    let receipt = serde_json::to_vec(task.receipt.as_ref().expect("a receipt")).unwrap();
    let receipt = verify_receipt(&receipt, &fleet.api.instance(&agent.id).key).expect("a receipt that verifies");
    check_receipt_for(&receipt, &view.order.parse::<Digest>().unwrap()).expect("a receipt for this order");
    assert_eq!(receipt.output.bytes, 20);
    assert_eq!((receipt.output.stdout_bytes, receipt.output.stderr_bytes), (10, 10));
}

#[test]
fn an_exit_code_that_is_not_zero_is_a_failure_with_that_code() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let (invocation, task) = run(&fleet, &agent.id, &Work::script("echo before; exit 7"));
    assert_eq!((task.view.status.as_str(), task.view.exit_code), ("Failed", Some(7)));
    assert_eq!(output_text(&task), "before\n");
    assert_eq!(fleet.api.invocation(&invocation).status, "Failed");
}

#[test]
fn environment_folder_shebang_and_user_are_what_the_order_says() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("work");
    std::fs::create_dir(&folder).unwrap();
    let place = folder.display().to_string();
    let work = Work::script(
        "#!/bin/bash\necho \"$BASH_VERSION\" | grep -q . && echo bash\npwd\necho \"$GREETING\"\nid -un\n\
        env | cut -d= -f1 | sort | tr '\\n' ' '\n",
    )
    .with(|script| {
        script.cwd = Some(place.clone());
        script.environment.insert("GREETING".to_owned(), "two words; $(id)".to_owned());
    });
    let (_, task) = run(&fleet, &agent.id, &work);
    assert_success(&task);
    let text = output_text(&task);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(&lines[..3], ["bash", place.as_str(), "two words; $(id)"], "{text}");
    let own = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    assert_eq!(lines[3].as_bytes(), own.trim_ascii(), "without a user it is the agent's own");
    for name in ["HOME", "USER", "LOGNAME", "SHELL", "PATH", "GREETING"] {
        assert!(lines[4].split(' ').any(|found| found == name), "{name} is not set: {text}");
    }
    for name in ["ORDERLY_TOKEN", "CARGO", "CARGO_MANIFEST_DIR", "NEXTEST"] {
        assert!(!lines[4].split(' ').any(|found| found == name), "{name} leaked: {text}");
    }
}

#[test]
fn another_user_is_taken_on_wholly_where_the_agent_is_root() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let work = Work::script("id -un; id -gn; id -G; echo $HOME $USER $LOGNAME; cat /etc/shadow 2>/dev/null; touch /root/x 2>/dev/null || echo refused")
        .with(|script| (script.user, script.cwd) = (Some("nobody".to_owned()), Some("/".to_owned())));
    let (_, task) = run(&fleet, &agent.id, &work);
    if rustix::process::geteuid().is_root() {
        assert_success(&task);
        let text = output_text(&task);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "nobody", "{text}");
        assert!(!lines[2].split(' ').any(|group| group == "0"), "root's group was kept: {text}");
        assert!(lines[3].ends_with(" nobody nobody"), "{text}");
        assert_eq!(lines.last(), Some(&"refused"), "{text}");
    } else {
        assert_eq!(task.view.status, "Invalid", "another user needs root");
        assert!(task.view.reason.is_some());
    }
}

#[test]
fn a_user_or_a_folder_that_is_not_there_is_refused_by_name() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let nobody_knows = Work::script("echo ran").with(|script| script.user = Some("no-such-user".to_owned()));
    let (_, task) = run(&fleet, &agent.id, &nobody_knows);
    assert_ne!(task.view.status, "Success");
    assert!(task.view.reason.as_deref().is_some_and(|reason| reason.contains("no-such-user")), "{:?}", task.view);
    let nowhere = Work::script("echo ran").with(|script| script.cwd = Some("/no/such/folder".to_owned()));
    let (_, task) = run(&fleet, &agent.id, &nowhere);
    assert_ne!(task.view.status, "Success");
    assert!(task.view.reason.as_deref().is_some_and(|reason| reason.contains("/no/such/folder")), "{:?}", task.view);
}

#[test]
fn a_script_is_in_no_file_and_no_command_line_that_others_may_read() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let secret = "swordfish-7141";
    let work = Work::script(format!(
        "tr '\\0' ' ' < /proc/$$/cmdline; echo\nexec 3< /proc/$$/cmdline; # {secret}\nls -lL /proc/self/fd 2>/dev/null | wc -l\n"
    ));
    let (_, task) = run(&fleet, &agent.id, &work);
    assert_success(&task);
    let text = output_text(&task);
    assert!(!text.contains(secret), "the script is in a command line: {text}");
}

#[test]
fn two_agents_on_one_machine_each_do_their_own_work_only() {
    let fleet = Fleet::start();
    let (first, second) = (fleet.agent("first"), fleet.agent("second"));
    assert_ne!(first.id, second.id);
    let mark = fleet.path("mark").display().to_string();
    let work = Work::script(format!("echo ran >> {mark}; echo here"));
    let (_, task) = run(&fleet, &first.id, &work);
    assert_success(&task);
    let both = work.signed(&[first.id.clone(), second.id.clone()], &fleet.trust.operator);
    let invocation = fleet.api.create(&both).unwrap().id;
    for id in [&first.id, &second.id] {
        assert_success(&fleet.api.wait_end(&invocation, id, SOON));
    }
    assert_eq!(std::fs::read_to_string(fleet.path("mark")).unwrap().lines().count(), 3);
    assert_eq!(fleet.api.invocation(&invocation).counts, [("Success".to_owned(), 2)].into());
}

#[test]
fn a_second_agent_on_the_same_data_directory_is_refused_with_the_first_ones_pid() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let pid = agent.program().pid().to_string();
    let output = std::process::Command::new(orderly_tests::programs::built("orderly-agent"))
        .arg("run")
        .arg("--data-dir")
        .arg(&agent.data)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(&pid), "{text}");
    let _: &Agent = &agent;
}
