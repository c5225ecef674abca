//! Hostile guests: each is stopped with a truthful status, and the agent's next task works.
//!
//! One test for each folder of `plugins/hostile`, of its name (tidy checks that). The guests tell the truth about what
//! they managed, and each is also shown to have really tried, so that a sandbox that lets nothing happen at all cannot pass
//! for one that holds.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use orderly_model::report::{FindingVerdict, Report, Verdict};
use orderly_tests::agent::Agent;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::packages::Package;
use orderly_tests::process::alive_with;
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::task::TaskDetail;
use tempfile::TempDir;

/// The most that the agent may have had resident beside its own code, in KiB, whatever a guest does.
const PEAK_DATA_KIB: u64 = 16 * 1024;

/// An agent that a guest attacks, and an honest plugin to run afterwards.
///
/// The fields are dropped in this order: the server's folder goes last.
struct Scene {
    agent: Agent,
    fleet: Fleet,
    honest: PluginView,
}

impl Scene {
    fn set() -> Self {
        let fleet = Fleet::start();
        let agent = fleet.agent("agent");
        let honest = fleet.publish_plugin("disk-report");
        Self { agent, fleet, honest }
    }

    /// Runs a guest; then the agent must do honest work as if nothing had been.
    fn attack(&mut self, guest: &PluginView, timeout_s: u32, parameters: &[(&str, &str)]) -> TaskDetail {
        let work = Work::plugin(guest, parameters).timeout(timeout_s);
        let (_, task) = crate::native::run(&self.fleet, &self.agent.id, &work);
        let outcome = task.report.as_ref().and_then(|report| report.outcome.as_ref());
        println!(
            "{} {parameters:?}: {} {:?} {:?} {outcome:?}",
            guest.name, task.view.status, task.view.code, task.view.reason
        );
        let (_, next) = crate::native::run(&self.fleet, &self.agent.id, &Work::script("echo still here"));
        assert_eq!(next.view.status, "Success", "a script after {}: {:?}", guest.name, next.view);
        let (_, next) = crate::native::run(&self.fleet, &self.agent.id, &Work::plugin(&self.honest, &[]));
        assert_eq!(next.view.status, "Success", "a plugin after {}: {:?}", guest.name, next.view);
        assert!(self.agent.program().runs(), "the agent ended");
        let memory = self.agent.program().memory();
        assert!(memory.peak_data_kib() < PEAK_DATA_KIB, "{memory:?}");
        task
    }
}

fn reason(task: &TaskDetail) -> String {
    task.view.reason.clone().unwrap_or_default().to_lowercase()
}

/// The report of a guest that came to its end and says that nothing got through.
fn stopped(task: &TaskDetail) -> &Report {
    assert_eq!(task.view.status, "Success", "{:?}", task.view);
    let report = task.report.as_ref().expect("a report");
    let failed: Vec<_> = report.findings.iter().filter(|finding| finding.verdict == FindingVerdict::Fail).collect();
    assert!(failed.is_empty(), "got through: {failed:#?}");
    assert_eq!(report.outcome.as_ref().map(|outcome| outcome.verdict), Some(Verdict::Pass), "{:?}", report.outcome);
    report
}

fn fact(report: &Report, key: &str) -> u64 {
    let fact = report.facts.iter().find(|fact| fact.key == key).unwrap_or_else(|| panic!("no fact `{key}`"));
    fact.value.parse().unwrap()
}

#[test]
fn endless_loop() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("endless-loop");
    for kind in ["compute", "call-host", "wait-in-host"] {
        let task = scene.attack(&guest, 2, &[("kind", kind)]);
        assert_eq!(task.view.status, "Timeout", "{kind}: {:?}", task.view);
        let (started, finished) = (task.view.started_ms.unwrap(), task.view.finished_ms.unwrap());
        assert!((1_500..12_000).contains(&(finished - started)), "{kind} took {} ms", finished - started);
    }
    assert!(alive_with("__run-plugin").values().all(|line| !line.contains(&scene.agent.data.display().to_string())));
}

#[test]
fn memory_balloon() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("memory-balloon");
    let task = scene.attack(&guest, 10, &[]);
    if task.view.status == "Success" {
        let taken = fact(stopped(&task), "memory.taken_mib");
        assert!((8..=32).contains(&taken), "{taken} MiB were taken of 32");
    } else {
        assert_eq!(task.view.status, "Error", "{:?}", task.view);
        assert!(reason(&task).contains("memory"), "{:?}", task.view);
    }
}

#[test]
fn output_flood() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("output-flood");
    for (kind, mebibytes) in [("stdout", "64"), ("stderr", "16"), ("log", "32"), ("progress", "16")] {
        let task = scene.attack(&guest, 60, &[("kind", kind), ("mebibytes", mebibytes)]);
        let output = task.output.as_ref().expect("output");
        let kept: u64 = output.head.iter().chain(&output.tail).map(|segment| segment.data.len() as u64).sum();
        assert!(kept <= 24 * 1024, "{kept} bytes were kept");
        assert_eq!(task.view.output_bytes, kept + output.dropped_bytes, "{kind}");
        if task.view.status == "Success" {
            let written = fact(stopped(&task), "flood.written_bytes");
            match kind {
                "stdout" | "stderr" => {
                    assert_eq!(task.view.output_bytes, written, "{kind}: bytes went missing uncounted");
                }
                "log" => assert!(task.view.output_bytes >= written, "{kind}: bytes went missing uncounted"),
                _ => assert_eq!(task.view.output_bytes, 0, "progress is no output"),
            }
        } else {
            assert_eq!(task.view.status, "Error", "{kind}: {:?}", task.view);
            assert!(reason(&task).contains("output"), "{kind}: {:?}", task.view);
        }
    }
}

