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
