//! Placeholders: what is one, what is put in its place, and what never is.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::id::{CommandId, InvocationId};
use crate::parameter::check_specs;
use crate::selector::parse_tag;

const LARGE: usize = 1024 * 1024;

fn built_ins() -> BuiltIns {
    BuiltIns {
        region_id: Some("eu-1".into()),
        account_id: None,
        instance_id: format!("i-{}", "a".repeat(26)).parse().unwrap(),
        instance_name: Some("web-1".into()),
        invocation_id: InvocationId::new(0, [0; 10]),
        command_id: Some(CommandId::new(0, [0; 10])),
        tags: ["team=ops", "motd=a b; reboot"].iter().map(|text| parse_tag(text).unwrap()).collect(),
    }
}

fn values(pairs: &[(&str, &str)]) -> Values {
    let specs: Vec<_> = pairs.iter().map(|(name, _)| ParameterSpec::implied(name.parse().unwrap())).collect();
    let given = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Values::resolve(&specs, &given).unwrap()
}

fn render(text: &str, pairs: &[(&str, &str)]) -> String {
    Template::parse(text).unwrap().render(&values(pairs), &built_ins(), LARGE).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    Template::parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn blanks_and_line_breaks_in_the_braces_mean_nothing_and_neither_do_capitals() {
    assert_eq!(render("echo {{name}} {{ \t\r\nNAME\n}}.", &[("Name", "x")]), "echo x x.");
    assert_eq!(render("{{ ACS :: InstanceName }}/{{ACS::Tag::team}}", &[]), "web-1/ops");
    assert_eq!(
        render("{{ACS::InvokeId}} {{ACS::CommandId}} {{ACS::RegionId}}", &[]),
        format!("t-{0} c-{0} eu-1", "0".repeat(26))
    );
}

#[test]
fn single_braces_and_open_ends_are_text() {
    for text in ["", "{", "}}", "{{", "a {{ b", "${x} }} {", "{ {a} }", "é}}}}{{"] {
        assert_eq!(render(text, &[]), text);
    }
    assert_eq!(render("{{{a}}}", &[("a", "1")]), "{1}");
    assert_eq!(render("{{ {{a}} }}", &[("a", "1")]), "{{ 1 }}");
    assert_eq!(render("{{a}}{{a}}}}", &[("a", "1")]), "11}}");
}

#[test]
fn a_value_is_not_substituted_again() {
    assert_eq!(render("{{a}}{{b}}", &[("a", "{{b}}"), ("b", "{{ACS::InstanceId}}")]), "{{b}}{{ACS::InstanceId}}");
    assert_eq!(render("{{{{a}}}}", &[("a", "a")]), "{{a}}");
}

#[test]
fn all_faults_are_told_with_line_and_column() {
    assert_eq!(
        faults("{{}}\né {{a b}} {{ACS::Nothing}}\n{{ACS::ScriptFileName}} {{ACS::Tag::=}} {{ok}}"),
        [
            "line 1, column 1: `{{}}` names no parameter",
            "line 2, column 3: `{{a b}}` is no name of a parameter: write 1-64 of A-Z, a-z, 0-9, `-` and `_`; a script with double braces of its own gets its values as environment variables",
            "line 2, column 11: `{{ACS::Nothing}}` is no built-in: there are ACS::RegionId, AccountId, InstanceId, InstanceName, InvokeId, CommandId and ACS::Tag::KEY",
            "line 3, column 1: `{{ACS::ScriptFileName}}` is known to launchers only",
            "line 3, column 25: `{{ACS::Tag::=}}` names no tag: write 1-128 characters without `=`, `,`, invisible characters and blanks at the ends",
        ]
    );
    assert_eq!(faults("{{acs::InstanceId}}").len(), 1, "the built-ins' capitals are Cloud Assistant's");
    assert_eq!(faults(&"{{}}".repeat(1000)).len(), FAULTS_MAX);
}

#[test]
fn twenty_names_and_not_one_more() {
    let text = |count: usize| (0..count).map(|n| format!("{{{{p{n}}}}}{{{{P{n}}}}}")).collect::<String>();
    let template = Template::parse(&text(20)).unwrap();
    assert_eq!(template.parameters().len(), 20);
    assert_eq!(check_specs(&template.implied()), []);
    let told = Template::parse(&text(22)).unwrap_err();
    assert_eq!(told.iter().map(|fault| fault.placeholder.as_str()).collect::<Vec<_>>(), ["p20"]);
    let told = Template::parse(&"{{a}}".repeat(PLACEHOLDERS_MAX + 1)).unwrap_err();
    assert_eq!(told.iter().map(|fault| &fault.problem).collect::<Vec<_>>(), [&TemplateProblem::TooManyPlaceholders]);
    assert!(faults(&format!("{{{{{}}}}}", "x".repeat(65)))[0].contains("is no name"));
}

#[test]
fn undeclared_and_missing_ones_are_all_told() {
    let template = Template::parse("{{a}} {{b}}\n{{c}} {{ACS::AccountId}} {{ACS::Tag::none}}").unwrap();
    let specs = [ParameterSpec::implied("A".parse().unwrap())];
    let told: Vec<_> = template.check(&specs).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1, column 7: `{{b}}` is not declared by the command, which takes A",
            "line 2, column 1: `{{c}}` is not declared by the command, which takes A",
        ]
    );
    let told = template.render(&values(&[("a", "1")]), &built_ins(), LARGE).unwrap_err();
    let names: Vec<_> = told.iter().map(|fault| fault.placeholder.as_str()).collect();
    assert_eq!(names, ["b", "c", "ACS::AccountId", "ACS::Tag::none"]);
    assert!(told.iter().all(|fault| fault.problem == TemplateProblem::Missing));
}

