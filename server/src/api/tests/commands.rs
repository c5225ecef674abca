//! Commands that are kept: their life, and invocations that are tied to a version of one.

use std::collections::BTreeMap;

use orderly_model::command::{CommandDraft, ContentLimits, ContentUse};
use orderly_model::parameter::{ParameterSpec, Values};
use orderly_model::template::Substitution;
use orderly_signing::digest::Digest;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_wire::http::Page;
use orderly_wire::http::command::{
    ChangeCommand, CloneCommand, CommandDetail, CommandRef, CommandView, CreateCommand, RunCommand, VersionView,
};
use orderly_wire::http::invocation::{CreateInvocation, InvocationView, Run, StopInvocation};
use reqwest::{Method, StatusCode};

use crate::store::row::{NewVersion, VersionOutcome};
use crate::tests::Server;
use crate::tests::agent::{Agent, read};

fn draft(name: &str, content: &str) -> CommandDraft {
    CommandDraft {
        name: name.to_owned(),
        kind: "shell".to_owned(),
        content: Some(content.to_owned()),
        ..CommandDraft::default()
    }
}

async fn create(server: &Server, command: CommandDraft) -> CommandDetail {
    let tags = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    server.json(Method::POST, "/v1/commands", &CreateCommand { command, tags }).await
}

