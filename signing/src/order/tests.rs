//! Tests of the order's bounds and of its JSON.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::error::Check;

fn script() -> Action {
    Action::Script(ScriptAction {
        user: Some("nobody".to_owned()),
        environment: BTreeMap::from([("LANG".to_owned(), "C".to_owned())]),
        ..ScriptAction::new(b"id\n")
    })
}

fn plugin() -> Action {
    Action::Plugin {
        name: "os-audit".to_owned(),
        version: "1.0.0-rc.1+x".to_owned(),
        component: Digest::of(b"wasm"),
        manifest: Digest::of(b"toml"),
        parameters: BTreeMap::new(),
        timeout_s: 60,
        output_bytes: 0,
    }
}

fn order(action: Action) -> Order {
    Order {
        version: 1,
        order: "o-1".to_owned(),
        invocation: "t-1".to_owned(),
        principal: "alice@example.org".to_owned(),
        issued_ms: 1_000,
        not_before_ms: 1_000,
        expires_ms: 61_000,
        targets: Targets { count: 1, root: Digest::of(b"root") },
        action,
        repeat: Repeat::Once,
    }
}

fn parse(json: &str) -> Result<Order, crate::Refusal> {
    document::parse(json.as_bytes())
}

#[test]
fn json_is_compact_readable_and_round_trips() {
    let stop = Action::Stop { order: Digest::of(b"o"), invocation: "t-2".to_owned() };
    for (action, kind) in [(script(), "script"), (plugin(), "plugin"), (stop, "stop")] {
        let order = order(action);
        let json = serde_json::to_string(&order).unwrap();
        assert!(json.contains(&format!(r#""action":{{"kind":"{kind}","#)), "{json}");
        assert_eq!(parse(&json).unwrap(), order);
    }
    let json = serde_json::to_string(&order(script())).unwrap();
    assert!(json.contains(r#""interpreter":"shell""#) && json.contains(r#""termination":"process-tree""#), "{json}");
    assert!(!json.contains("cwd"), "what is not said is not written");
}

#[test]
fn unknown_and_doubled_names_are_refused_wherever_they_stand() {
    let json = serde_json::to_string(&order(script())).unwrap();
    for (from, to) in [
        (r#"{"version":1"#, r#"{"extra":0,"version":1"#),
        (r#"{"version":1"#, r#"{"version":1,"version":1"#),
        (r#""kind":"script""#, r#""kind":"script","as_root":true"#),
        (r#""kind":"script""#, r#""kind":"script","kind":"script""#),
        (r#""user":"nobody""#, r#""user":"nobody","user":"root""#),
        (r#""LANG":"C""#, r#""LANG":"C","LANG":"D""#),
        (r#""LANG":"C""#, r#""LANG":"C","\u004cANG":"D""#),
        (r#""targets":{"#, r#""targets":{"all":true,"#),
        (r#""kind":"script""#, r#""kind":"reboot""#),
        (r#""version":1"#, r#""version":2"#),
        (r#""shell""#, r#""perl""#),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert_eq!(parse(&changed).unwrap_err().check, Check::Payload, "{changed}");
    }
}

#[test]
fn each_bound_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Order)| {
        let mut order = order(script());
        change(&mut order);
        order.validate().expect_err("must be refused").field
    };
    assert_eq!(refused(&|o| o.version = 0), "version");
    assert_eq!(refused(&|o| o.order = "t-1".to_owned()), "order");
    assert_eq!(refused(&|o| o.invocation = "t-../x".to_owned()), "invocation");
    assert_eq!(refused(&|o| o.principal = "a\nb".to_owned()), "principal");
    assert_eq!(refused(&|o| o.issued_ms = -1), "issued_ms");
    assert_eq!(refused(&|o| o.expires_ms = o.not_before_ms), "expires_ms");
    assert_eq!(refused(&|o| o.not_before_ms = o.expires_ms + 1), "expires_ms");
    assert_eq!(refused(&|o| o.targets.count = 0), "targets.count");
    assert_eq!(refused(&|o| o.targets.count = u64::MAX), "targets.count");
}

#[test]
fn each_bound_of_a_script_is_refused_by_name() {
    let refused = |from: &str, to: &str| {
        let json = serde_json::to_string(&order(script())).unwrap();
        assert!(json.contains(from), "{json}");
        parse(&json.replacen(from, to, 1)).expect_err("must be refused").reason
    };
    assert!(refused(r#""timeout_s":60"#, r#""timeout_s":0"#).contains("action.timeout_s"));
    assert!(refused(r#""timeout_s":60"#, r#""timeout_s":604801"#).contains("action.timeout_s"));
    assert!(refused(r#""content_bytes":3"#, r#""content_bytes":0"#).contains("action.content_bytes"));
    assert!(refused(r#""content_bytes":3"#, r#""content_bytes":16777217"#).contains("action.content_bytes"));
    assert!(refused(r#""output_bytes":24576"#, r#""output_bytes":16777217"#).contains("action.output_bytes"));
    assert!(refused(r#""nobody""#, r#""""#).contains("action.user"));
    assert!(refused(r#""nobody""#, r#""a\u0000b""#).contains("action.user"));
    assert!(refused(r#""nobody""#, r#""nobody","cwd":"""#).contains("action.cwd"));
    for name in ["", "1A", "A=B", "A B", "A\\u0000"] {
        assert!(refused(r#""LANG":"#, &format!(r#""{name}":"#)).contains("action.environment"), "{name}");
    }
    assert!(refused(r#":"C""#, r#":"a\u0000b""#).contains("action.environment.LANG"));
    assert!(
        refused(r#":"C""#, &format!(r#":"{}""#, "x".repeat(MAX_VALUE_BYTES + 1))).contains("action.environment.LANG")
    );
}

#[test]
fn each_bound_of_what_else_a_script_can_have_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut ScriptAction)| {
        let mut script = ScriptAction::new(b"id\n");
        change(&mut script);
        order(Action::Script(script)).validate().expect_err("must be refused").field
    };
    let one = || BTreeMap::from([("name".to_owned(), "value".to_owned())]);
    assert_eq!(refused(&|s| s.command = Some("t-1".to_owned())), "action.command");
    assert_eq!(refused(&|s| s.parameters = one()), "action.parameters");
    assert_eq!(refused(&|s| s.launcher = Some(String::new())), "action.launcher");
    assert_eq!(refused(&|s| s.launcher = Some("x".repeat(MAX_LAUNCHER_BYTES + 1))), "action.launcher");
    assert_eq!(refused(&|s| s.stdin = Some("x".repeat(MAX_VALUE_BYTES + 1))), "action.stdin");
    assert_eq!(refused(&|s| s.resources = Some(Resources::default())), "action.resources");
    let processes = |n| Some(Resources { processes: Some(n), ..Resources::default() });
    assert_eq!(refused(&|s| s.resources = processes(0)), "action.resources.processes");
    let memory = |n| Some(Resources { memory_mib: Some(n), ..Resources::default() });
    assert_eq!(refused(&|s| s.resources = memory(3)), "action.resources.memory_mib");
    assert_eq!(refused(&|s| s.container = Some(Container::default())), "action.container");
    let named = |name: &str| Some(Container { name: Some(name.to_owned()), id: None });
    assert_eq!(refused(&|s| s.container = named("a b")), "action.container.name");
    let mut all = ScriptAction::new(b"id\n");
    (all.substitution, all.parameters, all.exit_effects) = (Substitution::Environment, one(), true);
    (all.resources, all.container) = (processes(16), named("web-1"));
    order(Action::Script(all)).validate().unwrap();
}

#[test]
fn each_bound_of_a_file_is_refused_by_name() {
    let file = FileAction {
        directory: "/etc/app".to_owned(),
        name: "app.conf".to_owned(),
        content: Digest::of(b"x"),
        content_bytes: 1,
        owner: None,
        group: None,
        mode: 0o4755,
        overwrite: false,
        timeout_s: 60,
    };
    order(Action::File(file.clone())).validate().unwrap();
    let refused = |change: &dyn Fn(&mut FileAction)| {
        let mut file = file.clone();
        change(&mut file);
        order(Action::File(file)).validate().expect_err("must be refused").field
    };
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(refused(&|f| f.name = name.to_owned()), "action.name", "{name:?}");
    }
    assert_eq!(refused(&|f| f.directory = String::new()), "action.directory");
    assert_eq!(refused(&|f| f.mode = 0o10000), "action.mode");
    assert_eq!(refused(&|f| f.content_bytes = MAX_FILE_BYTES + 1), "action.content_bytes");
    assert_eq!(refused(&|f| f.owner = Some(String::new())), "action.owner");
    assert_eq!(refused(&|f| f.timeout_s = 0), "action.timeout_s");
    let collect = CollectAction { path: "/var/log/syslog".to_owned(), max_bytes: 0, timeout_s: 60 };
    assert_eq!(order(Action::Collect(collect)).validate().unwrap_err().field, "action.max_bytes");
}

#[test]
fn each_bound_of_a_series_is_refused_by_name() {
    let series = |revision, due| {
        Repeat::Series(Series { revision, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip })
    };
    let of = |repeat: Repeat| Order { repeat, ..order(script()) };
    let hourly = || Due::Frequency("rate(1h)".to_owned());
    for good in [Repeat::DryRun, series(1, hourly()), series(7, Due::EveryReboot)] {
        let order = of(good);
        assert_eq!(parse(&serde_json::to_string(&order).unwrap()).unwrap(), order);
    }
    assert_eq!(of(series(0, hourly())).validate().unwrap_err().field, "repeat.revision");
    let long = Due::Frequency("x".repeat(MAX_FREQUENCY_BYTES + 1));
    assert_eq!(of(series(1, long)).validate().unwrap_err().field, "repeat.due.frequency");
    let stop = Action::Stop { order: Digest::ZERO, invocation: "t-1".to_owned() };
    assert_eq!(Order { repeat: Repeat::DryRun, ..order(stop) }.validate().unwrap_err().field, "repeat");
    assert!(!serde_json::to_string(&order(script())).unwrap().contains("repeat"), "what is not said is not written");
}

#[test]
fn bounds_of_plugins_stops_and_maps_hold() {
    let mut many = order(plugin());
    if let Action::Plugin { parameters, .. } = &mut many.action {
        parameters.extend((0..=MAX_VALUES).map(|n| (format!("p{n}"), String::new())));
    }
    assert_eq!(many.validate().unwrap_err().field, "action.parameters");
    let json = serde_json::to_string(&order(plugin())).unwrap();
    parse(&json.replacen(r#""parameters":{}"#, r#""parameters":{"7-days":""}"#, 1)).unwrap();
    for (from, to) in [
        (r#""os-audit""#, r#""../os-audit""#),
        (r#""1.0.0-rc.1+x""#, r#""1 0""#),
        (r#""parameters":{}"#, r#""parameters":{"a/b":""}"#),
    ] {
        assert_eq!(parse(&json.replacen(from, to, 1)).unwrap_err().check, Check::Payload, "{to}");
    }
    let stop = Action::Stop { order: Digest::ZERO, invocation: "x".to_owned() };
    assert_eq!(order(stop).validate().unwrap_err().field, "action.invocation");
}
