//! The public commands on this machine's own data, through the whole house.

use orderly_model::report::{FindingVerdict, Report};
use orderly_signing::approval::Approval;
use orderly_signing::verify::verify_receipt;
use orderly_signing::{Digest, InstanceId, SecretKey};
use orderly_tests::agent::Agent;
use orderly_tests::api::now_ms;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::packages::Package;
use orderly_tests::trust::new_key;
use orderly_tests::wait::SOON;
use orderly_wire::http::invocation::Targets;
use orderly_wire::http::plugin::PluginDetail;
use orderly_wire::http::task::TaskDetail;

fn report_of(fleet: &Fleet, id: &InstanceId, task: &TaskDetail) -> Report {
    assert_eq!(task.view.status, "Success", "{:?} {:?} {:?}", task.view.code, task.view.reason, task.output);
    let receipt = serde_json::to_vec(task.receipt.as_ref().expect("a receipt")).unwrap();
    let receipt = verify_receipt(&receipt, &fleet.api.instance(id).key).expect("a receipt that verifies");
    assert!(!receipt.used.is_empty(), "it read the machine and used nothing?");
    let report = task.report.clone().expect("a report");
    assert_eq!(
        receipt.report,
        Some(Digest::of(&serde_json::to_vec(&report).unwrap())),
        "the receipt is about another report"
    );
    report
}

fn run(plugin: &str, parameters: &[(&str, &str)]) -> (Fleet, Agent, Report) {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let view = fleet.publish_plugin(plugin);
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, parameters));
    let report = report_of(&fleet, &agent.id, &task);
    (fleet, agent, report)
}

#[test]
fn os_audit_finds_what_this_machine_is() {
    let (_fleet, _agent, report) = run("os-audit", &[]);
    assert!(report.findings.len() >= 25, "{} findings", report.findings.len());
    let mut ids: Vec<&str> = report.findings.iter().map(|finding| finding.id.as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is used twice");
    for finding in &report.findings {
        assert!(!finding.title.is_empty() && !finding.evidence.is_empty(), "{finding:?}");
        assert!(finding.verdict != FindingVerdict::Fail || !finding.remedy.is_empty(), "{finding:?}");
    }
}

#[test]
fn package_inventory_lists_what_dpkg_lists() {
    let (_fleet, _agent, report) = run("package-inventory", &[]);
    let text = serde_json::to_string(&report).unwrap();
    let Ok(listed) = std::process::Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}\\n"]).output()
    else {
        println!("skipped the comparison: this machine has no dpkg-query");
        return;
    };
    for line in String::from_utf8_lossy(&listed.stdout).lines().take(50) {
        let (name, version) = line.split_once(' ').unwrap();
        assert!(text.contains(&format!("\"{name}\"")) && text.contains(version), "{line} is not in the inventory");
    }
}

#[test]
fn disk_report_shows_the_root_file_system() {
    let (_fleet, _agent, report) = run("disk-report", &[]);
    assert!(serde_json::to_string(&report.tables).unwrap().contains("\"/\""), "{:?}", report.tables);
}

#[test]
fn a_read_only_plugin_goes_out_with_the_servers_signature_alone() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let view = fleet.publish_plugin("disk-report");
    assert_eq!(view.tier, "plugin-read-only");
    let request = Work::plugin(&view, &[]).request(Targets::Instances(vec![agent.id.clone()]), None);
    let invocation = fleet.api.create(&request).unwrap().id;
    assert_eq!(fleet.api.wait_end(&invocation, &agent.id, SOON).view.status, "Success");
}

#[test]
fn a_plugin_that_was_not_approved_is_refused() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let package = Package::of("hello", &fleet.trust.publisher);
    let view = fleet.api.push(package.tar()).unwrap();
    let request = Work::plugin(&view, &[]).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    // The server may refuse at once; where it sends the order, the instance refuses it.
    match fleet.api.create(&request) {
        Err(problem) => assert!((400..500).contains(&problem.status), "{problem:?}"),
        Ok(created) => {
            let task = fleet.api.wait_end(&created.id, &agent.id, SOON);
            assert_eq!((task.view.status.as_str(), task.view.check.as_deref()), ("Invalid", Some("catalogue")));
        }
    }
}