/// The folder that the guest is granted, with the links that it names, and a secret beside it that everybody may read.
fn escape_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("orderly-escape-").tempdir().unwrap();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o755);
    let (secret, granted) = (folder.path().join("secret"), folder.path().join("granted"));
    fs::write(&secret, "the secret\n").unwrap();
    fs::create_dir_all(granted.join("inside")).unwrap();
    fs::write(granted.join("inside/file"), "what was granted\n").unwrap();
    let links = [
        ("link-relative", Path::new("../secret")),
        ("link-absolute", secret.as_path()),
        ("link-parent", Path::new("..")),
        ("link-root", Path::new("/")),
        ("link-chain", Path::new("link-relative")),
        ("link-passwd", Path::new("/etc/passwd")),
    ];
    for (name, target) in links {
        symlink(target, granted.join(name)).unwrap();
    }
    for (path, mode) in
        [(&granted, 0o777), (&granted.join("inside"), 0o777), (&granted.join("inside/file"), 0o666), (&secret, 0o644)]
    {
        open(path, mode);
    }
    folder
}

#[test]
fn path_escape() {
    let mut scene = Scene::set();
    let folder = escape_folder();
    let granted = folder.path().join("granted").display().to_string();
    let mut package = Package::of("path-escape", &scene.fleet.trust.publisher);
    let text = String::from_utf8(package.manifest).unwrap();
    package.manifest = text.replace("/tmp/orderly-path-escape/granted", &granted).into_bytes();
    assert!(String::from_utf8_lossy(&package.manifest).contains(&granted));
    package.sign(&scene.fleet.trust.publisher);
    let approval = package.approval(&scene.fleet.trust.publisher);
    let guest = scene.fleet.publish_package(&package, &approval);
    let task = scene.attack(&guest, 10, &[("folder", &granted)]);
    let report = stopped(&task);
    assert!(report.findings.len() > 60, "only {} attempts: was the folder open at all?", report.findings.len());
    assert!(
        report.findings.iter().any(|finding| finding.title.contains(&format!("in {granted}"))),
        "the folder was not open"
    );
    assert_eq!(fs::read_to_string(folder.path().join("granted/inside/file")).unwrap(), "what was granted\n");
    let names = fs::read_dir(folder.path().join("granted")).unwrap().count();
    assert_eq!(names, 7, "something was made or removed in the granted folder");
}

#[test]
fn undeclared_import() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("undeclared-import");
    let task = scene.attack(&guest, 10, &[]);
    assert_eq!(
        (task.view.status.as_str(), task.view.check.as_deref()),
        ("Invalid", Some("capabilities")),
        "{:?}",
        task.view
    );
    for name in ["facts", "mounts", "process", "sockets"] {
        assert!(reason(&task).contains(name), "`{name}` is not named: {}", reason(&task));
    }
    assert!(task.report.is_none_or(|report| report.findings.is_empty()), "it was started");
}

#[test]
fn deep_recursion() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("deep-recursion");
    let task = scene.attack(&guest, 10, &[]);
    assert_eq!(task.view.status, "Error", "{:?}", task.view);
    assert!(reason(&task).contains("stack"), "{:?}", task.view);
}

#[test]
fn huge_parameter() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("huge-parameter");
    let task = scene.attack(&guest, 30, &[("echo", &"y".repeat(30_000))]);
    assert!(stopped(&task).findings.len() >= 12);
    let kept = task.output.as_ref().expect("output");
    let kept: usize = kept.head.iter().chain(&kept.tail).map(|segment| segment.data.len()).sum();
    assert!(kept <= 24 * 1024, "{kept} bytes were kept");
    // From the other side: a value over the limit never gets as far as the guest.
    let huge = "y".repeat(200_000);
    let target = orderly_wire::http::invocation::Targets::Instances(vec![scene.agent.id.clone()]);
    let request = Work::plugin(&guest, &[("echo", &huge)]).request(target, None);
    let problem = scene.fleet.api.create(&request).expect_err("a value over the limit");
    assert!((400..500).contains(&problem.status), "{problem:?}");
}

#[test]
fn fork_storm() {
    let mut scene = Scene::set();
    let guest = scene.fleet.publish_plugin("fork-storm");
    let mut random = [0; 2];
    getrandom::fill(&mut random).unwrap();
    let seconds = (500 + u16::from_be_bytes(random) % 400).to_string();
    let task = scene.attack(&guest, 20, &[("seconds", &seconds)]);
    let left = alive_with(&format!("sleep {seconds}"));
    assert!(left.is_empty(), "left over: {left:?}");
    let report = stopped(&task);
    assert!((1..=4).contains(&fact(report, "storm.at_a_time")), "{:?}", report.facts);
    assert!((5..=64).contains(&fact(report, "storm.in_all")), "{:?}", report.facts);
}
