//! Enrolment, and every way in which it is refused: with what is wrong in the message, and nothing half done.

use std::os::unix::fs::PermissionsExt as _;

use orderly_signing::digest::Digest;

use crate::fleet::Fleet;

async fn refused(mut command: tokio::process::Command) -> String {
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_enrols_and_all_that_it_keeps_is_private() {
    let fleet = Fleet::new().await;
    fleet.enrol().await;
    let mode = |name: &str| std::fs::metadata(fleet.data().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("."), 0o700);
    for name in ["instance.pem", "identity.json", "keyring.json", "journal", "lock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let status = tokio::process::Command::new(env!("CARGO_BIN_EXE_orderly-agent"))
        .args(["status", "--data-dir"])
        .arg(fleet.data())
        .output()
        .await
        .unwrap();
    assert!(String::from_utf8(status.stdout).unwrap().contains(fleet.instance().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_code_wrong_ca_wrong_root_and_no_server_are_told_and_leave_it_not_enrolled() {
    let fleet = Fleet::new().await;
    let (ca, root) = (fleet.server.ca, fleet.fingerprint());
    let other = Digest::of(b"other");
    let told = refused(fleet.enrol_command("wrong", ca, root)).await;
    assert!(told.contains("activation code is wrong"), "{told}");
    let key = std::fs::read(fleet.data().join("instance.pem")).unwrap();
    let told = refused(fleet.enrol_command("right", other, root)).await;
    assert!(told.contains("does not show the pinned CA") && told.contains(&ca.to_string()), "{told}");
    let told = refused(fleet.enrol_command("right", ca, other)).await;
    assert!(told.contains("pinned root"), "{told}");
    assert!(!fleet.data().join("identity.json").exists());
    fleet.enrol().await;
    assert_eq!(std::fs::read(fleet.data().join("instance.pem")).unwrap(), key, "one key, however often it was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_instance_enrols_again_only_when_forced_and_keeps_its_id() {
    let fleet = Fleet::new().await;
    fleet.enrol().await;
    let id = fleet.instance();
    let told = refused(fleet.enrol_command("right", fleet.server.ca, fleet.fingerprint())).await;
    assert!(told.contains("enrolled already") && told.contains(id.as_str()) && told.contains("--force"), "{told}");
    let mut again = fleet.enrol_command("right", fleet.server.ca, fleet.fingerprint());
    assert!(again.arg("--force").status().await.unwrap().success());
    assert_eq!(fleet.instance(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolling_anew_is_no_way_back_to_an_old_keyring() {
    let fleet = Fleet::new().await;
    let (old, new) = (fleet.keyring(1, &fleet.operator), fleet.keyring(2, &fleet.operator));
    fleet.server.with(|state| state.keyring = new);
    fleet.enrol().await;
    fleet.server.with(|state| state.keyring = old);
    let mut again = fleet.enrol_command("right", fleet.server.ca, fleet.fingerprint());
    again.arg("--force");
    let told = refused(again).await;
    assert!(told.contains("revision 1, 2 was already seen"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_told_with_its_address() {
    let fleet = Fleet::new().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_orderly-agent"));
    command.args(["enrol", "--server", "https://127.0.0.1:1", "--code", "x", "--data-dir"]).arg(fleet.data());
    command.args(["--ca", &Digest::ZERO.to_string(), "--root", &Digest::ZERO.to_string()]);
    let told = refused(command).await;
    assert!(told.contains("https://127.0.0.1:1` cannot be reached"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_on_the_same_directory_is_refused_with_the_firsts_process_id() {
    let fleet = Fleet::linked().await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_orderly-agent"));
    command.args(["run", "--data-dir"]).arg(fleet.data());
    let told = refused(command).await;
    assert!(told.contains(&format!("process id {}", fleet.agent_pid())), "{told}");
}