/// Uploads a bent approval. The server may refuse it; where it does not, the instance refuses the order by this check.
fn refused(bend: impl FnOnce(&mut Approval), key: Option<SecretKey>, check: &str) {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let package = Package::of("hello", &fleet.trust.publisher);
    let view = fleet.api.push(package.tar()).unwrap();
    let mut approval = package.approval(&fleet.trust.publisher);
    bend(&mut approval);
    match fleet.approve(&view, &approval, key.as_ref().unwrap_or(&fleet.trust.vetting)) {
        Err(problem) => {
            println!("the server refuses: {problem:?}");
            assert!((400..500).contains(&problem.status), "{problem:?}");
            let view: PluginDetail = fleet.api.get(&format!("/v1/plugins/{}/{}", view.name, view.version)).unwrap();
            assert!(!view.view.approved && view.approval.is_none(), "half done: {view:?}");
        }
        Ok(()) => {
            let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, &[]));
            println!("the instance refuses: {:?} {:?}", task.view.check, task.view.reason);
            assert_eq!(
                (task.view.status.as_str(), task.view.check.as_deref()),
                ("Invalid", Some(check)),
                "{:?}",
                task.view
            );
        }
    }
    // The honest approval works afterwards.
    let mut honest = package.approval(&fleet.trust.publisher);
    honest.revision += 1;
    fleet.approve(&view, &honest, &fleet.trust.vetting).unwrap();
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, &[]));
    assert_eq!(task.view.status, "Success", "{:?}", task.view);
}

#[test]
fn revoked_publisher() {
    refused(|approval| approval.publishers = vec![new_key().public().clone()], None, "publisher");
}

#[test]
fn component_swapped_under_an_approved_name() {
    refused(|approval| approval.component = Digest::of(b"another component"), None, "catalogue");
}

#[test]
fn an_approval_that_is_over() {
    refused(
        |approval| (approval.issued_ms, approval.expires_ms) = (now_ms() - 9000, now_ms() - 1000),
        None,
        "catalogue",
    );
}

#[test]
fn an_approval_by_a_stranger() {
    refused(|_| {}, Some(new_key()), "catalogue");
}

#[test]
fn manifest_asking_more_than_was_approved() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let publisher = &fleet.trust.publisher;
    let package = Package::of("os-audit", publisher);
    let mut approval = package.approval(publisher);
    let mut less = package.read_manifest().capabilities;
    (less.files_read, less.files_privileged) = (Vec::new(), false);
    approval.capabilities = less.to_canonical_json();
    let view = fleet.publish_package(&package, &approval);
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, &[]));
    assert_eq!((task.view.status.as_str(), task.view.check.as_deref()), ("Invalid", Some("capabilities")));
    assert!(task.view.reason.as_deref().is_some_and(|reason| reason.contains("files")), "{:?}", task.view.reason);
}

#[test]
fn the_local_policy_narrows_what_is_approved() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let view = fleet.publish_plugin("os-audit");
    agent.end();
    agent.configure("[policy]\nfiles_read = [\"/proc/**\"]\nnative = false\n");
    agent.start();
    fleet.api.wait_online(&agent.id, true);
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::plugin(&view, &[]));
    assert_eq!(task.view.status, "Invalid", "{:?}", task.view);
    assert!(
        ["capabilities", "local-policy"].contains(&task.view.check.as_deref().unwrap_or_default()),
        "{:?}",
        task.view
    );
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::script("echo ran"));
    assert_eq!(
        (task.view.status.as_str(), task.view.check.as_deref()),
        ("Invalid", Some("local-policy")),
        "{:?}",
        task.view
    );
}
