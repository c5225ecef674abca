//! Packages and approvals, and invocations of plugins.

use orderly_signing::digest::Digest;
use orderly_signing::order::Action;
use orderly_wire::http::Page;
use orderly_wire::http::invocation::{CreateInvocation, InvocationView, Run, RunPlugin, Targets};
use orderly_wire::http::plugin::{PluginDetail, PluginView};
use reqwest::Method;

use crate::tests::agent::{Agent, read};
use crate::tests::fleet::{MANIFEST, package, script};
use crate::tests::{Fleet, Server};

const WASM: &[u8] = b"\0asm not really";

async fn upload(server: &Server, package: Vec<u8>) -> (u16, String) {
    let (status, body) = server.send(Method::POST, "/v1/plugins", "application/x-tar", package).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (status.as_u16(), body["code"].as_str().unwrap_or("").to_owned())
}

async fn approve(server: &Server, envelope: Vec<u8>) -> (u16, String) {
    let path = "/v1/plugins/look/1.0.0/approval";
    let (status, body) = server.send(Method::PUT, path, "application/json", envelope).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (status.as_u16(), body["code"].as_str().unwrap_or("").to_owned())
}

fn run(agent: &Agent, version: Option<&str>) -> CreateInvocation {
    CreateInvocation {
        run: Run::Plugin(RunPlugin {
            name: "look".to_owned(),
            version: version.map(str::to_owned),
            parameters: Default::default(),
            timeout_s: None,
            output_bytes: None,
        }),
        targets: Targets::Instances(vec![agent.id.clone()]),
        ..script(&[], b"")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_from_the_upload_to_the_offer() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    let mut link = agent.link(&server).await;
    assert_eq!(upload(&server, server.fleet.package(WASM, MANIFEST)).await.0, 201);
    assert_eq!(upload(&server, server.fleet.package(WASM, MANIFEST)).await.0, 201, "the same again");
    let other = server.fleet.package(b"other bytes", MANIFEST);
    assert_eq!(upload(&server, other).await, (409, "plugin-exists".to_owned()));
    let listed: Page<PluginView> = server.get("/v1/plugins").await;
    let view = &listed.items[0];
    assert_eq!((view.name.as_str(), view.tier.as_str(), view.approved), ("look", "plugin-read-only", false));
    assert_eq!(view.capabilities, ["files.read /etc/os-release"]);
    let problem = server.problem(Method::POST, "/v1/invocations", &run(&agent, None)).await;
    assert_eq!(problem.code, "plugin-not-approved");
    assert!(problem.hint.unwrap().contains("orderly plugin approve look@"));

    let approval = server.fleet.approval(WASM, MANIFEST, 1).to_json();
    assert_eq!(approve(&server, approval.clone()).await.0, 200);
    let detail: PluginDetail = server.get("/v1/plugins/look/1.0.0").await;
    assert_eq!((detail.view.approved, detail.manifest_text.as_str()), (true, MANIFEST));
    assert!(detail.approval.is_some());

    // A read-only plugin goes out with the server's signature alone, as the keyring's policy says.
    let created: InvocationView = server.json(Method::POST, "/v1/invocations", &run(&agent, None)).await;
    assert_eq!(
        (created.kind.as_str(), created.summary.as_str(), created.principal.as_str()),
        ("plugin", "look 1.0.0", "admin")
    );
    let offer = link.offer().await;
    let documents = offer.plugin.clone().unwrap();
    assert_eq!((documents.component, documents.component_bytes), (Digest::of(WASM), WASM.len() as u64));
    assert_eq!(documents.manifest, MANIFEST.as_bytes());
    assert_eq!(documents.approval, Some(approval));
    assert!(matches!(read(&offer).1.action, Action::Plugin { component, .. } if component == Digest::of(WASM)));
    let (status, body) = agent.blob(&server, &Digest::of(WASM)).await;
    assert!(status == 200 && body.ends_with(WASM) || body.windows(WASM.len()).any(|window| window == WASM));
    let problem = server.problem(Method::POST, "/v1/invocations", &run(&agent, Some("9.9.9"))).await;
    assert_eq!((problem.status, problem.code.as_str()), (404, "unknown-plugin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waited_goes_out_with_the_newest_approval() {
    let server = Server::start().await;
    let agent = Agent::enrolled(&server).await;
    assert_eq!(upload(&server, server.fleet.package(WASM, MANIFEST)).await.0, 201);
    assert_eq!(approve(&server, server.fleet.approval(WASM, MANIFEST, 1).to_json()).await.0, 200);
    let _: InvocationView = server.json(Method::POST, "/v1/invocations", &run(&agent, None)).await;
    let newest = server.fleet.approval(WASM, MANIFEST, 2).to_json();
    assert_eq!(approve(&server, newest.clone()).await.0, 200);
    let offer = agent.link(&server).await.offer().await;
    assert_eq!(offer.plugin.unwrap().approval, Some(newest));
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_that_are_refused() {
    let server = Server::start().await;
    let fleet = &server.fleet;
    let refused = async |package: Vec<u8>, code: &str| {
        assert_eq!(upload(&server, package).await, (422, code.to_owned()));
        assert!(server.get::<Page<PluginView>>("/v1/plugins").await.items.is_empty(), "nothing half done");
    };
    refused(b"no tar".to_vec(), "package").await;
    refused(Fleet::new().package(WASM, MANIFEST), "publisher").await;
    refused(package(WASM, b"name = 7", b"{}"), "manifest").await;
    refused(package(WASM, MANIFEST.as_bytes(), b"{}"), "publisher").await;
    // One byte of each file changed after signing.
    let good = fleet.package(WASM, MANIFEST);
    let flip = |needle: &str| {
        let mut bytes = good.clone();
        let place = bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
        let byte = &mut bytes[place + needle.len()];
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        bytes
    };
    refused(flip("not reall"), "differs").await;
    refused(flip("Looks at one fil"), "differs").await;
    refused(flip("\"sig\":\""), "publisher").await;
    let (status, _) = server.send(Method::POST, "/v1/plugins", "application/json", good.clone()).await;
    assert_eq!(status.as_u16(), 415);
    let bare = Server::bare().await;
    assert_eq!(upload(&bare, good).await, (409, "no-keyring".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_that_are_refused() {
    let server = Server::start().await;
    let fleet = &server.fleet;
    let approval = |revision| fleet.approval(WASM, MANIFEST, revision).to_json();
    assert_eq!(approve(&server, approval(1)).await, (404, "unknown-plugin".to_owned()));
    assert_eq!(upload(&server, fleet.package(WASM, MANIFEST)).await.0, 201);
    assert_eq!(
        approve(&server, Fleet::new().approval(WASM, MANIFEST, 1).to_json()).await,
        (422, "approval-signature".to_owned())
    );
    let other = fleet.approval(b"other", MANIFEST, 1).to_json();
    assert_eq!(approve(&server, other).await, (422, "approval-catalogue".to_owned()));
    let renamed = MANIFEST.replace("name = \"look\"", "name = \"peek\"");
    assert_eq!(approve(&server, fleet.approval(WASM, &renamed, 1).to_json()).await, (422, "differs".to_owned()));
    assert_eq!(approve(&server, approval(2)).await.0, 200);
    assert_eq!(approve(&server, approval(1)).await, (409, "approval-revision".to_owned()));
}
