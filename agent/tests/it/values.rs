//! Values in scripts, launchers, and trials that tell all of it.

use std::collections::BTreeMap;
use std::path::Path;

use orderly_signing::digest::Digest;
use orderly_signing::order::{Order, Repeat, Resources, Substitution};
use orderly_signing::sign::sign_order;
use orderly_wire::to_agent::ToAgent;

use crate::extras::says;
use crate::fleet::{Fleet, root, script, user};

const INVOCATION: &str = "t-01kav9ft00zzzzzzzzzzzzzzzz";
const COMMAND: &str = "c-01kav9ft00zzzzzzzzzzzzzzzz";

/// Values as an order carries them.
fn carries(order: &mut Order, substitution: Substitution, values: &[(&str, &str)]) {
    order.invocation = INVOCATION.to_owned();
    says(order, |script| {
        script.substitution = substitution;
        script.command = Some(COMMAND.to_owned());
        script.parameters = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    });
}

/// Offers a script with what a server tells beside it.
fn told(fleet: &Fleet, text: &str, built_ins: &[(&str, &str)], change: impl FnOnce(&mut Order)) -> Digest {
    let mut order = fleet.order(script(text.as_bytes()));
    change(&mut order);
    let envelope = sign_order(&order, &fleet.operator).unwrap();
    let mut offer = fleet.offer_of(&envelope, Some(text.as_bytes()));
    offer.built_ins = built_ins.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    fleet.server.send(ToAgent::Offer(Box::new(offer)));
    envelope.digest()
}

