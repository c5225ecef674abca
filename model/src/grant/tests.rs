//! Grants: every denial told, and never more than was asked, approved and allowed.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::capability::tests::{any_capabilities, paths};
use crate::capability::{HttpTarget, Method, Scheme};
use crate::name::AbsolutePath;

fn capabilities(text: &str) -> Capabilities {
    Capabilities::from_canonical_json(text).unwrap()
}

fn texts(denied: &[Denied]) -> Vec<String> {
    denied.iter().map(ToString::to_string).collect()
}

#[test]
fn all_denials_are_told_at_once() {
    let asked = capabilities(concat!(
        r#"{"clock":true,"environment":["LANG"],"facts":true,"files":{"privileged":true,"read":["/etc/passwd","/etc/shadow"]},"#,
        r#""process":[{"arguments":[],"executable":"/usr/bin/id","user":"root"}],"user":"bob"}"#
    ));
    let approved = capabilities(
        r#"{"facts":true,"files":{"read":["/etc/passwd","/etc/ssh/**"]},"process":[{"arguments":[],"executable":"/usr/bin/id"}]}"#,
    );
    let allowed: LocalPolicy = toml::from_str("users = []\nfiles_read = [\"/etc/shadow\"]\nprocess = []").unwrap();
    let denied = grants(&asked, &approved, &allowed).unwrap_err();
    assert_eq!(
        texts(&denied),
        [
            "`files.read` `/etc/passwd` is not allowed by this instance's policy (`files_read`)",
            "`files.read` `/etc/shadow` is asked for by the manifest but not approved by the security team",
            "`process` `/usr/bin/id as root` is asked for by the manifest but not approved by the security team",
            "`process` `/usr/bin/id as root` is not allowed by this instance's policy (`process`)",
            "`environment` `LANG` is asked for by the manifest but not approved by the security team",
            "`user` `root` is not allowed by this instance's policy (`users`)",
            "`user` `bob` is asked for by the manifest but not approved by the security team",
            "`user` `bob` is not allowed by this instance's policy (`users`)",
            "`clock` is asked for by the manifest but not approved by the security team",
            "`files.privileged` is asked for by the manifest but not approved by the security team",
        ]
    );
}

