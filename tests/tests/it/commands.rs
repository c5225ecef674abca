//! Commands that are kept, from the terminal to an agent and back; selectors and groups that say where they run.

use std::process::Output;

use orderly_tests::fleet::Fleet;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn good(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = fleet.run(arguments);
    assert!(output.status.success(), "orderly {arguments:?}: {}\n{}", output.status, text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_kept_command_runs_in_the_version_that_was_shown_where_a_group_says() {
    let fleet = Fleet::start();
    let key = fleet.path("operator.pem").display().to_string();
    orderly_signing::key::file::save_secret(&key, &fleet.trust.operator).unwrap();
    let (web, db) = (fleet.agent("web"), fleet.agent("db"));
    fleet.api.tag(&web.id, &[("role", "web")]);
    fleet.api.tag(&db.id, &[("role", "db")]);
    let file = fleet.path("greet.sh");
    std::fs::write(&file, "echo \"first $ORDERLY_PARAM_WHO\"\n").unwrap();
    let path = file.display().to_string();
    let id = good(&fleet, &["command", "create", "greet", "--file", &path, "--param", "who=world"]);
    assert!(id.starts_with("c-"), "{id}");
    std::fs::write(&file, "echo \"second $ORDERLY_PARAM_WHO\"\n").unwrap();
    assert_eq!(good(&fleet, &["command", "edit", "greet", "--file", &path]).trim(), "version 2");
    good(&fleet, &["group", "create", "web", "--where", "role in (web)"]);
    let listed = good(&fleet, &["instance", "list", "--where", "not role=db"]);
    assert!(listed.contains(web.id.as_str()) && !listed.contains(db.id.as_str()), "{listed}");

    let preview = good(&fleet, &["command", "run", "greet", "--group", "web", "--preview", "-o", "json"]);
    assert!(preview.contains(web.id.as_str()) && !preview.contains(db.id.as_str()), "{preview}");
    assert_eq!(good(&fleet, &["invocation", "list", "-o", "jsonl"]), "", "a preview sends nothing");
    let newest = good(&fleet, &["command", "run", "greet", "--group", "web", "--set", "who=$(id)", "--key", &key]);
    assert!(newest.contains("second $(id)"), "a value is no text of the script: {newest}");
    let first = good(&fleet, &["command", "run", "greet", "--version", "1", "--where", "role=db", "--key", &key]);
    assert!(first.contains("first world"), "{first}");

    // Pinned to what was seen, a script that changed meanwhile is not signed.
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = fleet.run(&["command", "run", "greet", "--all", "--content", &other, "--key", &key]);
    assert_eq!(refused.status.code(), Some(6), "{}", text(&refused));
    let versions = good(&fleet, &["command", "versions", "greet", "-o", "jsonl"]);
    assert_eq!(versions.lines().count(), 2, "{versions}");
    good(&fleet, &["command", "delete", "greet"]);
    assert_eq!(good(&fleet, &["command", "list", "-o", "jsonl"]), "");
}
