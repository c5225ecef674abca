//! 5.4, SendFile and 8: how and where something is run, files, limits.

use std::collections::BTreeMap;

use orderly_model::command::{CommandDraft, ContainerDraft};
use orderly_model::effect::Effect;
use orderly_model::file::{FileDraft, FileMode};
use orderly_model::instance::Platform;
use orderly_model::parameter::{ParameterSpec, Values};
use orderly_model::task::{FinalStatus, ResultCode};
use orderly_model::{Digest, limits};

use crate::{refused, script, spec, stored};

// 5.4 Execution environment

#[test]
fn row_5_4_working_dir() {
    let at = |length: usize| CommandDraft { working_dir: Some("/".repeat(length)), ..script("x") };
    assert!(stored(&at(200)).is_ok());
    refused(&at(201), "working_dir");
    refused(&CommandDraft { working_dir: Some("srv".into()), ..script("x") }, "working_dir");
    assert_eq!(ResultCode::DirectoryNotExists.usual_status(), FinalStatus::Invalid);
    assert!(ResultCode::DirectoryNotExists.sentence("/srv/none").contains("`/srv/none`"));
}

#[test]
fn row_5_4_username_of_at_most_64_bytes_where_cloud_assistant_has_255() {
    let user = |name: String| CommandDraft { user: Some(name), ..script("x") };
    assert!(stored(&user("x".repeat(64))).is_ok());
    refused(&user("x".repeat(65)), "user");
    refused(&user("bob; reboot".into()), "user");
    assert!(ResultCode::AccountNotExists.sentence("bob").contains("`bob`"));
}

#[test]
fn row_5_4_timeout_is_60_where_absent() {
    assert_eq!(spec(&script("x")).timeout_s, 60);
    let at = |seconds| CommandDraft { timeout_s: Some(seconds), ..script("x") };
    assert!(stored(&at(10)).is_ok());
    refused(&at(24 * 60 * 60 + 1), "timeout_s");
}

#[test]
fn row_5_4_container_id() {
    let draft = |prefix: &str, digits: usize| CommandDraft {
        container: Some(ContainerDraft { id: Some(format!("{prefix}{}", "0f".repeat(digits / 2))), name: None }),
        ..script("x")
    };
    for prefix in ["", "docker://", "containerd://", "cri-o://"] {
        assert!(stored(&draft(prefix, 64)).is_ok());
        refused(&draft(prefix, 62), "container.id");
    }
    refused(&CommandDraft { kind: "powershell".into(), ..draft("", 64) }, "container");
}

#[test]
fn row_5_4_container_name() {
    let draft = |name: &str| CommandDraft {
        container: Some(ContainerDraft { id: None, name: Some(name.into()) }),
        ..script("x")
    };
    assert!(stored(&draft("web-1")).is_ok());
    refused(&draft("web 1"), "container.name");
}

#[test]
fn row_5_4_user_and_directory_hold_in_a_container_where_cloud_assistant_ignores_them() {
    let container = Some(ContainerDraft { id: None, name: Some("web".into()) });
    let (user, working_dir) = (Some("bob".into()), Some("/srv".into()));
    let spec = spec(&CommandDraft { container, user, working_dir, ..script("x") });
    let action = spec.action(None, &Values::default(), 0);
    assert_eq!((action.user.as_deref(), action.cwd.as_deref()), (Some("bob"), Some("/srv")));
    assert!(action.container.is_some());
}

#[test]
fn row_5_4_exit_codes_where_the_command_opts_in() {
    assert_eq!(Effect::of(Platform::Linux, 193), Some(Effect::PowerOff));
    assert_eq!(Effect::of(Platform::Linux, 194), Some(Effect::Restart));
    assert_eq!(Effect::of(Platform::Windows, 3009), Some(Effect::PowerOff));
    assert_eq!(Effect::of(Platform::Windows, 3010), Some(Effect::Restart));
    assert_eq!(Effect::of(Platform::Windows, 194), None);
    assert!(!spec(&script("x")).exit_effects);
}

// 6 SendFile

#[test]
fn row_6_send_file() {
    let draft = FileDraft { directory: "/srv".into(), name: "x".repeat(255), ..FileDraft::default() };
    let action = draft.check(Digest::ZERO, 0).unwrap();
    assert_eq!((action.mode, action.overwrite, action.timeout_s), (0o644, false, 60));
    let long = FileDraft { name: "x".repeat(256), ..draft };
    assert!(long.check(Digest::ZERO, 0).is_err());
    assert_eq!("4755".parse::<FileMode>().unwrap().bits(), 0o4755, "special bits are not lost");
}

// 8 Limits

#[test]
fn row_8_name_description_working_dir() {
    let named = |length| CommandDraft { name: "é".repeat(length), ..script("x") };
    assert!(stored(&named(128)).is_ok());
    refused(&named(129), "name");
    let described = |length| CommandDraft { description: "é".repeat(length), ..script("x") };
    assert!(stored(&described(512)).is_ok());
    refused(&described(513), "description");
}

#[test]
fn row_8_parameters_are_20_defined_and_as_many_passed() {
    let specs = |count: u32| -> Vec<_> {
        (0..count).map(|n| ParameterSpec::implied(format!("p{n}").parse().unwrap())).collect()
    };
    let all: BTreeMap<_, _> = (0..20).map(|n| (format!("p{n}"), String::new())).collect();
    assert!(Values::resolve(&specs(20), &all).is_ok());
    let draft = |count| CommandDraft { parameters: specs(count), ..script("x") };
    assert!(stored(&draft(20)).is_ok());
    assert!(refused(&draft(21), "parameters.p20").contains("at most 20"));
}

#[test]
fn row_8_output_delivery_and_tags() {
    assert_eq!(limits::OUTPUT_KEPT_DEFAULT_BYTES, 24 * 1024);
    assert_eq!(limits::DELIVERY_DEADLINE_DEFAULT_S, 60);
    assert_eq!(limits::TAGS_MAX, 20);
}