#[test]
fn approved_rules_do_not_add_up() {
    let rule =
        |methods: &str| format!(r#"{{"host":"a.example.com","methods":[{methods}],"port":443,"scheme":"https"}}"#);
    let asked = capabilities(&format!(r#"{{"http":[{}]}}"#, rule(r#""GET","POST""#)));
    let approved = capabilities(&format!(r#"{{"http":[{},{}]}}"#, rule(r#""GET""#), rule(r#""POST""#)));
    assert_eq!(grants(&asked, &approved, &LocalPolicy::default()).unwrap_err().len(), 1);
    assert!(grants(&approved, &asked, &LocalPolicy::default()).is_ok());
}

#[test]
fn writing_approved_is_not_reading_approved() {
    let asked = capabilities(r#"{"files":{"read":["/var/x"]}}"#);
    let approved = capabilities(r#"{"files":{"write":["/var/x/**"]}}"#);
    assert!(grants(&asked, &approved, &LocalPolicy::default()).is_err());
}

#[test]
fn grants_travel_to_the_child_and_nothing_else_does() {
    let asked = capabilities(r#"{"facts":true,"files":{"read":["/etc/ssh/**"]}}"#);
    let granted = grants(&asked, &asked, &LocalPolicy::default()).unwrap();
    assert_eq!(Grants::from_parent(&granted.to_json()).unwrap(), granted);
    assert_eq!(serde_json::to_string(&granted).unwrap(), granted.to_json());
    assert!(Grants::from_parent(r#"{"files":{"read":["/**"]}}"#).is_err());
    assert!(Grants::from_parent(r#"{"root":true}"#).is_err());
    assert_eq!(Grants::none().tier(), Tier::PluginReadOnly);
    assert_eq!(granted.missing_for(["orderly:plugin/facts@0.1.0", "orderly:plugin/mounts@0.1.0"]).len(), 1);
}

/// Whether whatever `inner` lets through in the tests' small world, `outer` lets through too.
fn within(inner: &Capabilities, outer: &Capabilities) -> bool {
    let names = ["/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/a", "/b/b/b", "/a/a/a/z", "/b/a/z/z"];
    let paths: Vec<AbsolutePath> = names.iter().map(|name| name.parse().unwrap()).collect();
    let read = |set: &Capabilities, path| set.files_read.iter().any(|pattern| pattern.allows(path));
    let files = paths.iter().all(|path| {
        (!read(inner, path) || read(outer, path)) && (!inner.allows_write(path) || outer.allows_write(path))
    });
    let hosts = ["example.com", "a.example.com", "z.a.example.com", "b.example.com"];
    let schemes = [Scheme::Https, Scheme::Http];
    let http = hosts.iter().all(|host| {
        schemes.iter().all(|scheme| {
            Method::ALL.iter().all(|method| {
                let target = HttpTarget { scheme: *scheme, host, port: scheme.port(), method: *method };
                match (inner.allows_http(&target), outer.allows_http(&target)) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(inner), Some(outer)) => outer.private || !inner.private,
                }
            })
        })
    });
    let argument_lists: [&[&str]; 4] = [&[], &["-u"], &["-n"], &["-u", "-n"]];
    let process = ["/usr/bin/id", "/usr/bin/env"].iter().all(|executable| {
        let executable = executable.parse().unwrap();
        argument_lists.iter().all(|list| {
            let fitting = |set: &Capabilities| {
                set.process.iter().filter(|rule| rule.allows(&executable, list)).cloned().collect::<Vec<_>>()
            };
            let outer = fitting(outer);
            fitting(inner).iter().all(|rule| {
                outer.iter().any(|mine| mine.user.covers(&rule.user) && (mine.interpreter || !rule.interpreter))
            })
        })
    });
    let flags = Flag::ALL.iter().all(|flag| !inner.flag(*flag) || outer.flag(*flag));
    let environment = inner.environment.iter().all(|name| outer.environment.contains(name));
    files
        && http
        && process
        && flags
        && environment
        && (!inner.files_privileged || outer.files_privileged)
        && outer.user.covers(&inner.user)
}

proptest! {
    #[test]
    fn what_is_granted_lies_within_asked_and_approved_and_allowed(
        asked in any_capabilities(),
        approved in any_capabilities(),
        extra in any_capabilities(),
        ceiling in proptest::option::of(paths()),
    ) {
        // Often enough approved: what was asked, and something more.
        let mut approved = approved;
        if extra.clock {
            approved = asked.clone();
            approved.files_read.extend(extra.files_read.clone());
            approved.http.extend(extra.http.clone());
            approved.process.extend(extra.process);
        }
        let allowed = LocalPolicy { files_read: ceiling.clone(), ..LocalPolicy::default() };
        match grants(&asked, &approved, &allowed) {
            Ok(granted) => {
                prop_assert_eq!(granted.capabilities(), &asked);
                prop_assert!(within(granted.capabilities(), &approved));
                prop_assert!(granted.tier() <= approved.tier());
                if let Some(ceiling) = &ceiling {
                    let top = Capabilities { files_read: ceiling.clone(), ..asked.clone() };
                    prop_assert!(within(granted.capabilities(), &top));
                }
            }
            Err(denied) => prop_assert!(!denied.is_empty()),
        }
    }

    #[test]
    fn approving_more_never_grants_less(asked in any_capabilities(), approved in any_capabilities(), more in any_capabilities()) {
        let mut wider = approved.clone();
        wider.files_read.extend(more.files_read);
        wider.files_write.extend(more.files_write);
        wider.http.extend(more.http);
        wider.process.extend(more.process);
        wider.environment.extend(more.environment);
        let policy = LocalPolicy::default();
        let narrow = grants(&asked, &approved, &policy);
        let wide = grants(&asked, &wider, &policy);
        prop_assert!(narrow.is_err() || wide.is_ok());
    }

    #[test]
    fn what_was_asked_is_granted_where_just_that_is_approved(asked in any_capabilities()) {
        prop_assert!(grants(&asked, &asked, &LocalPolicy::default()).is_ok());
    }
}
