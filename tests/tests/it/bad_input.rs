//! Bad input: each a clear error with what, where and how to mend it, and nothing half done.

use std::collections::BTreeMap;
use std::time::Duration;

use orderly_signing::InstanceId;
use orderly_tests::agent::{Agent, ca_fingerprint, enrol_command};
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::packages::Package;
use orderly_tests::trust::new_key;
use orderly_tests::wait::{SOON, until};
use orderly_wire::http::Page;
use orderly_wire::http::instance::InstanceView;
use orderly_wire::http::invocation::{InvocationView, Targets};
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::problem::Problem;
use orderly_wire::http::token::{CreateToken, CreatedToken};
use reqwest::Method;

/// What every problem has: a code, a sentence, and a way out.
fn clear(problem: &Problem, status: u16, code: &str) {
    assert_eq!((problem.status, problem.code.as_str()), (status, code), "{problem:?}");
    assert_eq!(problem.kind, format!("urn:orderly:problem:{code}"));
    assert!(problem.title.len() > 8, "{problem:?}");
    assert!(problem.hint.is_some() || problem.detail.is_some() || !problem.faults.is_empty(), "{problem:?}");
}

fn no_invocations(fleet: &Fleet) {
    let page: Page<InvocationView> = fleet.api.get("/v1/invocations").unwrap();
    assert!(page.items.is_empty(), "half done: {:?}", page.items);
}

#[test]
fn a_wrong_activation_code_enrols_nothing_and_the_right_one_works_afterwards() {
    let fleet = Fleet::start();
    let data = fleet.path("agent");
    let output = Agent::try_enrol(&fleet, "not-a-code", &data);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("activation") && text.contains("code"), "{text}");
    let page: Page<InstanceView> = fleet.api.get("/v1/instances").unwrap();
    assert!(page.items.is_empty(), "half done: {:?}", page.items);
    assert!(Agent::try_enrol(&fleet, &fleet.api.activation(1).code, &data).status.success());
}

#[test]
fn an_activation_serves_only_as_many_as_it_says() {
    let fleet = Fleet::start();
    let code = fleet.api.activation(1).code;
    assert!(Agent::try_enrol(&fleet, &code, &fleet.path("first")).status.success());
    let output = Agent::try_enrol(&fleet, &code, &fleet.path("second"));
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("activation"), "{text}");
}

#[test]
fn a_wrong_fingerprint_of_ca_or_root_enrols_nothing() {
    let fleet = Fleet::start();
    let (root, ca) = (fleet.trust.root_fingerprint().to_string(), ca_fingerprint(&fleet.ca_pem()).to_string());
    let wrong = format!("sha256:{}", "0".repeat(64));
    let server = format!("https://{}", fleet.address);
    for (root, ca, name) in [(&root, &wrong, "CA"), (&wrong, &ca, "root")] {
        let code = fleet.api.activation(1).code;
        let data = fleet.path(&format!("agent-{name}"));
        let output = enrol_command(&server, &code, root, ca, &data).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}: enrolled with a wrong fingerprint");
        assert!(text.to_lowercase().contains(&name.to_lowercase()), "{text}");
        let run = std::process::Command::new(orderly_tests::programs::built("orderly-agent"))
            .arg("run")
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        assert!(!run.status.success(), "{name}: it runs as if it were enrolled");
    }
}

#[test]
fn an_expired_token_is_told_apart_from_a_wrong_one() {
    let fleet = Fleet::start();
    let created: CreatedToken =
        fleet.api.send(Method::POST, "/v1/tokens", &CreateToken { name: "short".to_owned(), ttl_s: 1 }).unwrap();
    let api = fleet.api.with_token(&created.token);
    let problem = until("the token to expire", SOON, || api.get::<Page<InstanceView>>("/v1/instances").err());
    clear(&problem, 401, "token-expired");
    let wrong = fleet.api.with_token("ort_wrong").get::<Page<InstanceView>>("/v1/instances").unwrap_err();
    assert_eq!(wrong.status, 401);
    assert_ne!(wrong.code, "token-expired");
}

#[test]
fn an_unknown_instance_is_named_and_nothing_is_recorded() {
    let fleet = Fleet::start();
    let stranger = InstanceId::of(new_key().public());
    let problem = fleet
        .api
        .create(&Work::script("true").signed(std::slice::from_ref(&stranger), &fleet.trust.operator))
        .unwrap_err();
    assert!((400..500).contains(&problem.status), "{problem:?}");
    assert!(format!("{problem:?}").contains(stranger.as_str()), "{problem:?}");
    no_invocations(&fleet);
    let problem = fleet.api.get::<InstanceView>(&format!("/v1/instances/{stranger}")).unwrap_err();
    assert_eq!(problem.status, 404, "{problem:?}");
}

#[test]
fn a_tag_that_matches_nothing_is_an_error_not_an_empty_invocation() {
    let fleet = Fleet::start();
    let tags = BTreeMap::from([("env".to_owned(), "nowhere".to_owned())]);
    let problem = fleet.api.create(&Work::script("true").request(Targets::Tags(tags), None)).unwrap_err();
    assert!((400..500).contains(&problem.status), "{problem:?}");
    assert_eq!(problem.code, "no-targets", "{problem:?}");
    no_invocations(&fleet);
}

#[test]
fn a_script_over_the_limit_is_refused_with_the_limit() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let script = format!("#{}\ntrue\n", "x".repeat(20 * 1024 * 1024));
    let request = Work::script(script).request(Targets::Instances(vec![agent.id]), None);
    let problem = fleet.api.create(&request).unwrap_err();
    assert!([400, 413, 422].contains(&problem.status), "{problem:?}");
    assert!(format!("{problem:?}").chars().any(|char| char.is_ascii_digit()), "no limit in {problem:?}");
    no_invocations(&fleet);
}