async fn change(server: &Server, id: &str, from: u32, command: CommandDraft) -> CommandDetail {
    server.json(Method::PUT, &format!("/v1/commands/{id}"), &ChangeCommand { from, command, tags: None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_command() {
    let server = Server::bare().await;
    let made = create(&server, draft("restart", "systemctl restart shop")).await;
    let id = made.view.id.clone();
    assert!(id.starts_with("c-"), "{id}");
    assert_eq!((made.view.shown.version, made.view.newest, made.view.created_by.as_str()), (1, 1, "admin"));
    assert_eq!(made.view.shown.content, Some(Digest::of(b"systemctl restart shop")));
    // What is shown can be changed and sent back.
    let edited = CommandDraft { content: Some("systemctl reload shop".to_owned()), ..made.command.clone() };
    let second = change(&server, &id, 1, edited.clone()).await;
    assert_eq!((second.view.shown.version, second.view.tags.len()), (2, 1));
    let same = change(&server, &id, 2, second.command.clone()).await;
    assert_eq!(same.view.newest, 2, "nothing changed");
    let path = format!("/v1/commands/{id}");
    let late = server.problem(Method::PUT, &path, &ChangeCommand { from: 1, command: edited, tags: None }).await;
    assert_eq!((late.status, late.code.as_str()), (409, "command-changed"));
    let first: CommandDetail = server.get(&format!("{path}?version=1")).await;
    assert_eq!(first.command, made.command);
    let versions: Page<VersionView> = server.get(&format!("{path}/versions?limit=1")).await;
    assert_eq!((versions.items[0].version, versions.items[0].changed_by.as_str()), (2, "admin"));
    let versions: Page<VersionView> =
        server.get(&format!("{path}/versions?limit=1&after={}", versions.next.unwrap())).await;
    assert_eq!((versions.items[0].version, versions.next), (1, None));

    let request = CloneCommand { name: "restart again".to_owned(), version: Some(1) };
    let copy: CommandDetail = server.json(Method::POST, &format!("{path}/clone"), &request).await;
    assert_eq!((copy.view.newest, copy.command.content.as_deref()), (1, Some("systemctl restart shop")));
    let listed = async |query: &str| {
        let page: Page<CommandView> = server.get(&format!("/v1/commands?{query}")).await;
        page.items.into_iter().map(|view| view.id).collect::<Vec<_>>()
    };
    let both = vec![id.clone(), copy.view.id.clone()];
    assert_eq!(listed("prefix=restart&type=shell&tags=team%3Dshop").await, both);
    assert_eq!(listed("contains=again").await, std::slice::from_ref(&copy.view.id));
    assert!(listed("type=bat").await.is_empty() && listed("tags=team%3Dother").await.is_empty());
    let page: Page<CommandView> = server.get("/v1/commands?limit=1").await;
    let rest: Page<CommandView> = server.get(&format!("/v1/commands?limit=1&after={}", page.next.unwrap())).await;
    assert_eq!((rest.items[0].id.as_str(), rest.next), (copy.view.id.as_str(), None));

    let (status, _) = server.send(Method::DELETE, &path, "", "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(server.problem(method, &path, &()).await.code, "unknown-command");
    }
    for id in ["c-%0a", "%00"] {
        let path = format!("/v1/commands/{id}?version=7");
        assert_eq!(server.problem(Method::GET, &path, &()).await.code, "unknown-command");
        assert_eq!(server.problem(Method::DELETE, &path, &()).await.code, "unknown-command");
    }
    for field in ["prefix", "contains"] {
        let problem = server.problem(Method::GET, &format!("/v1/commands?{field}=a%00"), &()).await;
        assert_eq!((problem.status, problem.code.as_str()), (400, "query"), "{field}");
    }
    let path = format!("/v1/commands/{}?version=7", copy.view.id);
    assert_eq!(server.problem(Method::GET, &path, &()).await.code, "unknown-version");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_one_command_without_end_are_refused() {
    let server = Server::bare().await;
    let made = create(&server, draft("grow", "true")).await;
    let id = made.view.id.clone();
    for from in 1..1000 {
        let new = NewVersion {
            changed_ms: 1,
            changed_by: "admin".to_owned(),
            name: "grow".to_owned(),
            description: String::new(),
            content_digest: None,
            content_bytes: 4,
            draft: serde_json::to_string(&made.command).unwrap(),
            tags: None,
        };
        assert_eq!(server.store.change_command(&id, from, new).await.unwrap(), VersionOutcome::Stored(from + 1));
    }
    let path = format!("/v1/commands/{id}");
    let more = ChangeCommand { from: 1000, command: draft("grow", "false"), tags: None };
    let problem = server.problem(Method::PUT, &path, &more).await;
    assert_eq!((problem.status, problem.code.as_str()), (409, "command-versions"));
    assert!(problem.hint.unwrap().contains("clone"));
    let request = CloneCommand { name: "go on".to_owned(), version: None };
    let copy: CommandDetail = server.json(Method::POST, &format!("{path}/clone"), &request).await;
    change(&server, &copy.view.id, 1, draft("go on", "false")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_a_command_is_told_at_once() {
    let server = Server::bare().await;
    let wrong = CommandDraft {
        timeout_s: Some(0),
        user: Some("no body".to_owned()),
        working_dir: Some("here".to_owned()),
        substitution: Some(Substitution::Text),
        parameters: vec![ParameterSpec { secret: true, ..ParameterSpec::implied("pass".parse().unwrap()) }],
        ..draft("", "echo {{pass}} {{other}}")
    };
    let tags = BTreeMap::from([("acs:x".to_owned(), String::new())]);
    let problem = server.problem(Method::POST, "/v1/commands", &CreateCommand { command: wrong, tags }).await;
    assert_eq!((problem.status, problem.code.as_str()), (422, "invalid-request"));
    let fields: Vec<&str> = problem.faults.iter().map(|fault| fault.field.as_str()).collect();
    for field in ["name", "timeout_s", "user", "working_dir", "parameters.pass", "content"] {
        assert!(fields.contains(&format!("command.{field}").as_str()), "{field}: {fields:?}");
    }
    assert!(fields.contains(&"tags.acs:x"), "{fields:?}");
    let large = draft("large", &"x".repeat(18 * 1024 / 4 * 3 + 1));
    let request = CreateCommand { command: large, ..CreateCommand::default() };
    let problem = server.problem(Method::POST, "/v1/commands", &request).await;
    assert_eq!(problem.faults[0].field, "command.content");
    let listed: Page<CommandView> = server.get("/v1/commands").await;
    assert!(listed.items.is_empty(), "nothing half done");
}

/// A request to run a version of a command, with an order that is made as the command line makes it; `bend` may change the order.
fn run(
    server: &Server,
    agent: &Agent,
    command: &CommandDetail,
    parameters: &[(&str, &str)],
    bend: impl FnOnce(&mut Order),
) -> CreateInvocation {
    let parameters: BTreeMap<String, String> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let checked = command.command.check(&ContentLimits::MOST, ContentUse::Stored).unwrap();
    let orderly_model::command::CommandBody::Script(script) = &checked.body else { panic!("a script") };
    let values = Values::resolve(&script.parameters, &parameters).unwrap_or_default();
    let action = script.action(Some(command.view.id.parse().unwrap()), &values, 24 * 1024);
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |order| {
        order.action = Action::Script(action);
        bend(order);
    });
    let run = Run::Command(RunCommand {
        id: command.view.id.clone(),
        version: Some(command.view.shown.version),
        parameters,
        user: None,
        cwd: None,
        timeout_s: None,
        output_bytes: None,
    });
    CreateInvocation { run, ..request }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_keeps_its_version_and_its_command_stays_while_it_runs() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let with = |content: &str| CommandDraft {
        parameters: vec![ParameterSpec {
            default: Some("world".to_owned()),
            ..ParameterSpec::implied("who".parse().unwrap())
        }],
        ..draft("greet", content)
    };
    let made = create(&server, with("echo hello $ORDERLY_PARAM_WHO")).await;
    let view: InvocationView =
        server.json(Method::POST, "/v1/invocations", &run(&server, &agent, &made, &[], |_| {})).await;
    let id = made.view.id.clone();
    assert_eq!(view.command, Some(CommandRef { id: id.clone(), version: 1 }));
    assert_eq!((view.kind.as_str(), view.summary.as_str()), ("script", "greet"));
    change(&server, &id, 1, with("echo bye $ORDERLY_PARAM_WHO")).await;
    let offer = agent.link(&server).await.offer().await;
    assert_eq!(offer.content.as_deref(), Some(&b"echo hello $ORDERLY_PARAM_WHO"[..]));
    let Action::Script(ScriptAction { command, substitution, parameters, .. }) = read(&offer).1.action else {
        panic!("a script")
    };
    assert_eq!((command, substitution), (Some(id.clone()), Substitution::Environment));
    assert_eq!(parameters, BTreeMap::from([("who".to_owned(), "world".to_owned())]));

    let path = format!("/v1/commands/{id}");
    let problem = server.problem(Method::DELETE, &path, &()).await;
    assert_eq!((problem.status, problem.code.as_str()), (409, "command-running"));
    assert!(problem.detail.unwrap().contains(&view.id));
    let used: CommandDetail = server.get(&path).await;
    assert!(used.view.used_ms.is_some());
    let stop = StopInvocation::default();
    let _: InvocationView = server.json(Method::POST, &format!("/v1/invocations/{}/stop", view.id), &stop).await;
    let stopped: InvocationView = server.get(&format!("/v1/invocations/{}", view.id)).await;
    let (status, _) = server.send(Method::DELETE, &path, "", "").await;
    assert_eq!(status == StatusCode::NO_CONTENT, stopped.finished_ms.is_some(), "{}", stopped.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_says_otherwise_than_the_command_is_refused() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let one = create(&server, draft("one", "echo one")).await;
    let two = create(&server, draft("two", "echo two")).await;
    let refused = async |request: &CreateInvocation| {
        let problem = server.problem(Method::POST, "/v1/invocations", request).await;
        problem.faults.iter().map(|fault| fault.field.clone()).collect::<Vec<_>>()
    };
    // The order of one command with the id of another.
    let swapped = CreateInvocation {
        run: run(&server, &agent, &two, &[], |_| {}).run,
        ..run(&server, &agent, &one, &[], |_| {})
    };
    assert_eq!(refused(&swapped).await, ["order.action.command", "order.action.content"]);
    let other_content = run(&server, &agent, &one, &[], |order| {
        if let Action::Script(script) = &mut order.action {
            (script.content, script.content_bytes) = (Digest::of(b"rm -r /"), 7);
        }
    });
    assert_eq!(refused(&other_content).await, ["order.action.content", "order.action.content_bytes"]);
    let undeclared = run(&server, &agent, &one, &[("x", "y")], |_| {});
    assert_eq!(refused(&undeclared).await, ["run.parameters.x"]);
    let Run::Command(unnamed) = run(&server, &agent, &one, &[], |_| {}).run else { panic!("a command") };
    let unnamed = CreateInvocation {
        run: Run::Command(RunCommand { version: None, ..unnamed }),
        ..run(&server, &agent, &one, &[], |_| {})
    };
    let problem = server.problem(Method::POST, "/v1/invocations", &unnamed).await;
    assert_eq!(problem.code, "command-version");
    let listed: Page<InvocationView> = server.get("/v1/invocations").await;
    assert!(listed.items.is_empty(), "nothing half done");
}
