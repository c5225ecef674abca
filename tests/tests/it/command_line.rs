//! The command line as an operator uses it, from the first key to the check of the receipts with the network unplugged.

use std::process::{Command, Output};

use orderly_tests::fleet::Fleet;
use orderly_tests::process::Program;
use orderly_tests::programs;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn good(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = fleet.run(arguments);
    assert!(output.status.success(), "orderly {arguments:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sets up trust, prints the enrolment line and follows it to the letter.
fn operated() -> (Fleet, Program) {
    let fleet = Fleet::start_bare();
    good(&fleet, &["trust", "init", "--fleet", "demo"]);
    let printed = good(&fleet, &["activation", "create", "--tag", "env=test"]);
    let line = printed.lines().find_map(|line| line.find("orderly-agent enrol").map(|at| line[at..].trim().to_owned()));
    let line = line.unwrap_or_else(|| panic!("no enrolment line in\n{printed}"));
    let data = fleet.path("agent");
    let mut words = line.split_whitespace().skip(1);
    let mut enrol = Command::new(programs::built(programs::AGENT));
    enrol.args(&mut words).arg("--data-dir").arg(&data);
    let output = enrol.output().unwrap();
    assert!(output.status.success(), "`{line}` as printed: {}", text(&output));
    let mut run = Command::new(programs::built(programs::AGENT));
    run.arg("run").arg("--data-dir").arg(&data);
    let agent = Program::start("orderly-agent", &mut run);
    orderly_tests::wait::until("the instance to be online", orderly_tests::wait::SOON, || {
        let list = good(&fleet, &["instance", "list", "--output", "json"]);
        list.contains("\"online\":true").then_some(()).or_else(|| list.contains("\"online\": true").then_some(()))
    });
    (fleet, agent)
}

#[test]
fn from_the_first_key_to_an_offline_check_of_the_receipts() {
    let (mut fleet, _agent) = operated();
    let output = fleet.run(&["run", "--tag", "env=test", "--", "echo hello from the fleet"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("hello from the fleet"), "{}", text(&output));
    let output = fleet.run(&["run", "--all", "--", "exit 3"]);
    assert_eq!(output.status.code(), Some(1), "a task that failed: {}", text(&output));

    let list = good(&fleet, &["invocation", "list", "--output", "json"]);
    let id =
        list.split('"').find(|part| part.starts_with("t-") && part.len() == 28).expect("an invocation id").to_owned();
    let folder = fleet.path("evidence").display().to_string();
    good(&fleet, &["invocation", "evidence", &id, "--dir", &folder]);
    fleet.end_server();
    let unplugged = rustix::process::geteuid().is_root();
    let mut verify = if unplugged { Command::new("unshare") } else { Command::new(programs::built(programs::ORDERLY)) };
    if unplugged {
        verify.arg("-n").arg(programs::built(programs::ORDERLY));
    }
    let output =
        verify.args(["verify", "evidence", &folder]).env("ORDERLY_CONFIG_DIR", fleet.path("config")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));

    // One changed byte of one receipt, and the same check says no.
    let receipts = find_receipts(&fleet.path("evidence"));
    assert!(!receipts.is_empty(), "no receipt in the evidence");
    let receipt = std::fs::read_to_string(&receipts[0]).unwrap();
    let at = receipt.find("\"payload\":\"").expect("a payload") + 40;
    let other = if receipt.as_bytes()[at] == b'A' { "B" } else { "A" };
    std::fs::write(&receipts[0], format!("{}{other}{}", &receipt[..at], &receipt[at + 1..])).unwrap();
    let output = fleet.run(&["verify", "evidence", &folder]);
    assert!(!output.status.success(), "a forged receipt was believed: {}", text(&output));
}

fn find_receipts(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(find_receipts(&path));
        } else if std::fs::read_to_string(&path)
            .is_ok_and(|text| text.contains("application/vnd.orderly.receipt.v1+json"))
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn trust_init_refuses_to_overwrite_keys() {
    let fleet = Fleet::start_bare();
    good(&fleet, &["trust", "init"]);
    let key = std::fs::read(fleet.path("config/keys/operator.pem")).unwrap();
    let output = fleet.run(&["trust", "init"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert_eq!(std::fs::read(fleet.path("config/keys/operator.pem")).unwrap(), key);
}

#[test]
fn errors_say_what_and_how_and_have_their_exit_codes() {
    let fleet = Fleet::start_bare();
    good(&fleet, &["trust", "init"]);
    let usage = fleet.run(&["no-such-command"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage));
    let unknown = fleet.run(&["run", "--instance", "no-such-instance", "--", "true"]);
    assert!(unknown.status.code().is_some_and(|code| code > 1), "{}", text(&unknown));
    assert!(text(&unknown).contains("no-such-instance"), "{}", text(&unknown));
    let nothing = fleet.run(&["run", "--tag", "env=nowhere", "--", "true"]);
    assert!(
        nothing.status.code().is_some_and(|code| code > 1) && text(&nothing).contains("env=nowhere"),
        "{}",
        text(&nothing)
    );
    let gone =
        fleet.orderly().args(["instance", "list"]).env("ORDERLY_SERVER", "https://127.0.0.1:1").output().unwrap();
    assert!(!gone.status.success() && text(&gone).contains("127.0.0.1:1"), "{}", text(&gone));
}

#[test]
fn result_that_does_not_fit_on_the_disk_is_no_success() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut orderly = Command::new(programs::built(programs::ORDERLY));
    let output = orderly.args(["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
}
