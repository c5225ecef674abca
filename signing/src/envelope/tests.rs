//! Tests of the envelope: the known answer of the DSSE specification, limits, and a parser that never panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

#[test]
fn pae_is_that_of_the_specification() {
    // github.com/secure-systems-lab/dsse, protocol.md, test vectors.
    let envelope = Envelope::new("http://example.com/HelloWorld", b"hello world".to_vec());
    assert_eq!(envelope.pae(), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    assert_eq!(envelope.digest(), Digest::of(&envelope.pae()));
    assert_eq!(Envelope::new("é", Vec::new()).pae(), "DSSEv1 2 é 0 ".as_bytes(), "lengths are in bytes");
}

#[test]
fn json_round_trips_and_signatures_do_not_change_the_digest() {
    let mut envelope = Envelope::new(ORDER_TYPE, vec![0xfb, 0xff, 0xfe]);
    let before = envelope.digest();
    envelope.add_signature(&SecretKey::from_seed([1; 32]));
    envelope.add_signature(&SecretKey::from_seed([2; 32]));
    assert_eq!(envelope.digest(), before);
    let json = envelope.to_json();
    assert_eq!(Envelope::parse(&json).unwrap(), envelope);
    let text = String::from_utf8(json).unwrap();
    assert!(
        text.starts_with(
            r#"{"payloadType":"application/vnd.orderly.order.v1+json","payload":"+//+","signatures":[{"keyid":"#
        ),
        "{text}"
    );
}

#[test]
fn both_alphabets_are_read_and_a_missing_label_too() {
    for payload in ["+//+", "-__-"] {
        let json = format!(r#"{{"payload":"{payload}","payloadType":"t","signatures":[{{"sig":""}}]}}"#);
        let envelope = Envelope::parse(json.as_bytes()).unwrap();
        assert_eq!(envelope.payload, [0xfb, 0xff, 0xfe]);
        assert_eq!(envelope.signatures, [EnvelopeSignature { keyid: None, sig: Vec::new() }]);
    }
}

#[test]
fn another_shape_is_refused() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"payload":"","payloadType":"t"}"#,
        r#"{"payload":"","payloadType":"t","signatures":[],"more":1}"#,
        r#"{"payload":"","payload":"","payloadType":"t","signatures":[]}"#,
        r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","cert":""}]}"#,
        r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","sig":""}]}"#,
        r#"{"payload":"","payloadType":"t","signatures":[]} x"#,
        r#"{"payload":"+_==","payloadType":"t","signatures":[]}"#,
        r#"{"payload":"YQ","payloadType":"t","signatures":[]}"#,
        r#"{"payload":"YR==","payloadType":"t","signatures":[]}"#,
        r#"{"payload":[1],"payloadType":"t","signatures":[]}"#,
    ] {
        assert!(matches!(Envelope::parse(json.as_bytes()), Err(EnvelopeError::Json(_))), "{json}");
    }
}

#[test]
fn limits_hold_and_the_largest_allowed_fits() {
    let key = SecretKey::from_seed([1; 32]);
    let mut envelope = Envelope::new("t".repeat(MAX_LABEL_BYTES), vec![1; MAX_PAYLOAD_BYTES]);
    for _ in 0..MAX_SIGNATURES {
        envelope.add_signature(&key);
    }
    assert_eq!(Envelope::parse(&envelope.to_json()).unwrap(), envelope);

    let too_large = |change: fn(&mut Envelope)| {
        let mut envelope = Envelope::new("t", b"{}".to_vec());
        envelope.add_signature(&SecretKey::from_seed([1; 32]));
        change(&mut envelope);
        matches!(Envelope::parse(&envelope.to_json()), Err(EnvelopeError::TooLarge { .. }))
    };
    assert!(too_large(|e| e.payload = vec![0; MAX_PAYLOAD_BYTES + 1]));
    assert!(too_large(|e| e.payload = vec![0; MAX_ENVELOPE_BYTES]));
    assert!(too_large(|e| e.payload_type = "t".repeat(MAX_LABEL_BYTES + 1)));
    assert!(too_large(|e| e.signatures = vec![e.signatures[0].clone(); MAX_SIGNATURES + 1]));
    assert!(too_large(|e| e.signatures[0].keyid = Some("k".repeat(MAX_LABEL_BYTES + 1))));
    assert!(too_large(|e| e.signatures[0].sig = vec![0; MAX_SIGNATURE_BYTES + 1]));
    assert!(!too_large(|_| ()));
}

proptest! {
    #[test]
    fn any_bytes_are_an_envelope_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn a_damaged_envelope_is_an_envelope_or_an_error(place in 0_usize..300, byte in any::<u8>(), cut in 0_usize..300) {
        let mut envelope = Envelope::new("t", b"payload".to_vec());
        envelope.add_signature(&SecretKey::from_seed([1; 32]));
        let mut json = envelope.to_json();
        if let Some(at) = json.get_mut(place) {
            *at = byte;
        }
        json.truncate(json.len().saturating_sub(cut));
        if let Ok(parsed) = Envelope::parse(&json) {
            prop_assert_eq!(Envelope::parse(&parsed.to_json()).unwrap(), parsed);
        }
    }

    #[test]
    fn what_is_written_is_read(payload_type in ".{0,60}", payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let envelope = Envelope::new(payload_type, payload);
        prop_assert_eq!(Envelope::parse(&envelope.to_json()).unwrap(), envelope);
    }
}