#[test]
fn injection_through_instance_name_or_tag() {
    let mut evil = built_ins();
    let nothing = Values::default();
    for name in ["$(reboot)", "a b", "", "`x`", "a\nb", &"x".repeat(129), "数据库"] {
        evil.instance_name = Some(name.to_owned());
        let told = Template::parse("echo {{ACS::InstanceName}}").unwrap().render(&nothing, &evil, LARGE).unwrap_err();
        let variable = "ORDERLY_INSTANCE_NAME".to_owned();
        assert_eq!(told[0].problem, TemplateProblem::Unsafe { variable }, "{name:?}");
        assert!(name.is_empty() || !told[0].to_string().contains(name));
    }
    assert!(Template::parse("{{ACS::Tag::motd}}").unwrap().render(&nothing, &evil, LARGE).is_err());
    let variables = variables(&nothing, &evil).unwrap();
    assert_eq!(variables.get("ORDERLY_TAG_MOTD").map(String::as_str), Some("a b; reboot"), "a variable is no text");
}

#[test]
fn an_instance_named_like_an_option_or_a_way_out_of_a_directory_is_not_pasted() {
    let mut told = built_ins();
    let mut render = |name: &str| {
        told.instance_name = Some(name.to_owned());
        Template::parse("rm {{ACS::InstanceName}}").unwrap().render(&Values::default(), &told, LARGE)
    };
    for name in ["-rf", "--help", "..", "a..b", "web-1:..", ".", ".ssh", "_x", ":x"] {
        assert!(render(name).is_err(), "{name}");
    }
    for name in ["web-1", "10.0.0.1", "eu:1.", "a"] {
        assert_eq!(render(name), Ok(format!("rm {name}")));
    }
}

#[test]
fn a_secret_is_never_text() {
    let specs: Vec<ParameterSpec> = serde_json::from_str(r#"[{"name":"token","secret":true}]"#).unwrap();
    let template = Template::parse("curl -u {{token}}").unwrap();
    assert_eq!(template.check(&specs).unwrap_err()[0].problem, TemplateProblem::Secret);
    let given = BTreeMap::from([("token".to_owned(), "hunter2".to_owned())]);
    let values = Values::resolve(&specs, &given).unwrap();
    let told = template.render(&values, &built_ins(), LARGE).unwrap_err();
    assert_eq!(told[0].problem, TemplateProblem::Secret);
    assert!(!format!("{told:?}").contains("hunter2"));
    assert_eq!(variables(&values, &built_ins()).unwrap().get("ORDERLY_PARAM_TOKEN").unwrap(), "hunter2");
}

#[test]
fn the_limit_holds_after_substitution_and_before_memory_is_used() {
    let template = Template::parse("{{a}}{{a}}").unwrap();
    let render = |most| template.render(&values(&[("a", "123")]), &built_ins(), most);
    assert!(render(8).is_ok(), "6 bytes are 8 as Base64");
    assert_eq!(
        render(7).unwrap_err()[0].to_string(),
        "the script has 8 bytes as Base64 once its values are in their places; at most 7 are allowed"
    );
    // 10,000 placeholders of 64 KiB each would be 655 MB.
    let template = Template::parse(&"{{a}}".repeat(PLACEHOLDERS_MAX)).unwrap();
    assert!(template.render(&values(&[("a", &"x".repeat(64 * 1024))]), &built_ins(), LARGE).is_err());
}

#[test]
fn the_safe_way_refuses_placeholders_and_leaves_other_braces_alone() {
    assert_eq!(refuse_placeholders(b"docker ps --format '{{.Names}} {{ a b }} {{}}'"), Ok(()));
    assert_eq!(refuse_placeholders(b"\xff\xfe {{ |"), Ok(()));
    let told = refuse_placeholders(b"\xff{{my-name}} {{ ACS::Tag::team }} {{ACS::ScriptFileName}}").unwrap_err();
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1, column 2: `{{my-name}}` stays as it is, as values are environment variables: use `ORDERLY_PARAM_MY_NAME`, or run the script without parameters where it is the script's own",
            "line 1, column 14: `{{ACS::Tag::team}}` stays as it is, as values are environment variables: use `ORDERLY_TAG_TEAM`, or run the script without parameters where it is the script's own",
            "line 1, column 35: `{{ACS::ScriptFileName}}` is known to launchers only",
        ]
    );
}

