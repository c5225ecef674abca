//! No text makes a reader panic.

use proptest::prelude::*;

use super::{accounts, glob, sockets, sshd, sudoers};

/// Text that looks like the formats more often than random characters do.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "([a-zA-Z0-9:=\"'#!%@,.*/ \t\\\\+-]{0,40}\n){0,12}",
        "((Match|Include|PermitRootLogin|Defaults|User_Alias|root|ALL)[ =\t\"][^\n]{0,20}\n){0,8}",
        "( *[0-9]+: [0-9A-F]{6,34}:[0-9A-F]{2,6} [0-9A-F:]{0,40} 0A [0-9 :]{0,40}\n){0,6}",
    ]
}

proptest! {
    #[test]
    fn every_reader_takes_any_text(text in text()) {
        let _ = accounts::passwd(&text);
        let _ = accounts::shadow(&text);
        let _ = accounts::groups(&text);
        let _ = accounts::login_defs(&text);
        let _ = sshd::lines("f", &text);
        let _ = sudoers::lines("f", &text);
        for protocol in ["tcp", "tcp6", "udp", "udp6"] {
            let _ = sockets::listening(protocol, &text);
        }
    }

    #[test]
    fn a_glob_without_wildcards_matches_itself_only(name in "[a-z.]{0,12}", other in "[a-z.]{0,12}") {
        prop_assert!(glob::matches(&name, &name));
        prop_assert_eq!(glob::matches(&name, &other), name == other);
        prop_assert!(glob::matches("*", &other));
    }

    #[test]
    fn a_glob_ends_for_any_pattern(pattern in "[*?a-b]{0,40}", name in "[a-b]{0,60}") {
        let _ = glob::matches(&pattern, &name);
    }
}
