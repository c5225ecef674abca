//! Tests of the keys: known answers, encodings, and keys that are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use data_encoding::HEXLOWER;

use super::*;

/// RFC 8032, 7.1, test 3.
const SEED: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const MESSAGE: &str = "af82";
const SIGNATURE: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

/// RFC 8410, 10.3: a private key without and with its public key, and the public key (10.1).
const RFC8410_V1: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const RFC8410_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

fn spki(point: &[u8; 32]) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), point].concat()
}

#[test]
fn signs_and_verifies_the_known_answer() {
    let key = SecretKey::from_seed(bytes(SEED));
    assert_eq!(key.public().to_spki_der(), spki(&bytes(PUBLIC)));
    let message: [u8; 2] = bytes(MESSAGE);
    assert_eq!(key.sign(&message), bytes::<64>(SIGNATURE));
    assert!(key.public().verify(&message, &bytes(SIGNATURE)));
    assert!(!key.public().verify(b"other", &bytes(SIGNATURE)));
}

#[test]
fn reads_and_writes_what_rfc_8410_shows() {
    let key = SecretKey::from_pkcs8_pem(RFC8410_V1).unwrap();
    assert_eq!(*key.to_pkcs8_pem(), RFC8410_V1);
    assert_eq!(key.public().to_spki_pem(), RFC8410_PUBLIC);
    let public = PublicKey::from_spki_pem(RFC8410_PUBLIC).unwrap();
    assert_eq!(public, *key.public());
    assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()).unwrap(), public);
    assert_eq!(public.key_id().to_string(), Digest::of(&public.to_spki_der()).hex());
    assert_eq!(public.key_id().to_string().parse::<KeyId>().unwrap(), public.key_id());
    let json = serde_json::to_string(&public).unwrap();
    assert_eq!(json, "\"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\"");
    assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), public);
}

#[test]
fn a_pkcs8_file_with_the_public_key_in_it_is_read_too() {
    use ed25519_dalek::pkcs8::EncodePrivateKey as _;
    let key = SigningKey::from_bytes(&bytes(SEED));
    let pem = key.to_pkcs8_pem(Default::default()).unwrap();
    assert_eq!(SecretKey::from_pkcs8_pem(&pem).unwrap().sign(b"m"), SecretKey::from_seed(bytes(SEED)).sign(b"m"));
}

#[test]
fn one_key_has_one_encoding_and_weak_keys_are_refused() {
    // y = 1: the neutral element, under which some signatures verify for any message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(PublicKey::from_spki_der(&spki(&neutral)), Err(KeyError::Weak));
    // y = p + k for small k: another encoding of y = k. Whichever of them are points must not become second ids.
    let mut good = 0;
    for k in 0..19_u8 {
        let mut point = [0xff; 32];
        point[0] = 0xed + k;
        point[31] = 0x7f;
        let mut canonical = [0; 32];
        canonical[0] = k;
        assert!(PublicKey::from_spki_der(&spki(&point)).is_err(), "p + {k}");
        good += u32::from(PublicKey::from_spki_der(&spki(&canonical)).is_ok());
    }
    assert!(good > 0, "some y below 19 are good keys, so the refusals above are those of the second encoding");
}

#[test]
fn a_signature_has_one_form() {
    let key = SecretKey::from_seed(bytes(SEED));
    let signature = key.sign(b"m");
    // S + L is the same scalar in another form.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut other = signature;
    let mut carry = 0_u16;
    for (byte, l) in other[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_ne!(signature, other);
    assert!(key.public().verify(b"m", &signature));
    assert!(!key.public().verify(b"m", &other));
}

#[test]
fn a_signature_with_a_point_of_small_order_is_refused() {
    // R is the neutral element and S = H(R, A, "m") times the secret scalar, so the equation of RFC 8032 holds, and
    // verifiers that are not strict accept it.
    const LAX: &str = "0100000000000000000000000000000000000000000000000000000000000000\
                       36a3aca567cc520076f2968aeed5a6c8d4ebb9ebca94271bb47cb83c66cdc300";
    let key = SecretKey::from_seed(bytes(SEED));
    let lax = Signature::from_bytes(&bytes(LAX));
    ed25519_dalek::Verifier::verify(&key.public().key, b"m", &lax).expect("accepted when not strict");
    assert!(!key.public().verify(b"m", &bytes(LAX)));
}

#[test]
fn what_is_no_key_is_refused() {
    let der = spki(&bytes(PUBLIC));
    for wrong in [&der[..43], &[der.as_slice(), &[0]].concat(), &der[12..], &[]] {
        assert_eq!(PublicKey::from_spki_der(wrong), Err(KeyError::Public));
    }
    for wrong in ["", "x", RFC8410_V1, &RFC8410_PUBLIC.replace("PUBLIC", "RSA PUBLIC")] {
        assert_eq!(PublicKey::from_spki_pem(wrong), Err(KeyError::Public), "{wrong}");
    }
    for wrong in ["", "x", RFC8410_PUBLIC, &RFC8410_V1.replace("PRIVATE", "ENCRYPTED PRIVATE")] {
        assert_eq!(SecretKey::from_pkcs8_pem(wrong).err(), Some(KeyError::Secret), "{wrong}");
    }
    for wrong in ["", "00", &"A".repeat(64), &"0".repeat(63), &format!("sha256:{}", "0".repeat(64))] {
        assert_eq!(wrong.parse::<KeyId>(), Err(KeyError::Id), "{wrong}");
    }
}

#[test]
fn a_secret_does_not_show() {
    let key = SecretKey::from_seed(bytes(SEED));
    let shown = format!("{key:?}");
    assert!(shown.starts_with("SecretKey(redacted"), "{shown}");
    assert!(!shown.contains(&SEED[..16]) && !shown.contains("197"), "{shown}");
}
