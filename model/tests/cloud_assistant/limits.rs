//! Limits of 5 and 8 at their edges, where no other row has them.

use orderly_model::command::CommandDraft;
use orderly_model::parameter::ParameterSpec;
use orderly_model::selector::TagSelector;

use crate::{refused, script, stored};

#[test]
fn row_5_3_values_are_texts() {
    assert!(serde_json::from_str::<ParameterSpec>(r#"{"name":"a","default":"1"}"#).is_ok());
    for other in ["1", "true", "[]", "{}"] {
        let text = format!(r#"{{"name":"a","default":{other}}}"#);
        assert!(serde_json::from_str::<ParameterSpec>(&text).is_err(), "{text}");
    }
}

#[test]
fn row_5_4_timeout_of_at_least_1_s_where_cloud_assistant_has_10() {
    let at = |seconds| CommandDraft { timeout_s: Some(seconds), ..script("x") };
    assert!(stored(&at(1)).is_ok());
    refused(&at(0), "timeout_s");
}

#[test]
fn row_8_a_selector_has_at_most_20_tags() {
    let tags = |count: u32| -> Vec<String> { (0..count).map(|n| format!("k{n}=v")).collect() };
    assert!(TagSelector::parse(tags(20).iter().map(String::as_str)).is_ok());
    let refusal = TagSelector::parse(tags(21).iter().map(String::as_str)).unwrap_err();
    assert!(refusal.to_string().contains("20"), "{refusal}");
}
