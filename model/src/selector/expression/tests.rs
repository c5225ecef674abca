//! Selectors: what they mean, what they are not, and that they survive being shown.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::selector::parse_tag;

fn tags(texts: &[&str]) -> Tags {
    texts.iter().map(|text| parse_tag(text).unwrap()).collect()
}

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

fn matches(text: &str, texts: &[&str]) -> bool {
    selector(text).matches(&tags(texts))
}

#[test]
fn and_or_not_and_in() {
    let text = "env=prod and (role in (web,api) or not zone=cn)";
    assert!(matches(text, &["env=prod", "role=web", "zone=cn"]));
    assert!(matches(text, &["env=prod", "role=db", "zone=eu"]));
    assert!(matches(text, &["env=prod"]), "no zone is not `cn`");
    assert!(!matches(text, &["env=prod", "role=db", "zone=cn"]));
    assert!(!matches(text, &["env=test", "role=web"]));
    assert!(matches("zone!=cn", &[]) && matches("zone!=cn", &["zone=eu"]) && !matches("zone!=cn", &["zone=cn"]));
    assert!(!matches("zone in (cn)", &[]) && !matches("zone=cn", &[]));
}

#[test]
fn and_binds_more_than_or_and_not_more_than_and() {
    assert!(matches("a=1 or b=1 and c=1", &["a=1"]));
    assert!(!matches("(a=1 or b=1) and c=1", &["a=1"]));
    assert!(matches("not a=1 and b=1", &["b=1"]));
    assert!(matches("not (a=1 and b=1)", &["b=1"]));
    assert!(!matches("not not a=1", &[]));
}

#[test]
fn words_in_quotes_are_any_words() {
    assert!(matches(r#""team name" = "a \"b\" \\ c""#, &[r#"team name=a "b" \ c"#]));
    assert!(matches(r#""in"="not" and x="""#, &["in=not", "x="]));
    assert_eq!(selector(r#"  "env"="prod"  "#).to_string(), "env=prod");
    assert_eq!(selector("((env=prod))and(not(a=b or c=d))").to_string(), "env=prod and not (a=b or c=d)");
    assert_eq!(selector(r#"a in ( "x y" ,z)"#).to_string(), r#"a in ("x y",z)"#);
}

#[test]
fn says_where_it_goes_wrong() {
    let told = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
    assert_eq!(told(""), "selector ``: column 1: expected a tag's key, `not` or `(`, found the end");
    assert_eq!(told("env"), "selector `env`: column 4: expected `=`, `!=` or `in`, found the end");
    assert_eq!(
        told("é=1 role=web"),
        "selector `é=1 role=web`: column 5: expected `and`, `or` or the end, found `role`"
    );
    assert_eq!(told("a in (x y)"), "selector `a in (x y)`: column 9: expected `,` or `)`, found `y`");
    assert_eq!(told("(a=1"), "selector `(a=1`: column 5: expected `and`, `or` or `)`, found the end");
    assert_eq!(told("a=1)"), "selector `a=1)`: column 4: expected `and`, `or` or the end, found `)`");
    assert_eq!(told("a ! b"), "selector `a ! b`: column 3: `!` is nothing alone: write `!=` or `not`");
    assert_eq!(told("a=\"x"), "selector `a=\"x`: column 3: the quote does not end");
    assert!(told("acs:x=1").contains("column 1: tag key `acs:x`"));
    for bad in ["a=", "=1", "a=1 and", "or", "a in ()", "a in (x,)", "a in x", "not", "a=1,b=2", "a==1", "a=\"\\n\""] {
        assert!(bad.parse::<Selector>().is_err(), "{bad}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = |depth: usize| format!("{}a=1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(deep(SELECTOR_DEPTH_MAX).parse::<Selector>().is_ok());
    assert!(deep(SELECTOR_DEPTH_MAX + 1).parse::<Selector>().is_err());
    assert!(format!("{}a=1", "not ".repeat(SELECTOR_DEPTH_MAX + 1)).parse::<Selector>().is_err());
    assert!(["(a=1)"; 30].join(" and ").parse::<Selector>().is_ok(), "beside one another is not deep");
    let values = |count: usize| format!("a in ({})", vec!["x"; count].join(","));
    assert!(values(SELECTOR_TESTS_MAX).parse::<Selector>().is_ok());
    assert!(values(SELECTOR_TESTS_MAX + 1).parse::<Selector>().is_err());
    assert!("(".repeat(1_000_000).parse::<Selector>().is_err());
    assert!(format!("a=1{}", " ".repeat(SELECTOR_MAX_BYTES)).parse::<Selector>().is_err());
}

#[test]
fn serde_goes_through_the_same_door() {
    let json = serde_json::to_string(&selector("env = prod")).unwrap();
    assert_eq!(json, "\"env=prod\"");
    assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector("env=prod"));
    assert!(serde_json::from_str::<Selector>("\"env\"").is_err());
}

/// Any term, of few words, so that something matches.
fn terms() -> impl Strategy<Value = Term> {
    let key = || prop_oneof![Just("a"), Just("not"), Just("k 1")].prop_map(|text| text.parse::<TagKey>().unwrap());
    let value = || {
        prop_oneof![Just("x"), Just(""), Just("in"), Just("q\"\\")].prop_map(|text| text.parse::<TagValue>().unwrap())
    };
    let test = prop_oneof![
        (key(), value()).prop_map(|(key, value)| Term::Is(key, value)),
        (key(), value()).prop_map(|(key, value)| Term::IsNot(key, value)),
        (key(), proptest::collection::vec(value(), 1..4)).prop_map(|(key, values)| Term::In(key, values)),
    ];
    test.prop_recursive(4, 24, 3, |term| {
        prop_oneof![
            proptest::collection::vec(term.clone(), 2..4).prop_map(Term::All),
            proptest::collection::vec(term.clone(), 2..4).prop_map(Term::Any),
            term.prop_map(|term| Term::Not(Box::new(term))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_the_same_selector(term in terms()) {
        let text = term.to_string();
        let parsed: Selector = text.parse().unwrap();
        prop_assert_eq!(parsed.term(), &term, "{}", text);
    }

    #[test]
    fn parsing_is_total(text in "(and|or|not|in|a|é|=|!=|!|\\(|\\)|,|\"|\\\\| ){0,16}") {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }
    }

    #[test]
    fn de_morgan_holds(first in terms(), second in terms(), some in proptest::collection::vec(prop_oneof![Just("a=x"), Just("not=x"), Just("k 1=in"), Just("a=")], 0..3)) {
        let tags = tags(&some);
        let not = |term: &Term| Term::Not(Box::new(term.clone()));
        let both = not(&Term::All(vec![first.clone(), second.clone()]));
        let either = Term::Any(vec![not(&first), not(&second)]);
        prop_assert_eq!(both.matches(&tags), either.matches(&tags));
    }
}
