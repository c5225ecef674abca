//! 5.1 to 5.3: identifiers, types and encodings, content and parameters.

use std::collections::BTreeMap;

use orderly_model::InstanceId;
use orderly_model::command::{CommandDraft, CommandType, ContentEncoding, ContentLimits, ContentUse};
use orderly_model::id::{CommandId, InvocationId};
use orderly_model::parameter::{ParameterSpec, Values};
use orderly_model::template::{BuiltIns, Launcher, Substitution, Template, base64_bytes, variables};
use orderly_signing::order::{ScriptKind, Termination};

use crate::{given, refused, script, spec, stored};

fn instance() -> InstanceId {
    format!("i-{}", "a".repeat(26)).parse().unwrap()
}

fn built_ins() -> BuiltIns {
    BuiltIns {
        region_id: Some("cn-hangzhou".into()),
        account_id: Some("1234567890".into()),
        instance_id: instance(),
        instance_name: Some("web-1".into()),
        invocation_id: InvocationId::new(0, [0; 10]),
        command_id: Some(CommandId::new(0, [0; 10])),
        tags: BTreeMap::new(),
    }
}

fn render(content: &str, pairs: &[(&str, &str)]) -> String {
    let spec = spec(&script(content));
    let values = Values::resolve(&spec.parameters, &given(pairs)).unwrap();
    Template::parse(content).unwrap().render(&values, &built_ins(), 24 * 1024).unwrap()
}

// 5.1 Identifiers

#[test]
fn row_5_1_identifiers_have_their_prefixes() {
    assert!(CommandId::new(0, [0; 10]).as_str().starts_with("c-"));
    assert!(InvocationId::new(0, [0; 10]).as_str().starts_with("t-"));
}

// 5.2 Type, ContentEncoding, TerminationMode

#[test]
fn row_5_2_type() {
    for (word, kind) in [
        ("RunShellScript", ScriptKind::Shell),
        ("RunBatScript", ScriptKind::Bat),
        ("RunPowerShellScript", ScriptKind::PowerShell),
    ] {
        assert_eq!(CommandType::from_cloud_assistant(word).and_then(CommandType::script_kind), Some(kind));
    }
    assert_eq!(CommandType::from_cloud_assistant("Shell"), None);
    assert_eq!(CommandType::from_cloud_assistant("runshellscript"), None);
}

#[test]
fn row_5_2_content_encoding_in_any_case() {
    for text in ["PlainText", "plaintext", "PLAINTEXT"] {
        assert_eq!(text.parse(), Ok(ContentEncoding::PlainText));
    }
    assert_eq!("base64".parse(), Ok(ContentEncoding::Base64));
}

#[test]
fn row_5_2_content_encoding_that_is_none_is_refused_and_not_silently_the_default() {
    let draft = CommandDraft { encoding: Some("gzip".into()), ..script("x") };
    refused(&draft, "encoding");
}

#[test]
fn row_5_2_base64_that_cannot_be_decoded() {
    let draft = CommandDraft { encoding: Some("Base64".into()), ..script("x") };
    assert!(refused(&draft, "content").contains("cannot be decoded"));
}

#[test]
fn row_5_2_termination_mode_is_the_whole_tree_where_absent() {
    assert_eq!(spec(&script("x")).termination, Termination::ProcessTree);
    let process = CommandDraft { termination: Some(Termination::Process), ..script("x") };
    assert_eq!(spec(&process).termination, Termination::Process);
    assert!(serde_json::from_str::<Termination>("\"All\"").is_err());
}

// 5.3 Content and custom parameters

#[test]
fn row_5_3_sizes_are_of_the_base64_form() {
    let limits = ContentLimits::default();
    let kib = |content_use| limits.of(content_use) / 1024;
    assert_eq!([ContentUse::Stored, ContentUse::Unsaved, ContentUse::Upload].map(kib), [18, 24, 32]);
    let draft = script(&"x".repeat(18 * 1024 / 4 * 3 + 1));
    refused(&draft, "content");
    assert!(draft.check(&limits, ContentUse::Unsaved).is_ok());
}

#[test]
fn row_5_3_after_substitution_the_same_limit_holds() {
    let values =
        Values::resolve(&[ParameterSpec::implied("a".parse().unwrap())], &given(&[("a", &"x".repeat(20_000))]));
    let template = Template::parse("{{a}}").unwrap();
    assert!(template.render(&values.unwrap(), &built_ins(), ContentLimits::default().of(ContentUse::Unsaved)).is_err());
    assert!(base64_bytes(20_000) > 24 * 1024);
}

#[test]
fn row_5_3_blanks_and_line_breaks_inside_the_braces_are_ignored() {
    assert_eq!(render("echo {{ \n\tname }}", &[("name", "x")]), "echo x");
}