#[test]
fn a_request_that_says_something_else_than_its_order_is_refused() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let honest = Work::script("echo one");
    let mut request = honest.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    request.run = Work::script("echo two").run;
    let problem = fleet.api.create(&request).unwrap_err();
    assert!((400..500).contains(&problem.status), "{problem:?}");
    let mut request = honest.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    request.run = honest.clone().timeout(61).run;
    assert!((400..500).contains(&fleet.api.create(&request).unwrap_err().status));
    let stranger = new_key();
    let request = honest.signed(std::slice::from_ref(&agent.id), &stranger);
    assert!((400..500).contains(&fleet.api.create(&request).unwrap_err().status), "an order signed by nobody we know");
    no_invocations(&fleet);
}

#[test]
fn a_parameter_that_is_not_declared_is_refused_by_name() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let view = fleet.publish_plugin("disk-report");
    let work = Work::plugin(&view, &[("no-such-parameter", "1")]);
    let request = work.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    let problem = fleet.api.create(&request).unwrap_err();
    clear(&problem, 422, "invalid-request");
    assert!(problem.faults.iter().any(|fault| fault.field.contains("no-such-parameter")), "{problem:?}");
    assert!(format!("{problem:?}").contains("usage-percent"), "it does not say which there are: {problem:?}");
    no_invocations(&fleet);
}

#[test]
fn a_package_with_a_wrong_signature_or_a_changed_byte_is_refused() {
    let fleet = Fleet::start();
    let honest = Package::of("hello", &fleet.trust.publisher);
    let mut packages = Vec::new();
    packages.push(("a stranger's signature", Package::of("hello", &new_key())));
    let mut changed = honest.clone();
    let middle = changed.component.len() / 2;
    changed.component[middle] ^= 1;
    packages.push(("a changed byte of the component", changed));
    let mut changed = honest.clone();
    changed.manifest.extend_from_slice(b"# changed\n");
    packages.push(("a changed manifest", changed));
    for (what, package) in packages {
        let problem = fleet.api.push(package.tar()).expect_err(what);
        assert!((400..500).contains(&problem.status), "{what}: {problem:?}");
        assert!(problem.detail.is_some() || !problem.faults.is_empty(), "{what}: {problem:?}");
    }
    let page: Page<PluginView> = fleet.api.get("/v1/plugins").unwrap();
    assert!(page.items.is_empty(), "half done: {:?}", page.items);
    fleet.api.push(honest.tar()).expect("the honest package");
}

#[test]
fn the_same_version_with_other_bytes_is_a_conflict() {
    let fleet = Fleet::start();
    let honest = Package::of("hello", &fleet.trust.publisher);
    fleet.api.push(honest.tar()).expect("the honest package");
    let mut manifest = honest.manifest.clone();
    manifest.extend_from_slice(b"# another\n");
    let other = Package::new(honest.component, manifest, &fleet.trust.publisher);
    assert_eq!(fleet.api.push(other.tar()).unwrap_err().status, 409);
}

#[test]
fn a_manifest_that_does_not_parse_is_refused_with_its_place() {
    let fleet = Fleet::start();
    let mut package = Package::of("hello", &fleet.trust.publisher);
    package.manifest = b"[plugin]\nname = \"hello\"\nversion = oops\n".to_vec();
    let problem = fleet.api.push(package.tar()).unwrap_err();
    assert!((400..500).contains(&problem.status), "{problem:?}");
    let text = format!("{problem:?}");
    assert!(text.contains("plugin.toml:3:"), "{text}");
}

#[test]
fn a_package_that_is_not_exactly_three_files_is_refused() {
    let fleet = Fleet::start();
    for body in [b"not a tar".to_vec(), vec![0; 1024]] {
        let problem = fleet.api.push(body).unwrap_err();
        assert!((400..500).contains(&problem.status), "{problem:?}");
    }
}

#[test]
fn paths_methods_types_and_fields_that_are_not_there_are_problems() {
    let fleet = Fleet::start();
    let not_found = fleet.api.get::<serde_json::Value>("/v1/no-such-thing").unwrap_err();
    assert_eq!(not_found.status, 404);
    let method = fleet.api.send::<serde_json::Value>(Method::DELETE, "/v1/invocations", &()).unwrap_err();
    assert_eq!(method.status, 405);
    let kind = fleet.api.send_bytes::<serde_json::Value>(Method::POST, "/v1/invocations", "text/plain", b"{}".to_vec());
    assert_eq!(kind.unwrap_err().status, 415);
    let field = fleet.api.send::<serde_json::Value>(
        Method::POST,
        "/v1/activations",
        &serde_json::json!({ "no-such-field": 1 }),
    );
    let field = field.unwrap_err();
    assert!([400, 422].contains(&field.status) && format!("{field:?}").contains("no-such-field"), "{field:?}");
    assert!(
        fleet.api.with_token("").get::<serde_json::Value>("/v1/instances").is_err_and(|problem| problem.status == 401)
    );
}

#[test]
fn the_server_refuses_a_second_one_on_its_data() {
    let fleet = Fleet::start();
    let output = std::process::Command::new(orderly_tests::programs::built("orderly-server"))
        .arg("--data-dir")
        .arg(fleet.path("server"))
        .args(["--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&fleet.path("server").display().to_string()), "{text}");
    let _: Duration = SOON;
}
