//! Enrolment and activation codes.

use orderly_signing::digest::Digest;
use orderly_wire::http::Page;
use orderly_wire::http::activation::{ActivationView, CreatedActivation};
use orderly_wire::http::instance::InstanceView;
use reqwest::Method;
use serde_json::json;

use crate::tests::Server;
use crate::tests::agent::Agent;

fn code(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body).unwrap()["code"].as_str().unwrap_or("").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_told_another_root_is_not_enrolled_and_nothing_is_counted() {
    let server = Server::start().await;
    let created: CreatedActivation = server.json(Method::POST, "/v1/activations", &json!({})).await;
    let agent = Agent::new();
    let (status, body) = agent.enrol_under(&server, &created.code, "enrol", Some(Digest::of(b"another"))).await;
    assert_eq!((status, code(&body)), (409, "other-root".to_owned()));
    let listed: Page<InstanceView> = server.get("/v1/instances").await;
    assert!(listed.items.is_empty(), "{:?}", listed.items);
    let listed: Page<ActivationView> = server.get("/v1/activations").await;
    assert_eq!(listed.items[0].used, 0);
    let line = created.enrol_line.unwrap();
    let root = line.split("--root ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    assert_eq!(agent.enrol_under(&server, &created.code, "enrol", Some(root)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_enrols_with_the_line_that_is_shown() {
    let server = Server::start().await;
    let body = json!({ "name": "lab", "tags": { "env": "lab" }, "max_instances": 1 });
    let created: CreatedActivation = server.json(Method::POST, "/v1/activations", &body).await;
    let line = created.enrol_line.unwrap();
    let start =
        format!("orderly-agent enrol --server https://{} --code {} --root sha256:", server.address, created.code);
    assert!(line.starts_with(&start) && line.contains(" --ca sha256:"), "{line}");
    let agent = Agent::new();
    let (status, body) = agent.enrol(&server, &created.code, "enrol").await;
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let view: InstanceView = server.get(&format!("/v1/instances/{}", agent.id)).await;
    assert_eq!((view.name.as_str(), view.online, view.tags["env"].as_str()), ("web-1", false, "lab"));
    assert_eq!(&view.key, agent.key.public());
    // The answer may have been lost: the same key is let in again and not counted.
    assert_eq!(agent.enrol(&server, &created.code, "enrol").await.0, 201);
    let (status, body) = Agent::new().enrol(&server, &created.code, "enrol").await;
    assert_eq!((status, code(&body)), (403, "activation-used-up".to_owned()));
    let listed: Page<ActivationView> = server.get("/v1/activations").await;
    assert_eq!(listed.items[0].used, 1);

    let tags = json!({ "tags": { "env": "prod", "role": "db" } });
    let view: InstanceView = server.json(Method::PUT, &format!("/v1/instances/{}/tags", agent.id), &tags).await;
    assert_eq!(view.tags.len(), 2);
    let found =
        async |query: &str| server.get::<Page<InstanceView>>(&format!("/v1/instances?{query}")).await.items.len();
    assert_eq!(found("tags=env%3Dprod,role%3Ddb").await, 1);
    assert_eq!(found("tags=env%3Dlab").await, 0);
    assert_eq!(found("online=true").await, 0);
    assert_eq!(found("online=false").await, 1);
    let bad = json!({ "tags": { "a=b": "x" } });
    let problem = server.problem(Method::PUT, &format!("/v1/instances/{}/tags", agent.id), &bad).await;
    assert_eq!(problem.code, "invalid-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_do_not_open() {
    let server = Server::start().await;
    let make = async |body: serde_json::Value| -> CreatedActivation {
        server.json(Method::POST, "/v1/activations", &body).await
    };
    let refused = async |text: &str| {
        let (status, body) = Agent::new().enrol(&server, text, "enrol").await;
        assert_eq!(status, 403);
        code(&body)
    };
    assert_eq!(refused("oac_wrong").await, "activation-unknown");
    let elsewhere = make(json!({ "networks": ["192.0.2.0/24"] })).await;
    assert_eq!(refused(&elsewhere.code).await, "activation-network");
    let here = make(json!({ "networks": ["192.0.2.0/24", "127.0.0.0/8"] })).await;
    let agent = Agent::new();
    let (status, body) = agent.enrol(&server, &here.code, "link").await;
    assert_eq!((status, code(&body)), (403, "proof".to_owned()), "a proof for something else");
    assert_eq!(agent.enrol(&server, &here.code, "enrol").await.0, 201);
    let (status, _) = server.send(Method::DELETE, &format!("/v1/activations/{}", here.view.id), "", "").await;
    assert_eq!(status.as_u16(), 204);
    assert_eq!(refused(&here.code).await, "activation-disabled");
    let short = make(json!({ "ttl_s": 1 })).await;
    crate::tests::until("the code expires", async || {
        let (_, body) = Agent::new().enrol(&server, &short.code, "enrol").await;
        (code(&body) == "activation-expired" || code(&body) == "activation-used-up").then_some(())
    })
    .await;
    let problem = server.problem(Method::POST, "/v1/activations", &json!({ "networks": ["10.0.0.0/99"] })).await;
    assert_eq!(problem.code, "network");
    let problem = server.problem(Method::POST, "/v1/activations", &json!({ "max_instances": 0 })).await;
    assert_eq!(problem.code, "max-instances");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_down() {
    let server = Server::start().await;
    let agent = Agent::new();
    let mut last = String::new();
    for _ in 0..30 {
        let (_, body) = agent.enrol(&server, "oac_guess", "enrol").await;
        last = code(&body);
        if last == "too-many-attempts" {
            break;
        }
    }
    assert_eq!(last, "too-many-attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keyring_nobody_enrols() {
    let server = Server::bare().await;
    let created: CreatedActivation = server.json(Method::POST, "/v1/activations", &json!({})).await;
    assert_eq!(created.enrol_line, None);
    let (status, body) = Agent::new().enrol(&server, &created.code, "enrol").await;
    assert_eq!((status, code(&body)), (409, "no-keyring".to_owned()));
}