#[tokio::test(flavor = "multi_thread")]
async fn injection_through_a_value_reaches_no_script_that_gets_its_values_as_environment() {
    let fleet = Fleet::linked().await;
    let evil = "\"; touch /no/such; $(id) `id` {{name}}\n";
    let text = "printf %s \"$ORDERLY_PARAM_MY_NAME\"; docker() { echo \"$*\"; }; docker --format '{{.Names}}'";
    let done = fleet.outcome(text, |order| carries(order, Substitution::Environment, &[("my-name", evil)])).await;
    assert_eq!((done.status(), done.stdout()), ("Success", format!("{evil}--format {{{{.Names}}}}\n")));
    let done =
        fleet.outcome("echo {{my-name}}", |order| carries(order, Substitution::Environment, &[("my-name", "x")])).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("InvalidParameter")));
    assert!(done.reason().contains("ORDERLY_PARAM_MY_NAME"), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_put_in_place_once_and_what_is_unknown_or_missing_runs_nothing() {
    let fleet = Fleet::linked().await;
    let done = fleet
        .outcome("echo {{ Name }} '{{name}}'", |order| {
            carries(order, Substitution::Text, &[("name", "a; echo '{{b}}'")]);
        })
        .await;
    assert_eq!(
        (done.status(), done.stdout().as_str()),
        ("Success", "a\n{{b}} a; echo {{b}}\n"),
        "as Cloud Assistant does it"
    );
    for (text, told) in
        [("echo {{other}}", "other"), ("echo {{ACS::RegionId}}", "RegionId"), ("echo {{ACS::Nope}}", "Nope")]
    {
        let done = fleet.outcome(text, |order| carries(order, Substitution::Text, &[("name", "x")])).await;
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("InvalidParameter")), "{text}");
        assert!(done.reason().contains(told), "{}", done.reason());
        assert_eq!(done.receipt.started_ms, None);
    }
    let done = fleet.outcome("echo '{{name}}'", |_| {}).await;
    assert_eq!(done.stdout(), "{{name}}\n", "without parameters braces mean nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn injection_through_an_instance_name_is_refused_as_text_and_harmless_as_environment() {
    let fleet = Fleet::linked().await;
    let me = fleet.instance().to_string();
    // The server lies about what the instance and the order know better.
    let all = [
        ("InstanceName", "web-1"),
        ("RegionId", "eu:1"),
        ("Tag::team", "red"),
        ("InstanceId", "i-other"),
        ("New", "x"),
    ];
    let text = "echo {{ACS::InstanceId}} {{ACS::InvokeId}} {{ACS::CommandId}} {{ACS::InstanceName}} {{ACS::RegionId}} {{ACS::Tag::team}}";
    let done = fleet.ended(told(&fleet, text, &all, |order| carries(order, Substitution::Text, &[]))).await;
    assert_eq!(done.stdout(), format!("{me} {INVOCATION} {COMMAND} web-1 eu:1 red\n"), "{}", done.reason());
    let evil = [("InstanceName", "x; touch /no/such")];
    let text = "echo {{ACS::InstanceName}}";
    let done = fleet.ended(told(&fleet, text, &evil, |order| carries(order, Substitution::Text, &[]))).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("InvalidParameter")));
    let text = "echo \"$ORDERLY_INSTANCE_NAME/$ORDERLY_INSTANCE_ID\"";
    let done = fleet.ended(told(&fleet, text, &evil, |order| carries(order, Substitution::Environment, &[]))).await;
    assert_eq!(done.stdout(), format!("x; touch /no/such/{me}\n"));
    let done = fleet.ended(told(&fleet, "echo \"<$ORDERLY_INSTANCE_NAME>\"", &evil, |_| {})).await;
    assert_eq!(done.stdout(), "<>\n", "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_starts_the_script_and_no_shell_reads_it() {
    let fleet = Fleet::linked().await;
    let launcher = |line: &str| {
        let line = line.to_owned();
        move |order: &mut Order| says(order, |script| script.launcher = Some(line))
    };
    let done = fleet.outcome("echo script $#", launcher("sh {{ACS::ScriptFileName}} '$(id)' \"a b\"")).await;
    assert_eq!((done.status(), done.stdout().as_str()), ("Success", "script 2\n"), "{}", done.reason());
    for (line, code) in [("no-such-program {{ACS::ScriptFileName}}", "no-such-program"), ("sh", "ScriptFileName")] {
        let done = fleet.outcome("true", launcher(line)).await;
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("CommandNotApplicable")));
        assert!(done.reason().contains(code), "{}", done.reason());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_file_with_a_name_is_its_users_alone_and_gone_with_the_run() {
    let fleet = Fleet::linked().await;
    let line = r#"sh -c 'echo "$1"; stat -c "%a %U" "$1" "${1%/*}"; mv "$1" "$1.x" 2>&- && echo moved && mv "$1.x" "$1"; cat "$1"' x {{ACS::ScriptFileName|Ext(".py")}}"#;
    let named = |order: &mut Order| says(order, |script| script.launcher = Some(line.to_owned()));
    let whoami = fleet.outcome("id -un", |_| {}).await.stdout().trim().to_owned();
    let check = |output: String, whoami: &str, directory: &str| {
        let lines: Vec<_> = output.lines().collect();
        assert!(lines[0].ends_with("/script.py"), "{output}");
        assert_eq!(lines[1..3], [format!("500 {whoami}"), directory.to_owned()]);
        // Another user cannot exchange what the agent removes.
        let own = directory.starts_with("700");
        assert_eq!((lines.contains(&"moved"), lines.last()), (own, Some(&"print(1)")), "{output}");
        let directory = Path::new(lines[0]).parent().unwrap();
        assert!(!directory.exists() && !directory.parent().unwrap().exists(), "nothing is left of {directory:?}");
    };
    check(fleet.outcome("print(1)", named).await.stdout(), &whoami, &format!("700 {whoami}"));
    if root("a script file of another user") {
        let done = fleet
            .outcome("print(1)", |order| {
                named(order);
                user(order, "nobody");
            })
            .await;
        check(done.stdout(), "nobody", "710 root");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_file_that_a_crash_left_is_removed_at_the_next_start() {
    let mut fleet = Fleet::linked().await;
    let line = r#"sh -c 'echo "$1"; exec sleep 600' x {{ACS::ScriptFileName|Ext(".py")}}"#;
    let order = fleet.script("x", |order| says(order, |script| script.launcher = Some(line.to_owned())));
    let path = fleet
        .server
        .until("live output", |state| {
            state.live.iter().find_map(|frame| match frame {
                orderly_wire::to_server::ToServer::Output(output) => {
                    let bytes = output.segments.iter().flat_map(|segment| segment.data.clone()).collect();
                    String::from_utf8(bytes).ok().filter(|text| text.ends_with(".py\n"))
                }
                _ => None,
            })
        })
        .await;
    let path = Path::new(path.trim());
    assert!(path.exists());
    fleet.kill().await;
    fleet.run().await;
    assert_eq!(fleet.ended(order).await.receipt.code.as_deref(), Some("ExecutionInterrupted"));
    assert!(!path.exists() && !path.parent().unwrap().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_tells_what_would_run_and_runs_nothing() {
    let fleet = Fleet::linked().await;
    let witness = fleet.dir.path().join("witness");
    let text = format!("#!/bin/sh -e\ntouch {}", witness.display());
    let trial = |order: &mut Order| order.repeat = Repeat::DryRun;
    let order = fleet.script(&text, |order| {
        trial(order);
        carries(order, Substitution::Environment, &[("password", "hidden-value")]);
        says(order, |script| {
            script.environment = BTreeMap::from([("TOKEN".to_owned(), "hidden-value".to_owned())]);
            script.stdin = Some("hidden-value".to_owned());
        });
    });
    let done = fleet.ended(order).await;
    let told = done.stdout();
    assert_eq!((done.status(), done.receipt.exit_code), ("Success", None), "{}", done.reason());
    for part in [
        "line: /bin/sh -e SCRIPT",
        "directory: /\n",
        "ORDERLY_PARAM_PASSWORD",
        "TOKEN",
        "time: 60 s",
        "input: 12 bytes",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(!told.contains("hidden-value") && !witness.exists(), "{told}");
    assert!(done.reason().contains("nothing ran") && done.receipt.started_ms.is_none());
    fleet.accepted(order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_of_what_cannot_run_is_invalid_with_the_reason() {
    let fleet = Fleet::linked().await;
    let trial = |order: &mut Order| order.repeat = Repeat::DryRun;
    for (text, told) in [("#!/no/such/interpreter", "/no/such/interpreter"), ("#!/usr/bin/env no-such-x", "no-such-x")]
    {
        let done = fleet.outcome(text, trial).await;
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("CommandNotApplicable")));
        assert!(done.reason().contains(told), "{}", done.reason());
    }
    let done = fleet
        .outcome("true", |order| {
            trial(order);
            says(order, |script| script.cwd = Some("/no/such/directory".to_owned()));
        })
        .await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("DirectoryNotExists")));
    let limits = Resources { processes: Some(5), ..Resources::default() };
    let done = fleet
        .outcome("true", |order| {
            trial(order);
            says(order, |script| script.resources = Some(limits));
        })
        .await;
    // Where this machine cannot limit, a trial says so as a run would.
    assert!(
        done.stdout().contains("limits: 5 processes") || done.reason().contains("limits what"),
        "{}",
        done.reason()
    );
}
