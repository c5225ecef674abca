//! Links: who is let in, what is believed, what is acknowledged.

use orderly_signing::proof::link_message;
use orderly_signing::receipt::Receipt;
use orderly_wire::http::Page;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::InvocationView;
use orderly_wire::http::task::{TaskDetail, TaskView};
use orderly_wire::http::trust::TrustView;
use orderly_wire::to_agent::ToAgent;
use orderly_wire::to_server::{ReportEvent, ToServer};
use reqwest::Method;

use crate::tests::agent::Agent;
use crate::tests::{Server, until};

async fn online(server: &Server, agent: &Agent) -> bool {
    server.get::<InstanceView>(&format!("/v1/instances/{}", agent.id)).await.online
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_proven_is_not_let_in() {
    let server = Server::start().await;
    let (agent, other) = (Agent::enrolled(&server).await, Agent::enrolled(&server).await);
    let goodbye = async |agent: &Agent, bend: &dyn Fn(&mut orderly_wire::to_server::Hello, &[u8; 32])| {
        agent.knock(&server, |hello, exporter| bend(hello, exporter)).await.goodbye().await
    };
    // A proof that was made on another connection.
    let relayed = agent.key.sign(&link_message("link", &agent.id, &[7; 32])).to_vec();
    assert_eq!(goodbye(&agent, &|hello, _| hello.proof = relayed.clone()).await, "proof");
    assert_eq!(
        goodbye(&agent, &|hello, exporter| {
            hello.proof = agent.key.sign(&link_message("blob", &agent.id, exporter)).to_vec();
        })
        .await,
        "proof"
    );
    assert_eq!(goodbye(&agent, &|hello, _| hello.instance = other.id.clone()).await, "proof");
    assert_eq!(goodbye(&agent, &|hello, _| hello.proof.clear()).await, "proof");
    assert_eq!(goodbye(&Agent::new(), &|_, _| {}).await, "unknown-instance");
    assert_eq!(goodbye(&agent, &|hello, _| (hello.oldest, hello.newest) = (7, 9)).await, "version");
    assert!(!online(&server, &agent).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_link_replaces_the_old_and_presence_follows() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut old = agent.link(&server).await;
    // Whoever is online was seen, before the store has heard of it.
    let view = async || server.get::<InstanceView>(&format!("/v1/instances/{}", agent.id)).await;
    let seen = until("online", async || Some(view().await).filter(|view| view.online)).await;
    assert!(seen.last_seen_ms.is_some_and(|seen_ms| seen_ms >= seen.enrolled_ms), "{seen:?}");
    let listed: Page<InstanceView> = server.get("/v1/instances?online=true").await;
    assert!(listed.items.iter().all(|view| view.last_seen_ms.is_some()) && listed.items.len() == 1, "{listed:?}");
    let mut new = agent.link(&server).await;
    assert_eq!(old.goodbye().await, "replaced");
    new.send(&ToServer::Heartbeat).await;
    assert!(online(&server, &agent).await);
    until("last seen", async || server.get::<InstanceView>(&format!("/v1/instances/{}", agent.id)).await.last_seen_ms)
        .await;
    drop(new);
    until("offline", async || (!online(&server, &agent).await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_keyring_is_pushed() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut behind = agent.knock(&server, |hello, _| hello.keyring_revision = 0).await;
    assert!(matches!(behind.next().await, Some(ToAgent::Welcome(_))));
    assert!(matches!(behind.next().await, Some(ToAgent::Keyring(_))));
    let dispatch = server.get::<TrustView>("/v1/trust").await.dispatch;
    let second = server.fleet.keyring(2, &dispatch);
    let (status, _) = server.send(Method::PUT, "/v1/trust/keyring", "application/json", second.clone()).await;
    assert!(status.is_success());
    match behind.next().await {
        Some(ToAgent::Keyring(update)) => assert_eq!(update.keyring, second),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_prove_nothing_are_acknowledged_and_not_believed() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let request = server.fleet.signed(std::slice::from_ref(&agent.id), |_| {});
    let created: InvocationView = server.json(Method::POST, "/v1/invocations", &request).await;
    let offer = link.offer().await;
    let task =
        async || server.get::<Page<TaskView>>(&format!("/v1/invocations/{}/tasks", created.id)).await.items.remove(0);
    // Ended at another instance: its order, its receipt, and not this link's.
    let stranger = Agent::new();
    let seq = link.report(&offer, stranger.finished(&offer, "", |_| {})).await;
    link.acknowledged(seq).await;
    let view = task().await;
    assert_eq!((view.status.as_str(), view.code.as_deref()), ("Error", Some("ReceiptRefused")));
    // Its own signature, under what it says of another invocation, and of a run that never was.
    let bends: [fn(&mut Receipt); 2] =
        [|receipt| receipt.invocation = format!("t-{}", "0".repeat(26)), |receipt| receipt.generation = 2];
    for bend in bends {
        let end = agent.finished(&offer, "", bend);
        let seq = link.report(&offer, end).await;
        link.acknowledged(seq).await;
        let task: TaskDetail = server.get(&format!("/v1/invocations/{}/tasks/{}", created.id, agent.id)).await;
        assert_eq!((task.view.status.as_str(), task.receipt), ("Error", None));
    }
    // The real end still counts, and a repeated report is acknowledged again.
    let end = agent.finished(&offer, "done", |_| {});
    let seq = link.report(&offer, end.clone()).await;
    link.acknowledged(seq).await;
    assert_eq!(task().await.status, "Success");
    drop(link);
    let mut link = agent.link(&server).await;
    link.report_as(seq, &offer, end).await;
    link.report_as(seq + 1, &offer, ReportEvent::Accepted { at_ms: 1 }).await;
    link.acknowledged(seq + 1).await;
    assert_eq!(task().await.status, "Success");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_the_link() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.knock(&server, |_, _| {}).await;
    assert!(matches!(link.next().await, Some(ToAgent::Welcome(_))));
    let again = Box::new(orderly_wire::to_server::Hello {
        oldest: 1,
        newest: 1,
        instance: agent.id.clone(),
        proof: Vec::new(),
        facts: crate::tests::agent::facts("x"),
        boot_id: String::new(),
        keyring_revision: 0,
    });
    link.send(&ToServer::Hello(again)).await;
    assert_eq!(link.goodbye().await, "frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_goodbye() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let restarting = tokio::spawn(server.restart());
    assert_eq!(link.goodbye().await, "stopping");
    drop(restarting.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_reaches_every_link_once() {
    let server = Server::start().await;
    let mut agents = Vec::new();
    for _ in 0..40 {
        let agent = Agent::enrolled(&server).await;
        let link = agent.link(&server).await;
        agents.push((agent, link));
    }
    let ids: Vec<_> = agents.iter().map(|(agent, _)| agent.id.clone()).collect();
    let request = server.fleet.signed(&ids, |_| {});
    let created: InvocationView = server.json(Method::POST, "/v1/invocations", &request).await;
    for (agent, link) in &mut agents {
        let offer = link.offer().await;
        let (_, order) = crate::tests::agent::read(&offer);
        assert!(orderly_signing::merkle::verify_target(
            &order.targets,
            &agent.id,
            orderly_signing::digest::Digest::ZERO,
            &offer.proof
        ));
        link.report(&offer, ReportEvent::Accepted { at_ms: 1 }).await;
        let seq = link.report(&offer, agent.finished(&offer, "ok", |_| {})).await;
        // Nothing but acknowledgements follows: no second offer.
        link.acknowledged(seq).await;
    }
    let view: InvocationView = server.get(&format!("/v1/invocations/{}", created.id)).await;
    assert_eq!((view.status.as_str(), view.counts["Success"]), ("Success", 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_reads_slowly_gets_every_order_once_and_in_order() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    let content = vec![b'#'; 60 * 1024];
    let digest = orderly_signing::digest::Digest::of(&content);
    let mut ids = Vec::new();
    // More than the socket's buffers and the outbox together hold.
    for _ in 0..120 {
        let mut request = server.fleet.signed(std::slice::from_ref(&agent.id), |order| {
            if let orderly_signing::order::Action::Script(orderly_signing::order::ScriptAction {
                content,
                content_bytes,
                ..
            }) = &mut order.action
            {
                *content = digest;
                *content_bytes = 60 * 1024;
            }
        });
        request.run = crate::tests::fleet::script(&[], &content).run;
        let created: InvocationView = server.json(Method::POST, "/v1/invocations", &request).await;
        ids.push(created.id);
    }
    for id in &ids {
        assert_eq!(&crate::tests::agent::read(&link.offer().await).1.invocation, id);
    }
}
