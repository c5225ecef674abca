//! Who may ask, and how what is wrong is told.

use orderly_signing::keyring::Keyring;
use orderly_wire::http::token::{CreateToken, CreatedToken};
use orderly_wire::http::trust::TrustView;
use reqwest::{Method, StatusCode};

use crate::tests::Server;

#[test]
fn the_description_of_the_api_does_not_change_by_accident() {
    let text = serde_json::to_string_pretty(&crate::api::document()).unwrap();
    assert!(text.contains("\"openapi\": \"3.1.0\""));
    insta::assert_snapshot!("openapi", text);
}

#[test]
fn every_operation_of_the_description_has_a_name_of_its_own() {
    let document = serde_json::to_value(crate::api::document()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_description_needs_a_token_but_two() {
    let server = Server::bare().await;
    let document = serde_json::to_value(crate::api::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            let method: Method = method.to_uppercase().parse().unwrap();
            let filled = path.replace("{id}", "x").replace("{instance}", "x").replace("{name}", "x");
            let filled = filled.replace("{version}", "x").replace("{digest}", "x");
            let status = server.request(method.clone(), &filled).send().await.unwrap().status();
            if path.starts_with("/agent/") {
                assert!(status.is_client_error(), "{method} {path}: {status}");
            } else if path == "/v1/health" || path == "/v1/openapi.json" {
                assert_eq!(status, StatusCode::OK, "{method} {path}");
            } else {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let server = Server::bare().await;
    let request = CreateToken { name: "ci".to_owned(), ttl_s: 60 };
    let created: CreatedToken = server.json(Method::POST, "/v1/tokens", &request).await;
    let with = async |token: &str| {
        let answer = server.request(Method::GET, "/v1/tokens").bearer_auth(token).send().await.unwrap();
        let status = answer.status();
        (status, answer.json::<serde_json::Value>().await.unwrap()["code"].as_str().map(str::to_owned))
    };
    assert_eq!(with(&created.token).await, (StatusCode::OK, None));
    assert_eq!(with("ort_wrong").await, (StatusCode::UNAUTHORIZED, Some("token-unknown".to_owned())));
    let (status, _) = server.send(Method::DELETE, &format!("/v1/tokens/{}", created.view.id), "", "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(with(&created.token).await.1.as_deref(), Some("token-unknown"));
    let problem = server.problem(Method::POST, "/v1/tokens", &CreateToken { name: String::new(), ttl_s: 60 }).await;
    assert_eq!(problem.code, "name");
    let problem = server.problem(Method::DELETE, "/v1/tokens/k-none", &()).await;
    assert_eq!(problem.code, "unknown-token");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_expired() {
    let server = Server::bare().await;
    let request = CreateToken { name: "short".to_owned(), ttl_s: 1 };
    let created: CreatedToken = server.json(Method::POST, "/v1/tokens", &request).await;
    crate::tests::until("the token expires", async || {
        let answer = server.request(Method::GET, "/v1/tokens").bearer_auth(&created.token).send().await.unwrap();
        let problem: serde_json::Value = answer.json().await.unwrap();
        (problem["code"] == "token-expired" && problem["hint"].is_string()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_as_a_problem() {
    let server = Server::bare().await;
    let told = async |method: Method, path: &str, kind: &str, body: Vec<u8>| {
        let answer = server.request(method, path).bearer_auth(&server.token).header("content-type", kind).body(body);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let status = answer.status().as_u16();
        let problem: orderly_wire::http::problem::Problem = answer.json().await.unwrap();
        assert_eq!(problem.request_id, Some(id));
        assert_eq!(problem.kind, format!("urn:orderly:problem:{}", problem.code));
        (status, problem.code)
    };
    let json = "application/json";
    let post = Method::POST;
    assert_eq!(told(Method::GET, "/nothing", "", vec![]).await, (404, "not-found".to_owned()));
    assert_eq!(told(Method::PATCH, "/v1/tokens", "", vec![]).await, (405, "method-not-allowed".to_owned()));
    assert_eq!(told(post.clone(), "/v1/tokens", "text/plain", b"{}".to_vec()).await, (415, "media-type".to_owned()));
    assert_eq!(told(post.clone(), "/v1/tokens", json, b"{".to_vec()).await, (400, "json".to_owned()));
    let unknown = br#"{"name":"a","ttl_s":1,"admin":true}"#.to_vec();
    assert_eq!(told(post.clone(), "/v1/tokens", json, unknown).await, (400, "json".to_owned()));
    assert_eq!(told(post, "/v1/tokens", json, vec![b' '; 600 * 1024]).await, (413, "too-large".to_owned()));
    assert_eq!(told(Method::PUT, "/v1/trust/keyring", json, vec![b' '; 600 * 1024]).await.0, 413);
    assert_eq!(told(Method::GET, "/v1/instances?limit=x", "", vec![]).await, (400, "query".to_owned()));
    assert_eq!(told(Method::GET, "/v1/instances?tags=x", "", vec![]).await, (400, "selector".to_owned()));
    assert_eq!(told(Method::GET, "/v1/invocations?after=x", "", vec![]).await, (400, "after".to_owned()));
    assert_eq!(told(Method::GET, "/v1/invocations/t-none", "", vec![]).await, (404, "unknown-invocation".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_needs_the_same_root_and_a_higher_revision() {
    let server = Server::bare().await;
    let trust: TrustView = server.get("/v1/trust").await;
    assert_eq!(trust.keyring, None);
    let publish = async |keyring: Vec<u8>| {
        let (status, body) = server.send(Method::PUT, "/v1/trust/keyring", "application/json", keyring).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status.as_u16(), body["code"].as_str().unwrap_or("").to_owned())
    };
    let other = crate::tests::Fleet::new();
    assert_eq!(publish(b"{}".to_vec()).await, (422, "keyring-envelope".to_owned()));
    let mut unsigned: serde_json::Value = serde_json::from_slice(&server.fleet.keyring(1, &trust.dispatch)).unwrap();
    unsigned["signatures"][0]["sig"] = serde_json::Value::String("AAAA".to_owned());
    assert_eq!(publish(serde_json::to_vec(&unsigned).unwrap()).await, (422, "keyring-signature".to_owned()));
    let first = server.fleet.keyring(5, &trust.dispatch);
    assert_eq!(publish(first.clone()).await.0, 200);
    assert_eq!(publish(first).await.0, 200, "the same again");
    assert_eq!(publish(other.keyring(6, &trust.dispatch)).await, (422, "keyring-pin".to_owned()));
    assert_eq!(publish(server.fleet.keyring(5, &trust.dispatch)).await, (409, "keyring-revision".to_owned()));
    assert_eq!(publish(server.fleet.keyring(6, &trust.dispatch)).await.0, 200);

    let server = server.restart().await;
    let trust: TrustView = server.get("/v1/trust").await;
    let envelope = serde_json::to_vec(&trust.keyring.unwrap()).unwrap();
    let envelope = orderly_signing::envelope::Envelope::parse(&envelope).unwrap();
    let keyring: Keyring = serde_json::from_slice(&envelope.payload).unwrap();
    assert_eq!(keyring.revision, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_for_a_hundred_years_is_refused() {
    let server = Server::bare().await;
    let days = |days: u64| serde_json::json!({ "ttl_s": days * 24 * 60 * 60 });
    let problem = server.problem(Method::POST, "/v1/activations", &days(36_524)).await;
    assert_eq!((problem.status, problem.code.as_str()), (422, "ttl"));
    assert!(problem.title.contains("30 days"), "{}", problem.title);
    let _: serde_json::Value = server.json(Method::POST, "/v1/activations", &days(30)).await;
}

#[test]
fn an_upload_that_stalled_may_go_on() {
    use axum::response::IntoResponse as _;
    let refused = crate::api::blobs::refused(crate::blobs::upload::UploadError::Cut(3));
    assert_eq!(refused.into_response().status(), StatusCode::REQUEST_TIMEOUT);
}
