//! Capabilities: canonical text, tiers, and the small world of the property tests.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

pub(crate) fn paths() -> impl Strategy<Value = Vec<PathPattern>> {
    proptest::collection::vec("(/[ab]){1,3}(/\\*\\*)?".prop_map(|text| text.parse().unwrap()), 0..3)
}

fn users() -> impl Strategy<Value = RunAs> {
    "unprivileged|root|bob|eve".prop_map(|text| text.parse().unwrap())
}

fn http_rules() -> impl Strategy<Value = Vec<HttpRule>> {
    let methods = proptest::sample::subsequence(Method::ALL.to_vec(), 1..3);
    let rule = ("(\\*\\.)?a\\.example\\.com|example\\.com", any::<bool>(), any::<bool>(), methods);
    let rule = rule.prop_map(|(host, clear, private, methods)| {
        let scheme = if clear { Scheme::Http } else { Scheme::Https };
        HttpRule { host: host.parse().unwrap(), port: scheme.port(), scheme, methods, private }
    });
    proptest::collection::vec(rule, 0..3)
}

fn process_rules() -> impl Strategy<Value = Vec<ProcessRule>> {
    let rule = ("/usr/bin/(id|env)", proptest::collection::vec("-[un]", 0..2), users(), any::<bool>());
    let rule = rule.prop_map(|(executable, arguments, user, interpreter)| ProcessRule {
        executable: executable.parse().unwrap(),
        arguments: arguments.iter().map(|text| text.parse().unwrap()).collect(),
        user,
        interpreter,
    });
    proptest::collection::vec(rule, 0..3)
}

/// Any set of capabilities of a small world, so that two of them often have to do with each other.
pub(crate) fn any_capabilities() -> impl Strategy<Value = Capabilities> {
    let names = proptest::collection::vec("LANG|TZ|PATH".prop_map(|text| text.parse().unwrap()), 0..3);
    let flags = any::<[bool; 5]>();
    (paths(), paths(), http_rules(), process_rules(), names, flags, users()).prop_map(
        |(files_read, files_write, http, process, environment, [privileged, clock, random, facts, mounts], user)| {
            let mut capabilities = Capabilities {
                files_privileged: privileged && !files_read.is_empty(),
                files_read,
                files_write,
                http,
                process,
                environment,
                clock,
                random,
                facts,
                mounts,
                user,
            };
            capabilities.normalise();
            capabilities
        },
    )
}

proptest! {
    #[test]
    fn canonical_text_round_trips(capabilities in any_capabilities()) {
        let text = capabilities.to_canonical_json();
        prop_assert_eq!(Capabilities::from_canonical_json(&text).unwrap(), capabilities);
    }

    #[test]
    fn reading_is_total(text in ".{0,60}|\\{\"(user|clock|http|files)\":.{0,20}\\}") {
        if let Ok(capabilities) = Capabilities::from_canonical_json(&text) {
            prop_assert_eq!(capabilities.to_canonical_json(), text);
        }
    }

    #[test]
    fn tier_never_falls_when_capabilities_are_added(capabilities in any_capabilities(), more in any_capabilities()) {
        let mut both = capabilities.clone();
        both.files_read.extend(more.files_read);
        both.files_write.extend(more.files_write);
        both.http.extend(more.http);
        both.process.extend(more.process);
        both.files_privileged |= more.files_privileged;
        prop_assert!(both.tier() >= capabilities.tier());
    }
}

#[test]
fn nothing_is_an_empty_object() {
    assert_eq!(Capabilities::none().to_canonical_json(), "{}");
    assert_eq!(Capabilities::from_canonical_json("{}").unwrap(), Capabilities::none());
    assert_eq!(Capabilities::none().tier(), Tier::PluginReadOnly);
    for kind in CapabilityKind::ALL {
        assert!(!Capabilities::none().has(kind), "{kind}");
    }
}

#[test]
fn canonical_text_is_as_documented() {
    let text = concat!(
        r#"{"clock":true,"environment":["LANG"],"files":{"read":["/etc/passwd","/etc/ssh/**"]},"#,
        r#""http":[{"host":"*.example.com","methods":["GET"],"port":443,"scheme":"https"}],"#,
        r#""process":[{"arguments":["-u"],"executable":"/usr/bin/id"}],"user":"root"}"#
    );
    let capabilities = Capabilities::from_canonical_json(text).unwrap();
    assert_eq!(capabilities.user, RunAs::Root);
    assert_eq!(capabilities.tier(), Tier::PluginProcess);
}