#[test]
fn every_built_in_that_is_known_has_a_variable() {
    let variables = variables(&values(&[("my-name", "$(reboot)")]), &built_ins()).unwrap();
    let names: Vec<_> = variables.keys().map(EnvName::as_str).collect();
    assert_eq!(
        names,
        [
            "ORDERLY_COMMAND_ID",
            "ORDERLY_INSTANCE_ID",
            "ORDERLY_INSTANCE_NAME",
            "ORDERLY_INVOCATION_ID",
            "ORDERLY_PARAM_MY_NAME",
            "ORDERLY_REGION_ID",
            "ORDERLY_TAG_MOTD",
            "ORDERLY_TAG_TEAM",
        ]
    );
}

#[test]
fn one_tag_is_never_seen_as_another() {
    let mut built_ins = built_ins();
    built_ins.tags = ["a-b=1", "a.b=2", "k8s.io/role=3", "schlüssel=4"].map(|text| parse_tag(text).unwrap()).into();
    let variables = variables(&Values::default(), &built_ins).unwrap();
    let tags: Vec<_> = variables.keys().map(EnvName::as_str).filter(|name| name.starts_with("ORDERLY_TAG")).collect();
    assert_eq!(tags, ["ORDERLY_TAG_K8S_IO_ROLE"]);
    assert_eq!(
        Template::parse("{{ACS::Tag::schlüssel}}").unwrap().render(&Values::default(), &built_ins, 9),
        Ok("4".into())
    );
}

#[test]
fn two_parameters_of_one_variable_are_refused() {
    let told = variables(&values(&[("a-b", "1"), ("a_b", "2")]), &built_ins()).unwrap_err();
    assert_eq!(told[0].problem, TemplateProblem::SameVariable { variable: "ORDERLY_PARAM_A_B".into() });
}

/// Cloud Assistant's rule in other words: one pass from left to right, a placeholder wherever one begins.
fn naive(text: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let value = rest.strip_prefix("{{").and_then(|after| {
            let (inner, after) = after.split_once("}}")?;
            let (_, value) = pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(inner.trim()))?;
            Some((value, after))
        });
        match value {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn text_is_pasted_as_cloud_assistant_does(text in "(\\{\\{ ?[aB] ?\\}\\}|[{}aé \n]){0,20}", a in "[{}aB\n$]{0,6}", b in "\\PC{0,6}") {
        if let Ok(template) = Template::parse(&text) {
            let pairs = [("a", a.as_str()), ("b", b.as_str())];
            prop_assert_eq!(template.render(&values(&pairs), &built_ins(), LARGE).unwrap(), naive(&text, &pairs));
        }
    }

    #[test]
    fn parsing_is_total_and_loses_nothing(text in "([{}]{1,3}|ACS::|Tag::|ScriptFileName|Ext|[a-z:|\"().é\n ]){0,30}") {
        let parts: String = scan(&text).map(|token| match token {
            Token::Text(text) => text.to_owned(),
            Token::Braces(inner, at) => {
                let lines: Vec<_> = text.split('\n').collect();
                let line: String = lines[at.line - 1].chars().skip(at.column - 1).take(2).collect();
                assert_eq!(line, "{{");
                format!("{{{{{inner}}}}}")
            }
        }).collect();
        prop_assert_eq!(&parts, &text);
        let _ = Template::parse(&text);
        let _ = refuse_placeholders(text.as_bytes());
    }

    #[test]
    fn in_the_safe_way_a_value_is_in_one_variable_and_nowhere_else(value in "[%&'()*;<>?@|~$`\"\u{80}-\u{2000}]{1,40}", name in "[a-z_-]{1,10}") {
        // In marks, so that no other variable holds it by chance.
        let value = format!("<{value}>");
        let variables = variables(&values(&[(&name, &value)]), &built_ins()).unwrap();
        let held: Vec<_> = variables.iter().filter(|(_, held)| held.contains(&value)).map(|(name, _)| name.as_str()).collect();
        let variable = name.parse::<ParameterName>().unwrap().variable();
        prop_assert_eq!(held, [variable.as_str()]);
        prop_assert_eq!(variables.get(&variable), Some(&value));
    }
}
