//! Commands: what a draft may say, and what becomes of one over its versions.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn id(number: u8) -> CommandId {
    CommandId::new(0, [number; 10])
}

fn draft(json: &str) -> CommandDraft {
    serde_json::from_str(json).unwrap()
}

fn script(more: &str) -> CommandDraft {
    let comma = if more.is_empty() { "" } else { "," };
    let content = if more.contains("\"content\"") { "" } else { r#","content":"echo hello""# };
    draft(&format!(r#"{{"name":"greet","type":"shell"{content}{comma}{more}}}"#))
}

fn check(draft: &CommandDraft) -> Result<Command, Vec<CommandFault>> {
    draft.check(&ContentLimits::default(), ContentUse::Stored)
}

fn faults(draft: &CommandDraft) -> Vec<String> {
    check(draft).unwrap_err().iter().map(ToString::to_string).collect()
}

fn spec(draft: &CommandDraft) -> ScriptSpec {
    match &check(draft).unwrap().body {
        CommandBody::Script(script) => (**script).clone(),
        CommandBody::Plugin { .. } => unreachable!("it is a script"),
    }
}

#[test]
fn what_is_left_out_is_safe() {
    let script = spec(&script(""));
    assert_eq!(script.substitution, Substitution::Environment);
    assert_eq!(script.termination, Termination::ProcessTree);
    assert_eq!(script.timeout_s, 60);
    assert!(!script.exit_effects);
    assert_eq!(
        script.action(None, &Values::default(), 24 * 1024),
        ScriptAction { substitution: Substitution::Environment, ..ScriptAction::new(b"echo hello") }
    );
}

#[test]
fn all_faults_of_a_draft_at_once() {
    let wrong = draft(
        r#"{"name":" ","type":"shell","content":"","timeout_s":0,"working_dir":"etc","user":"a b","launcher":"python3",
            "environment":{"1A":"","orderly_x":"","B":"\u0000"},"resources":{},"plugin":{"name":"x"},
            "parameters":[{"name":"a","kind":"integer","default":"x"},{"name":"A"}]}"#,
    );
    let fields: Vec<_> = check(&wrong).unwrap_err().into_iter().map(|fault| fault.field).collect();
    assert_eq!(
        fields,
        [
            "name",
            "timeout_s",
            "plugin",
            "content",
            "resources",
            "working_dir",
            "user",
            "launcher",
            "environment.1A",
            "environment.B",
            "environment.orderly_x",
            "parameters.a",
            "parameters.A",
        ]
    );
    assert_eq!(
        faults(&draft(r#"{"name":"a","type":"Shell","content":"x"}"#)),
        ["`type` is refused: command type `Shell`: write `shell`, `powershell`, `bat` or `plugin`"]
    );
}

#[test]
fn limits_of_a_command_hold_at_their_edges() {
    let long = |field: &str, text: String| {
        draft(&format!(r#"{{"name":"a","type":"shell","content":"x","{field}":"{text}"}}"#))
    };
    assert!(check(&long("description", "é".repeat(512))).is_ok());
    assert_eq!(
        faults(&long("description", "é".repeat(513))),
        ["`description` has 513 characters; at most 512 are allowed"]
    );
    assert!(check(&long("working_dir", format!("/{}", "é".repeat(199)))).is_ok());
    assert_eq!(
        faults(&long("working_dir", format!("/{}", "é".repeat(200)))),
        ["`working_dir` has 201 characters; write 1 to 200"]
    );
    for (seconds, is_good) in [(0, false), (1, true), (86_400, true), (86_401, false)] {
        assert_eq!(check(&script(&format!(r#""timeout_s":{seconds}"#))).is_ok(), is_good, "{seconds}");
    }
    let sized = |bytes: usize, content_use| {
        let draft = script(&format!(r#""content":"{}""#, "x".repeat(bytes)));
        draft.check(&ContentLimits::default(), content_use).is_ok()
    };
    assert!(sized(13_824, ContentUse::Stored) && !sized(13_825, ContentUse::Stored), "18 KiB as Base64");
    assert!(sized(18_432, ContentUse::Unsaved) && !sized(18_433, ContentUse::Unsaved), "24 KiB as Base64");
}

#[test]
fn content_comes_as_text_or_as_base64() {
    let encoded = script(r#""content":"ZWNobyBoZWxsbw==\n","encoding":"BASE64""#);
    assert_eq!(check(&encoded), check(&script("")));
    assert!(faults(&script(r#""content":"é","encoding":"Base64""#))[0].starts_with("`content` cannot be decoded: "));
    assert!(faults(&script(r#""encoding":"gzip""#))[0].starts_with("`encoding` is refused"));
    let wrapped = vec!["A".repeat(64); 288].join("\\r\\n");
    assert!(check(&script(&format!(r#""content":"{wrapped}","encoding":"Base64""#))).is_ok(), "18 KiB in lines");
    let endless = "\\n".repeat(100_000);
    assert_eq!(faults(&script(&format!(r#""content":"{endless}","encoding":"Base64""#))).len(), 1);
}

#[test]
fn the_safe_way_is_the_default_and_refuses_placeholders() {
    let told = faults(&script(r#""content":"echo {{my-name}}","parameters":[{"name":"my-name"}]"#));
    assert!(told[0].contains("line 1, column 6") && told[0].contains("`ORDERLY_PARAM_MY_NAME`"), "{told:?}");
    assert!(check(&script(r#""content":"echo {{my-name}}","substitution":"off""#)).is_ok());
    assert!(check(&script(r#""content":"docker ps --format '{{.Names}}'""#)).is_ok());
    let told = faults(&script(r#""parameters":[{"name":"a-b"},{"name":"A_B"}]"#));
    assert!(told[0].starts_with("`parameters.A_B` would be the same variable"), "{told:?}");
    assert_eq!(
        faults(&script(r#""substitution":"off","parameters":[{"name":"a"}]"#)),
        ["`parameters` reach no script while `substitution` is `off`"]
    );
}

#[test]
fn as_text_the_content_says_what_it_takes() {
    let text = spec(&script(r#""content":"echo {{Name}} {{ACS::InstanceId}} {{name}}","substitution":"text""#));
    assert_eq!(text.parameters, [ParameterSpec::implied("Name".parse().unwrap())]);
    let told = faults(&script(r#""content":"echo {{a}} {{b c}}","substitution":"text""#));
    assert!(told.len() == 1 && told[0].contains("column 12"), "{told:?}");
    let told = faults(&script(r#""content":"echo {{a}}","substitution":"text","parameters":[{"name":"b"}]"#));
    assert!(told[0].contains("is not declared by the command, which takes b"), "{told:?}");
    let told = faults(&script(r#""content":"x","substitution":"text","parameters":[{"name":"b","secret":true}]"#));
    assert!(told[0].contains("is secret, which is never text in a script"), "{told:?}");
    let told = faults(&script(r#""content":"/w==","encoding":"Base64","substitution":"text""#));
    assert!(told[0].contains("is not UTF-8"), "{told:?}");
}

#[test]
fn a_plugin_has_nothing_of_a_script() {
    let plugin = draft(r#"{"name":"audit","type":"plugin","plugin":{"name":"os-audit","version":"1.0.0"}}"#);
    let command = check(&plugin).unwrap();
    assert_eq!(command.kind(), CommandType::Plugin);
    assert_eq!(command.draft(), plugin);
    let full = CommandDraft {
        plugin: Some(PluginDraft { name: "Os".into(), version: Some("1".into()) }),
        environment: BTreeMap::from([("A".into(), String::new())]),
        ..script(
            r#""encoding":"PlainText","working_dir":"/","user":"bob","launcher":"a","container":{},"stdin":"",
               "termination":"process","resources":{"processes":1},"exit_effects":true,"substitution":"off",
               "parameters":[{"name":"a"}]"#,
        )
    };
    let told = check(&CommandDraft { kind: "plugin".into(), ..full }).unwrap_err();
    assert_eq!(told.len(), 15, "{told:?}");
    assert_eq!(faults(&draft(r#"{"name":"a","type":"plugin"}"#)), ["`plugin` is missing: name the plugin"]);
}

#[test]
fn a_container_goes_with_user_and_directory_and_not_with_what_is_the_instances() {
    let inside = format!(r#""container":{{"id":"docker://{}","name":"web"}}"#, "a".repeat(64));
    let action = spec(&script(&inside)).action(Some(id(1)), &Values::default(), 0);
    let container = action.container.clone().unwrap();
    assert_eq!(container.name.as_deref(), Some("web"));
    assert!(container.id.unwrap().starts_with("docker://a"));
    assert_eq!(action.command, Some(id(1).to_string()));
    let told = check(&script(&format!(
        r#"{inside},"user":"bob","working_dir":"/","resources":{{"processes":9}},"exit_effects":true,"termination":"process","launcher":"a {{{{ACS::ScriptFileName}}}}""#
    )));
    let fields: Vec<_> = told.unwrap_err().into_iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["launcher", "resources", "exit_effects", "termination"]);
    assert_eq!(faults(&script(r#""container":{}"#)), ["`container` has neither id nor name"]);
    let bat = CommandDraft { kind: "bat".into(), ..script(&inside) };
    assert_eq!(faults(&bat), ["`container` is for shell scripts"]);
}

#[test]
fn everything_reaches_the_order_but_secrets() {
    let draft = script(
        r#""timeout_s":5,"working_dir":"/srv//app/","user":"bob","launcher":"python3 {{ACS::ScriptFileName}}","stdin":"in",
           "environment":{"A":"1"},"termination":"process","resources":{"cpu_percent":50},"exit_effects":true,
           "parameters":[{"name":"a"},{"name":"token","secret":true}]"#,
    );
    let spec = spec(&draft);
    let given = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("token".to_owned(), "hunter2".to_owned())]);
    let values = Values::resolve(&spec.parameters, &given).unwrap();
    let action = spec.action(Some(id(1)), &values, 100);
    assert_eq!(action.validate(), Ok(()));
    assert_eq!(action.cwd.as_deref(), Some("/srv/app"));
    assert_eq!((action.timeout_s, action.output_bytes, action.exit_effects), (5, 100, true));
    assert_eq!(action.parameters, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
    assert!(!format!("{action:?}{values:?}").contains("hunter2"));
}

#[test]
fn versions_go_up_only_where_something_changes() {
    let limits = ContentLimits::default();
    let first = StoredCommand::create(id(1), &script(""), &limits).unwrap();
    assert_eq!(first.version, 1);
    assert_eq!(first.modify(1, &first.command.draft(), &limits).unwrap(), first, "nothing changed");
    let changed = CommandDraft { timeout_s: Some(61), ..first.command.draft() };
    let second = first.modify(1, &changed, &limits).unwrap();
    assert_eq!((second.id, second.version), (id(1), 2));
    let told = second.modify(1, &changed, &limits).unwrap_err();
    assert_eq!(told[0].to_string(), "`version` is 1, but the command is at version 2: look at that one first");
    let other = CommandDraft { kind: "bat".into(), name: String::new(), ..changed };
    let told = second.modify(2, &other, &limits).unwrap_err();
    assert_eq!(told[0].to_string(), "`type` cannot change from `shell`: create another command");
    assert_eq!(told.len(), 2, "and the name");
    let last = StoredCommand { version: u32::MAX, ..second };
    assert!(last.modify(u32::MAX, &last.command.draft(), &limits).is_err());
}

#[test]
fn a_clone_is_another_command_from_version_1() {
    let limits = ContentLimits::default();
    let first = StoredCommand { version: 7, ..StoredCommand::create(id(1), &script(""), &limits).unwrap() };
    let clone = first.clone_as(id(2), "greet again", &limits).unwrap();
    assert_eq!((clone.id, clone.version, clone.command.name.as_str()), (id(2), 1, "greet again"));
    assert_eq!(clone.command.body, first.command.body);
    assert!(first.clone_as(id(2), "", &limits).is_err());
}

#[test]
fn a_command_that_runs_is_not_deleted() {
    let command = StoredCommand::create(id(1), &script(""), &ContentLimits::default()).unwrap();
    assert_eq!(command.check_delete(0), Ok(()));
    assert_eq!(
        command.check_delete(3).unwrap_err().to_string(),
        format!("command {} is not deleted: 3 of its tasks have not ended; stop their invocations first", id(1))
    );
}

#[test]
fn who_edits_a_template_need_not_edit_what_it_implies() {
    let command = check(&script(r#""content":"echo {{a}}","substitution":"text""#)).unwrap();
    assert_eq!(command.draft().parameters, []);
    let more = CommandDraft { content: Some("echo {{a}} {{b}}".into()), ..command.draft() };
    assert!(check(&more).is_ok());
}

proptest! {
    #[test]
    fn a_command_is_its_draft(
        content in proptest::collection::vec(any::<u8>(), 1..60), text: bool, name in "\\PC{1,9}", timeout in proptest::option::of(0..9u32),
        user in proptest::option::of("[a-z0-9]{1,4}"), directory in proptest::option::of("[a-z/.]{1,9}"),
    ) {
        let (encoding, written) = ContentEncoding::encode(&content);
        let draft = CommandDraft {
            name,
            kind: "shell".into(),
            content: Some(written),
            encoding: Some(encoding.to_string()),
            timeout_s: timeout,
            user,
            working_dir: directory,
            substitution: text.then_some(Substitution::Text),
            ..CommandDraft::default()
        };
        if let Ok(command) = check(&draft) {
            let again = command.draft();
            prop_assert_eq!(&check(&again).unwrap(), &command);
            prop_assert_eq!(&check(&again).unwrap().draft(), &again);
            let json = serde_json::to_string(&again).unwrap();
            prop_assert_eq!(serde_json::from_str::<CommandDraft>(&json).unwrap(), again);
        }
    }

    #[test]
    fn no_byte_of_a_value_becomes_text_in_the_safe_way(content in "[a-z{}$ \n]{1,60}", value in "[^\0]{0,40}", other in "[^\0]{0,40}") {
        let parameters = vec![ParameterSpec::implied("a".parse().unwrap())];
        let draft = CommandDraft { content: Some(content.clone()), parameters, ..script("") };
        if let Ok(command) = check(&draft) {
            let CommandBody::Script(spec) = &command.body else { unreachable!("it is a script") };
            let action = |value: &str| {
                let values = Values::resolve(&spec.parameters, &BTreeMap::from([("a".to_owned(), value.to_owned())]));
                ScriptAction { parameters: BTreeMap::new(), ..spec.action(None, &values.unwrap(), 0) }
            };
            // The script's bytes are the content's, and all else is the same whatever the value is.
            prop_assert_eq!(action(&value).content, crate::Digest::of(content.as_bytes()));
            prop_assert_eq!(action(&value), action(&other));
        }
    }
}