#[test]
fn row_5_3_names_are_of_these_characters() {
    assert_eq!(render("{{aZ0-9_}}", &[("aZ0-9_", "x")]), "x");
    for bad in ["{{a.b}}", "{{a b}}", "{{é}}", "{{}}"] {
        refused(&script(bad), "content");
    }
}

#[test]
fn row_5_3_names_are_case_insensitive() {
    assert_eq!(render("{{Name}}{{NAME}}", &[("name", "x")]), "xx");
}

#[test]
fn row_5_3_names_have_at_most_64_bytes() {
    let name = |length| format!("{{{{{}}}}}", "x".repeat(length));
    assert!(stored(&script(&name(64))).is_ok());
    refused(&script(&name(65)), "content");
}

#[test]
fn row_5_3_a_command_has_at_most_20_names() {
    let names = |count: u32| (0..count).map(|n| format!("{{{{p{n}}}}}")).collect::<String>();
    assert!(stored(&script(&names(20))).is_ok());
    refused(&script(&names(21)), "content");
}

#[test]
fn row_5_3_acs_is_reserved_for_built_ins() {
    refused(&script("{{ACS::Mine}}"), "content");
    refused(&script("{{acs::InstanceId}}"), "content");
}

#[test]
fn row_5_3_a_value_may_be_empty_and_one_left_out_is() {
    assert_eq!(render("[{{a}}{{b}}]", &[("a", "")]), "[]");
}

#[test]
fn row_5_3_a_required_one_left_out_is_refused() {
    let specs: Vec<ParameterSpec> = serde_json::from_str(r#"[{"name":"a","required":true}]"#).unwrap();
    assert!(Values::resolve(&specs, &given(&[])).is_err());
}

#[test]
fn row_5_3_keys_must_be_defined() {
    let spec = spec(&script("{{a}}"));
    assert!(Values::resolve(&spec.parameters, &given(&[("b", "x")])).is_err());
    assert!(Values::resolve(&spec.parameters, &given(&[("A", "x"), ("a", "y")])).is_err(), "ParameterKey.Duplicate");
}

#[test]
fn row_5_3_parameters_while_they_are_off_are_refused() {
    let parameters = serde_json::from_str(r#"[{"name":"a"}]"#).unwrap();
    let draft = CommandDraft { substitution: Some(Substitution::Off), parameters, ..script("{{a}}") };
    refused(&draft, "parameters");
}

#[test]
fn row_5_3_values_are_pasted_as_text() {
    assert_eq!(render("echo {{a}}", &[("a", "$(id); '\"")]), "echo $(id); '\"");
}

#[test]
fn row_5_3_new_commands_take_the_safe_way_which_cloud_assistant_does_not_have() {
    let draft = CommandDraft { substitution: None, ..script("echo \"$ORDERLY_PARAM_A\"") };
    assert_eq!(spec(&draft).substitution, Substitution::Environment);
    let parameters = [ParameterSpec::implied("a".parse().unwrap())];
    let values = Values::resolve(&parameters, &given(&[("a", "$(id)")])).unwrap();
    assert_eq!(variables(&values, &built_ins()).unwrap().get("ORDERLY_PARAM_A").unwrap(), "$(id)");
}

macro_rules! built_in_rows {
    ($($row:ident $name:literal $value:expr;)*) => { $(
        #[test]
        fn $row() {
            assert_eq!(render(concat!("{{ ACS::", $name, " }}"), &[]), $value.to_string());
        }
    )* };
}

built_in_rows! {
    row_5_3_built_in_region_id "RegionId" "cn-hangzhou";
    row_5_3_built_in_account_id "AccountId" "1234567890";
    row_5_3_built_in_instance_id "InstanceId" instance();
    row_5_3_built_in_instance_name "InstanceName" "web-1";
    row_5_3_built_in_invoke_id "InvokeId" InvocationId::new(0, [0; 10]);
    row_5_3_built_in_command_id "CommandId" CommandId::new(0, [0; 10]);
}

#[test]
fn row_5_3_launcher() {
    let launcher: Launcher = r#"python3 -u {{ACS::ScriptFileName|Ext(".py")}}"#.parse().unwrap();
    assert_eq!(launcher.arguments("/run/s.py"), ["python3", "-u", "/run/s.py"]);
    assert_eq!(launcher.extension(), Some(".py"));
    let of = |length: usize| format!("a {{{{ACS::ScriptFileName}}}} {}", "x".repeat(length - 26));
    assert!(of(1024).parse::<Launcher>().is_ok());
    assert!(of(1025).parse::<Launcher>().is_err());
}