#[test]
fn two_texts_never_stand_for_one_approval() {
    for other in [
        r#"{"clock":false}"#,
        r#"{ "clock":true}"#,
        r#"{"environment":["TZ","LANG"]}"#,
        r#"{"environment":["TZ","TZ"]}"#,
        r#"{"files":{"read":["/etc//ssh"]}}"#,
        r#"{"http":[{"host":"a.example.com"}]}"#,
        r#"{"http":[{"host":"A.example.com","methods":["GET"],"port":443,"scheme":"https"}]}"#,
        r#"{"user":"unprivileged"}"#,
        r#"{"facts":true,"clock":true}"#,
    ] {
        assert_eq!(Capabilities::from_canonical_json(other), Err(CapabilitiesError::NotCanonical), "{other}");
    }
    for shape in [
        r#"{"sockets":true}"#,
        r#"{"clock":true,"clock":true}"#,
        r#"{"files":{"read":[],"read":["/etc/**"]}}"#,
        r#"{"process":[{"executable":"/usr/bin/id"}]}"#,
        "",
    ] {
        let read = Capabilities::from_canonical_json(shape);
        assert!(matches!(read, Err(CapabilitiesError::Shape(_))), "{shape}: {read:?}");
    }
    assert_eq!(Capabilities::from_canonical_json(&" ".repeat(70_000)), Err(CapabilitiesError::TooLong));
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let text = r#"{"environment":["A=B"],"files":{"privileged":true,"write":["/**"]},
        "http":[{"host":"*","methods":["TRACE"],"port":0}],"process":[{"arguments":["..."],"executable":"id"}],"user":"0"}"#;
    let Err(CapabilitiesError::Faults(faults)) = Capabilities::from_canonical_json(text) else {
        unreachable!("the text is wrong");
    };
    let mut places: Vec<_> = faults.iter().map(|fault| fault.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "environment[0]",
            "files.privileged",
            "files.write[0]",
            "http[0].host",
            "http[0].methods[0]",
            "http[0].port",
            "process[0].executable",
            "user"
        ]
    );
}

#[test]
fn tiers_follow_from_what_can_be_done() {
    let tier = |text: &str| Capabilities::from_canonical_json(text).unwrap().tier();
    assert_eq!(tier(r#"{"clock":true,"facts":true,"files":{"read":["/etc/**"]},"mounts":true}"#), Tier::PluginReadOnly);
    assert_eq!(tier(r#"{"files":{"privileged":true,"read":["/etc/shadow"]}}"#), Tier::PluginPrivilegedRead);
    assert_eq!(tier(r#"{"user":"root"}"#), Tier::PluginPrivilegedRead);
    assert_eq!(tier(r#"{"user":"bob"}"#), Tier::PluginPrivilegedRead);
    assert_eq!(tier(r#"{"files":{"write":["/tmp/x"]},"user":"root"}"#), Tier::PluginWrite);
    let http =
        r#"{"files":{"write":["/tmp/x"]},"http":[{"host":"a.b","methods":["GET"],"port":443,"scheme":"https"}]}"#;
    assert_eq!(tier(http), Tier::PluginNetwork);
}

#[test]
fn the_host_finds_the_rule_that_lets_something_through() {
    let mut capabilities = Capabilities::none();
    capabilities.files_write.push("/var/tmp/x/**".parse().unwrap());
    let path = "/var/tmp/x/y".parse().unwrap();
    assert!(capabilities.allows_read(&path) && capabilities.allows_write(&path));
    assert!(capabilities.has(CapabilityKind::FilesRead));
    let public = HttpRule {
        host: "a.example.com".parse().unwrap(),
        port: 443,
        scheme: Scheme::Https,
        methods: vec![Method::Get],
        private: false,
    };
    capabilities.http = vec![public.clone(), HttpRule { private: true, ..public }];
    let target = HttpTarget { scheme: Scheme::Https, host: "a.example.com", port: 443, method: Method::Get };
    assert!(capabilities.allows_http(&target).unwrap().private);
    assert!(capabilities.allows_process(&"/usr/bin/id".parse().unwrap(), &[]).is_none());
}
