//! Creating, following, stopping; and what is refused, with nothing half done.

use orderly_model::limits::DELIVERY_DEADLINE_MAX_S;
use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::order::{Action, ScriptAction};
use orderly_wire::http::Page;
use orderly_wire::http::invocation::{CreateInvocation, Evidence, InvocationView, Run, StopInvocation, Targets};
use orderly_wire::http::task::{TaskDetail, TaskView};
use orderly_wire::to_server::ReportEvent;
use reqwest::{Method, StatusCode};

use crate::tests::agent::{Agent, read};
use crate::tests::fleet::script;
use crate::tests::{Server, until};

async fn create(server: &Server, request: &CreateInvocation) -> InvocationView {
    server.json(Method::POST, "/v1/invocations", request).await
}

async fn refused(server: &Server, request: &CreateInvocation) -> (u16, String) {
    let before: Page<InvocationView> = server.get("/v1/invocations").await;
    let problem = server.problem(Method::POST, "/v1/invocations", request).await;
    let after: Page<InvocationView> = server.get("/v1/invocations").await;
    assert_eq!(before, after, "nothing half done");
    (problem.status, problem.code)
}

async fn show(server: &Server, id: &str) -> InvocationView {
    server.get(&format!("/v1/invocations/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_from_the_request_to_the_result() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let created = create(&server, &server.fleet.signed(std::slice::from_ref(&agent.id), |_| {})).await;
    assert_eq!((created.status.as_str(), created.targets, created.summary.as_str()), ("Pending", 1, "echo hello"));
    assert_eq!((created.principal.as_str(), created.kind.as_str()), ("tester", "script"));
    let offer = link.offer().await;
    let (digest, order) = read(&offer);
    assert_eq!(digest.to_string(), created.order);
    assert_eq!(order.invocation, created.id);
    assert_eq!(offer.content.as_deref(), Some(&b"echo hello"[..]));
    assert!(orderly_signing::merkle::verify_target(&order.targets, &agent.id, Digest::ZERO, &offer.proof));
    let envelope = Envelope::parse(&offer.order).unwrap();
    assert_eq!(envelope.signatures.len(), 2, "the operator's and the server's");

    let seq = link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    assert_eq!(show(&server, &created.id).await.status, "Running");
    let output_path = format!("/v1/invocations/{}/tasks/{}/output", created.id, agent.id);
    let (status, _) = server.send(Method::GET, &output_path, "", "").await;
    assert_eq!(status, StatusCode::CONFLICT);
    let seq = link.report(&offer, agent.finished(&offer, "hello\n", |_| {})).await;
    link.acknowledged(seq).await;

    let view = show(&server, &created.id).await;
    assert_eq!((view.status.as_str(), view.counts["Success"]), ("Success", 1));
    assert!(view.finished_ms.is_some());
    let task: TaskDetail = server.get(&format!("/v1/invocations/{}/tasks/{}", created.id, agent.id)).await;
    assert_eq!((task.view.status.as_str(), task.view.exit_code, task.view.output_bytes), ("Success", Some(0), 6));
    let receipt = serde_json::to_vec(&task.receipt.unwrap()).unwrap();
    orderly_signing::verify::verify_receipt(&receipt, agent.key.public()).unwrap();
    let (_, text) = server.send(Method::GET, &output_path, "", "").await;
    assert_eq!(text, b"hello\n");
    let (_, text) = server.send(Method::GET, &format!("{output_path}?stream=stderr"), "", "").await;
    assert_eq!(text, b"");
    let path = format!("/v1/invocations/{}/tasks/{}/receipt", created.id, agent.id);
    let (status, raw) = server.send(Method::GET, &path, "", "").await;
    assert_eq!(status, StatusCode::OK);
    orderly_signing::verify::verify_receipt(&raw, agent.key.public()).unwrap();
    let evidence: Evidence = server.get(&format!("/v1/invocations/{}/evidence", created.id)).await;
    assert_eq!(evidence.targets, std::slice::from_ref(&agent.id));
    let envelope = Envelope::parse(&serde_json::to_vec(&evidence.order).unwrap()).unwrap();
    assert_eq!(envelope.digest(), digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_must_say_what_the_request_says() {
    let server = Server::start().await;
    let (agent, other) = (Agent::enrolled(&server).await, Agent::enrolled(&server).await);
    let one = std::slice::from_ref(&agent.id);
    let fleet = &server.fleet;
    let faults = async |request: CreateInvocation| {
        let problem = server.problem(Method::POST, "/v1/invocations", &request).await;
        assert_eq!(problem.status, 422, "{problem:?}");
        (problem.code, problem.faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>())
    };
    let mut other_content = fleet.signed(one, |_| {});
    other_content.run = script(one, b"rm -rf /").run;
    assert_eq!(
        faults(other_content).await,
        (
            "invalid-request".to_owned(),
            vec!["order.action.content".to_owned(), "order.action.content_bytes".to_owned()]
        )
    );
    let mut wider = fleet.signed(one, |_| {});
    wider.targets = Targets::Instances(vec![agent.id.clone(), other.id.clone()]);
    assert_eq!(faults(wider).await.1, ["order.targets"]);
    let as_root = fleet.signed(one, |order| {
        if let Action::Script(ScriptAction { user, .. }) = &mut order.action {
            *user = Some("root".to_owned());
        }
    });
    assert_eq!(faults(as_root).await.1, ["order.action.user"]);
    let old = fleet.signed(one, |order| {
        order.issued_ms -= 3_600_000;
        order.not_before_ms -= 3_600_000;
        order.expires_ms -= 3_600_000;
    });
    assert_eq!(faults(old).await.1, ["order.issued_ms", "order.expires_ms"]);
    let for_ever = fleet.signed(one, |order| order.expires_ms += 365 * 86_400_000);
    assert_eq!(faults(for_ever).await.1, ["order.expires_ms"]);

    let stranger = crate::tests::Fleet::new();
    assert_eq!(refused(&server, &stranger.signed(one, |_| {})).await, (422, "order-signature".to_owned()));
    let by_publisher = crate::tests::Fleet { operator: crate::tests::fleet::key(), ..crate::tests::Fleet::new() };
    assert_eq!(refused(&server, &by_publisher.signed(one, |_| {})).await.1, "order-signature");
    let mut broken = fleet.signed(one, |_| {});
    broken.order = Some(b"{}".to_vec());
    assert_eq!(refused(&server, &broken).await.1, "order-envelope");
    let mut by_tags = fleet.signed(one, |_| {});
    by_tags.targets = Targets::Tags([("env".to_owned(), "test".to_owned())].into());
    assert_eq!(refused(&server, &by_tags).await.1, "signed-targets");
    // Without an operator a native command is refused here, as every instance would, and with the tier that it has there.
    assert_eq!(refused(&server, &script(one, b"id")).await, (422, "order-threshold".to_owned()));
    for (user, said) in [
        (None, "without a user it runs as the agent's own, usually root: `native-root` needs"),
        (Some("root"), "`native-root` needs"),
        (Some("daemon"), "`native-user` needs"),
    ] {
        let mut request = script(one, b"id");
        if let Run::Script(script) = &mut request.run {
            script.user = user.map(str::to_owned);
        }
        let problem = server.problem(Method::POST, "/v1/invocations", &request).await;
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.starts_with(said)), "{problem:?}");
    }

    let good = fleet.signed(one, |_| {});
    let created = create(&server, &good).await;
    assert_eq!(create(&server, &good).await.id, created.id, "the same again is the same");
    let same_id = fleet.signed(one, |order| order.invocation = created.id.clone());
    assert_eq!(refused(&server, &same_id).await, (409, "invocation-exists".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_fault() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let one = std::slice::from_ref(&agent.id);
    let stranger = Agent::new().id;
    assert_eq!(refused(&server, &script(&[], b"id")).await, (422, "no-targets".to_owned()));
    assert_eq!(refused(&server, &script(&[stranger], b"id")).await, (404, "unknown-instance".to_owned()));
    assert_eq!(refused(&server, &script(&[one[0].clone(), one[0].clone()], b"id")).await.1, "duplicate-target");
    let tags = |pairs: &[(&str, &str)]| CreateInvocation {
        targets: Targets::Tags(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()),
        ..script(&[], b"id")
    };
    assert_eq!(refused(&server, &tags(&[("env", "none")])).await, (422, "no-targets".to_owned()));
    assert_eq!(refused(&server, &tags(&[])).await, (422, "selector".to_owned()));
    assert_eq!(
        refused(&server, &script(one, &vec![b'a'; 4 * 1024 * 1024 + 1])).await,
        (413, "script-too-large".to_owned())
    );
    let late = CreateInvocation { delivery_deadline_s: Some(8 * 86_400), ..script(one, b"id") };
    assert_eq!(refused(&server, &late).await, (422, "delivery-deadline".to_owned()));

    let mut wrong = script(one, b"");
    if let Run::Script(run) = &mut wrong.run {
        run.interpreter = "perl".to_owned();
        run.user = Some("a b".to_owned());
        run.cwd = Some("tmp".to_owned());
        run.timeout_s = Some(0);
        run.environment.insert("1A".to_owned(), "x".to_owned());
    }
    let problem = server.problem(Method::POST, "/v1/invocations", &wrong).await;
    let fields: Vec<_> = problem.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(
        fields,
        ["run.interpreter", "run.content", "run.user", "run.cwd", "run.environment.1A", "run.timeout_s"],
        "all faults at once"
    );
    let bare = Server::bare().await;
    assert_eq!(refused(&bare, &script(one, b"id")).await, (409, "no-keyring".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_accepts_in_time_is_aborted() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let request =
        server.fleet.signed(std::slice::from_ref(&agent.id), |order| order.expires_ms = order.issued_ms + 500);
    let created = create(&server, &request).await;
    let view = until("the deadline", async || {
        let view = show(&server, &created.id).await;
        (view.status != "Pending").then_some(view)
    })
    .await;
    assert_eq!((view.status.as_str(), view.counts["Aborted"]), ("Failed", 1));
    let tasks: Page<TaskView> = server.get(&format!("/v1/invocations/{}/tasks?status=Aborted", created.id)).await;
    assert_eq!(tasks.items[0].code.as_deref(), Some("DeliveryTimeout"));
    assert!(tasks.items[0].reason.as_deref().unwrap().contains("deadline"));
    let (status, _) =
        server.send(Method::GET, &format!("/v1/invocations/{}/tasks/{}/output", created.id, agent.id), "", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // It is not offered any more.
    let mut link = agent.link(&server).await;
    let later = create(&server, &server.fleet.signed(std::slice::from_ref(&agent.id), |_| {})).await;
    assert_eq!(read(&link.offer().await).1.invocation, later.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_instances_that_are_offline_and_survive_a_restart() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut ids = Vec::new();
    for _ in 0..70 {
        ids.push(create(&server, &server.fleet.signed(std::slice::from_ref(&agent.id), |_| {})).await.id);
    }
    let server = server.restart().await;
    let mut link = agent.link(&server).await;
    let mut offers = Vec::new();
    for id in &ids {
        let offer = link.offer().await;
        assert_eq!(&read(&offer).1.invocation, id, "in their order");
        offers.push(offer);
    }
    let seq = link.report(&offers[0], ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    drop(link);
    // What was not accepted comes again, what was does not.
    let mut link = agent.link(&server).await;
    assert_eq!(read(&link.offer().await).1.invocation, ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop() {
    let server = Server::start().await;
    let (a, b) = (Agent::enrolled(&server).await, Agent::enrolled(&server).await);
    let mut link = a.link(&server).await;
    let created = create(&server, &server.fleet.signed(&[a.id.clone(), b.id.clone()], |_| {})).await;
    let offer = link.offer().await;
    let seq = link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq).await;
    let path = format!("/v1/invocations/{}/stop", created.id);
    let stranger = StopInvocation { instances: vec![Agent::new().id] };
    assert_eq!(server.problem(Method::POST, &path, &stranger).await.code, "unknown-instance");
    let outside = StopInvocation { instances: vec![Agent::enrolled(&server).await.id] };
    assert_eq!(server.problem(Method::POST, &path, &outside).await.code, "not-a-target");
    let stopped: InvocationView = server.json(Method::POST, &path, &StopInvocation::default()).await;
    assert_eq!((stopped.counts.get("Stopping"), stopped.counts.get("Cancelled")), (Some(&1), Some(&1)));
    let stop = link.offer().await;
    let (_, order) = read(&stop);
    assert_eq!(order.action, Action::Stop { order: read(&offer).0, invocation: created.id.clone() });
    // Seven days and what clocks may be off: as long as the longest order that it may have to stop, and no longer.
    let longest_ms = i64::from(DELIVERY_DEADLINE_MAX_S) * 1000 + 5 * 60 * 1000;
    assert_eq!(order.expires_ms - order.issued_ms, longest_ms);
    assert!(orderly_signing::merkle::verify_target(&order.targets, &a.id, Digest::ZERO, &stop.proof));
    let end = a.finished(&offer, "", |receipt| {
        receipt.status = TaskStatus::Terminated.as_str().to_owned();
        receipt.exit_code = None;
    });
    let seq = link.report(&offer, end).await;
    link.acknowledged(seq).await;
    let view = show(&server, &created.id).await;
    assert_eq!((view.status.as_str(), view.counts["Terminated"], view.counts["Cancelled"]), ("Stopped", 1, 1));
    let again: InvocationView = server.json(Method::POST, &path, &StopInvocation::default()).await;
    assert_eq!(again, view);
    // The other one may have the order, so the stop order waits for it.
    let mut late = b.link(&server).await;
    assert!(matches!(read(&late.offer().await).1.action, Action::Stop { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_script_is_fetched_by_its_digest() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let content = vec![b'#'; 200 * 1024];
    let digest = Digest::of(&content);
    let one = std::slice::from_ref(&agent.id);
    let mut request = server.fleet.signed(one, |order| {
        if let Action::Script(ScriptAction { content, content_bytes, .. }) = &mut order.action {
            *content = digest;
            *content_bytes = 200 * 1024;
        }
    });
    request.run = script(one, &content).run;
    create(&server, &request).await;
    let offer = agent.link(&server).await.offer().await;
    assert_eq!(offer.content, None);
    let (status, body) = agent.blob(&server, &digest).await;
    assert_eq!(status, 200);
    assert!(body.ends_with(&content[..100]) && body.len() >= content.len());
    assert_eq!(agent.blob(&server, &Digest::of(b"other")).await.0, 404);
    assert_eq!(Agent::new().blob(&server, &digest).await.0, 403, "an instance that is not enrolled");
}
