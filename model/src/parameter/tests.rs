//! Parameters: what is declared, what is given.
#![allow(clippy::unwrap_used)]
use super::*;

fn spec(text: &str) -> ParameterSpec {
    serde_json::from_str(text).unwrap()
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn specs() -> Vec<ParameterSpec> {
    vec![
        spec(r#"{"name":"path"}"#),
        spec(r#"{"name":"warn","kind":"integer","default":"80","pattern":"[0-9]{1,2}|100"}"#),
        spec(r#"{"name":"deep","kind":"boolean","default":"false"}"#),
        spec(r#"{"name":"mode","default":"fast","allowed":["fast","full"]}"#),
    ]
}

#[test]
fn defaults_fill_what_is_not_given() {
    let values = resolve(&specs(), &given(&[("path", ""), ("warn", "100")])).unwrap();
    assert_eq!(values, given(&[("path", ""), ("warn", "100"), ("deep", "false"), ("mode", "fast")]));
}

#[test]
fn all_faults_at_once() {
    let faults =
        resolve(&specs(), &given(&[("warn", "101"), ("deep", "yes"), ("mode", "slow"), ("wrn", "1")])).unwrap_err();
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "parameter `wrn` is not declared by the command, which takes `path`, `warn`, `deep`, `mode`",
            "parameter `path` is required: give it a value",
            "parameter `warn` must match `[0-9]{1,2}|100` as a whole",
            "parameter `deep` must be `true` or `false`",
            "parameter `mode` must be one of `fast`, `full`",
        ]
    );
}

#[test]
fn limits_hold_at_their_edges() {
    let text = [spec(r#"{"name":"a"}"#)];
    assert!(resolve(&text, &given(&[("a", &"x".repeat(PARAMETER_VALUE_MAX_BYTES))])).is_ok());
    let faults = resolve(&text, &given(&[("a", &"x".repeat(PARAMETER_VALUE_MAX_BYTES + 1))])).unwrap_err();
    assert_eq!(faults[0].problem, ParameterProblem::TooLong { bytes: PARAMETER_VALUE_MAX_BYTES + 1 });
    let many: BTreeMap<_, _> = (0..21).map(|n| (format!("p{n}"), String::new())).collect();
    let faults = resolve(&[], &many).unwrap_err();
    assert!(faults.iter().any(|fault| fault.problem == ParameterProblem::TooMany { count: 21 }));
    let number = spec(r#"{"name":"n","kind":"integer"}"#);
    for good in ["0", "-1", "2147483647", "-2147483648"] {
        assert!(number.check_value(good).is_ok(), "{good}");
    }
    for bad in ["", "+1", "01", "-0", "1.0", "2147483648", " 1", "0x1"] {
        assert!(number.check_value(bad).is_err(), "{bad}");
    }
}

#[test]
fn declarations_are_checked() {
    assert_eq!(check_specs(&specs()), []);
    let twice = [spec(r#"{"name":"a"}"#), spec(r#"{"name":"a","kind":"integer","default":"x"}"#)];
    let problems: Vec<_> = check_specs(&twice).into_iter().map(|fault| fault.problem).collect();
    assert!(matches!(&problems[..], [ParameterProblem::Twice, ParameterProblem::Declared { .. }]), "{problems:?}");
    let allowed = [spec(r#"{"name":"a","allowed":["x","y"],"default":"z","pattern":"[xz]"}"#)];
    assert_eq!(check_specs(&allowed).len(), 2);
    let many: Vec<_> = (0..21).map(|n| spec(&format!(r#"{{"name":"p{n}"}}"#))).collect();
    assert_eq!(check_specs(&many).len(), 1);
    assert!(serde_json::from_str::<ParameterSpec>(r#"{"name":"a","hidden":true}"#).is_err());
}

#[test]
fn capitals_make_no_difference() {
    let specs = [spec(r#"{"name":"Path"}"#)];
    let values = resolve(&specs, &given(&[("pATH", "/")])).unwrap();
    assert_eq!(values, given(&[("Path", "/")]), "by the name that was declared");
    let faults = resolve(&specs, &given(&[("PATH", "/"), ("path", "/")])).unwrap_err();
    assert_eq!(faults[0].problem, ParameterProblem::GivenTwice);
    let faults = check_specs(&[spec(r#"{"name":"a"}"#), spec(r#"{"name":"A"}"#)]);
    assert_eq!(faults[0].problem, ParameterProblem::Twice);
}

#[test]
fn what_may_be_left_out_is_empty() {
    let optional = [spec(r#"{"name":"a","required":false,"pattern":"[0-9]+"}"#)];
    assert_eq!(check_specs(&optional), []);
    assert_eq!(resolve(&optional, &given(&[])).unwrap(), given(&[("a", "")]));
    assert!(resolve(&optional, &given(&[("a", "")])).is_err(), "a value that is given is judged");
    let number = [spec(r#"{"name":"a","required":false,"kind":"integer"}"#)];
    assert_eq!(check_specs(&number)[0].problem, ParameterProblem::EmptyKind);
    assert_eq!(ParameterSpec::implied("a".parse().unwrap()), spec(r#"{"name":"a","required":false}"#));
}

#[test]
fn a_secret_declares_no_value() {
    for text in
        [r#"{"name":"a","secret":true,"default":"hunter2"}"#, r#"{"name":"a","secret":true,"allowed":["hunter2"]}"#]
    {
        let faults = check_specs(&[spec(text)]);
        assert_eq!(faults[0].problem, ParameterProblem::SecretDeclared);
        assert!(!format!("{faults:?}{}", faults[0]).contains("hunter2"));
    }
}

#[test]
fn secret_values_are_never_shown() {
    let specs = [spec(r#"{"name":"token","secret":true,"pattern":"[a-z0-9]+"}"#), spec(r#"{"name":"user"}"#)];
    let values = Values::resolve(&specs, &given(&[("token", "hunter2"), ("user", "bob")])).unwrap();
    assert_eq!(format!("{values:?}"), r#"{"token": (secret), "user": "bob"}"#);
    assert_eq!(values.text(&"TOKEN".parse().unwrap()), Some("hunter2"));
    let faults = Values::resolve(&specs, &given(&[("token", "Hunter 2"), ("user", "bob")])).unwrap_err();
    assert!(!format!("{faults:?}{}", faults[0]).contains("unter"));
}

#[test]
fn a_zero_byte_is_no_value() {
    let faults = resolve(&[spec(r#"{"name":"a"}"#)], &given(&[("a", "x\0y")])).unwrap_err();
    assert_eq!(faults[0].problem, ParameterProblem::ZeroByte);
}

#[test]
fn two_names_of_one_variable_are_found() {
    let specs = [spec(r#"{"name":"my-name"}"#), spec(r#"{"name":"b"}"#), spec(r#"{"name":"MY_NAME"}"#)];
    let faults = check_variables(&specs);
    assert_eq!(faults.len(), 1);
    assert_eq!(
        faults[0].to_string(),
        "parameter `MY_NAME` would be the same variable `ORDERLY_PARAM_MY_NAME` as `my-name`: rename one of them"
    );
    assert_eq!(check_specs(&specs), [], "as text they differ");
}

#[test]
fn an_order_s_values_are_taken_as_they_are_or_refused() {
    let values = Values::of_order(&given(&[("A", "{{x}}"), ("b-c", "")])).unwrap();
    assert_eq!(values.into_texts(), given(&[("A", "{{x}}"), ("b-c", "")]));
    for bad in [given(&[("a.b", "")]), given(&[("a", ""), ("A", "")]), given(&[("a", "\0")])] {
        assert!(Values::of_order(&bad).is_err(), "{bad:?}");
    }
}
