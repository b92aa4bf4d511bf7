use serde_json::{Value, json};

use super::{super::algorithm::Algorithm, *};

const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const ED25519_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"one"}"#;

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let error = TokenKeys::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

/// The JSON Web Key with a member replaced, or taken out by null.
fn jwk(member: &str, value: Value) -> String {
    let mut key: Value = serde_json::from_str(ED25519_JWK).unwrap();
    match value {
        Value::Null => drop(key.as_object_mut().unwrap().remove(member)),
        value => key[member] = value,
    }
    key.to_string()
}

fn encoded(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(bits: usize, exponent: &[u8]) -> String {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    if bits % 8 != 0 {
        modulus[0] = (1 << (bits % 8)) - 1;
    }
    json!({ "kty": "RSA", "n": encoded(&modulus), "e": encoded(exponent) }).to_string()
}

#[test]
fn a_secret_has_as_many_bytes_as_its_signatures_and_no_fewer() {
    for (algorithm, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let parse = |bytes: usize| TokenKeys::parse_for(&vec![b'x'; bytes], algorithm);
        let jwk = |bytes: usize| {
            let key = json!({ "kty": "oct", "alg": algorithm, "k": encoded(&vec![7; bytes]) });
            TokenKey::parse(key.to_string().as_bytes())
        };
        assert!(parse(least).is_ok() && jwk(least).is_ok(), "{algorithm}");
        for error in [parse(least - 1).unwrap_err(), jwk(least - 1).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains(&format!("{} bytes", least - 1)) && error.contains(algorithm), "{error}");
        }
    }
    assert!(TokenKey::parse(TokenKey::new_secret().unwrap().as_bytes()).is_ok());
    refused("", &["0 bytes", "tidings token key"]);
}

#[test]
fn spaces_around_a_secret_do_not_count() {
    let secret = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let (one, other) =
        (TokenKey::parse(secret.as_bytes()), TokenKey::parse(format!(" {secret}\r\n").as_bytes()));
    let sign = |key: TokenKey| key.sign_claims(&json!({ "alg": "HS256" }), &json!({}));
    assert_eq!(sign(one.unwrap()), sign(other.unwrap()));
}

#[test]
fn a_key_is_never_shown() {
    let secret = TokenKey::parse(b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert!(!format!("{secret:?} {:?}", TokenKeys::from(secret.clone())).contains("3q2"));
}

#[test]
fn tokens_are_made_with_one_secret_alone() {
    for (text, what) in [
        (ED25519.to_owned(), "a public key"),
        (ED25519_JWK.to_owned(), "a public key"),
        (format!(r#"{{"keys":[{ED25519_JWK},{ED25519_JWK}]}}"#), "a set of keys"),
    ] {
        let error = TokenKey::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("tidings token key"), "{error}");
    }
}

#[test]
fn a_key_has_the_algorithm_of_its_kind_or_the_one_that_it_names() {
    let of =
        |text: &str| TokenKeys::parse(text.as_bytes()).unwrap().iter().next().unwrap().algorithms.clone();
    assert_eq!(of(ED25519), [Algorithm::EdDsa]);
    assert_eq!(of(ED25519_JWK), [Algorithm::EdDsa]);
    assert_eq!(of(&rsa(2048, &[1, 0, 1])), Algorithm::OF_RSA);
    let named = |name: &str| {
        let mut key: Value = serde_json::from_str(&rsa(2048, &[3])).unwrap();
        key["alg"] = json!(name);
        TokenKeys::parse(key.to_string().as_bytes())
    };
    assert_eq!(named("PS384").unwrap().iter().next().unwrap().algorithms, [Algorithm::Ps384]);
    for (name, words) in [("ES256", "ES256 is not for an RSA key"), ("RSA-OAEP", "not for signatures")] {
        let error = named(name).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = TokenKeys::parse_for(ED25519.as_bytes(), "ES256").unwrap_err().to_string();
    assert!(error.contains("ES256 is not for a key on Ed25519"), "{error}");
    for unknown in ["none", "ES512", "hs256"] {
        let error = TokenKeys::parse_for(ED25519.as_bytes(), unknown).unwrap_err().to_string();
        assert!(error.contains(unknown), "{error}");
    }
}

#[test]
fn an_rsa_key_has_2048_to_8192_bits_and_an_odd_exponent() {
    for bits in [2048, 2049, 4096, 8192] {
        assert!(TokenKeys::parse(rsa(bits, &[1, 0, 1]).as_bytes()).is_ok(), "{bits}");
    }
    for bits in [0, 1024, 2047, 8193, 16_384] {
        refused(&rsa(bits, &[1, 0, 1]), &[&format!("{bits} bits"), "2048 to 8192"]);
    }
    for exponent in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1; 6]] {
        refused(&rsa(2048, exponent), &["exponent"]);
    }
}

#[test]
fn a_private_key_is_refused_and_the_way_to_its_public_half_told() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let pem = format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        refused(&pem, &["openssl pkey -in FILE -pubout"]);
        refused(&format!("{ED25519}{pem}").replace("ENCRYPTED ", ""), &["private key"]);
    }
    refused(&jwk("d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")), &["private key", "member d"]);
}

#[test]
fn a_key_of_another_form_is_refused_and_the_way_to_change_it_told() {
    for (label, words) in [
        ("CERTIFICATE", "openssl x509"),
        ("RSA PUBLIC KEY", "openssl rsa"),
        ("OPENSSH PRIVATE KEY", "ssh-keygen"),
    ] {
        refused(&format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n"), &[words]);
    }
    refused(&format!("{ED25519}{ED25519}"), &["several keys"]);
    refused(&jwk("crv", json!("Ed448")), &["Ed448"]);
    refused(&jwk("crv", json!("X25519")), &["X25519", "no signatures"]);
    refused(&jwk("crv", json!("P-256")), &["P-256"]);
    refused(&jwk("kty", json!("oct")), &["k is missing"]);
    refused(&jwk("kty", json!("AKP")), &["AKP"]);
    refused(&jwk("use", json!("enc")), &["enc"]);
    refused(&jwk("key_ops", json!(["encrypt"])), &["encrypt"]);
    refused(&jwk("kid", json!(7)), &["kid"]);
    refused(&jwk("x", json!("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR")), &["x"]);
    refused(&jwk("x", json!("AAAA")), &["3 bytes", "32"]);
    refused(&jwk("x", Value::Null), &["x is missing"]);
    refused(r#"{"kty":"OKP","kty":"oct"}"#, &["twice"]);
    refused(r#"{"keys":{}}"#, &["no list"]);
}

#[test]
fn a_key_in_pem_that_is_cut_off_or_changed_anywhere_is_refused_or_another_key() {
    let lines: Vec<_> = ED25519.lines().collect();
    refused(&lines[..2].join("\n"), &["cut off"]);
    refused("-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", &["SubjectPublicKeyInfo"]);
    let body = lines[1];
    let mut read = 0;
    for at in 0..body.len() {
        for other in ["A", "B", "/", ""] {
            let changed = format!("{}{other}{}", &body[..at], &body[at + 1..]);
            let text = format!("{}\n{changed}\n{}", lines[0], lines[2]);
            read += u32::from(TokenKeys::parse(text.as_bytes()).is_ok());
        }
    }
    // Some 43 of the 60 characters are the point.
    assert!((1..4 * 44).contains(&read), "{read}");
}

#[test]
fn keys_of_a_set_that_cannot_be_used_are_passed_over_and_counted() {
    let set = |keys: Vec<Value>| TokenKeys::parse(json!({ "keys": keys }).to_string().as_bytes());
    let good: Value = serde_json::from_str(ED25519_JWK).unwrap();
    let (other_use, weak) = (jwk("use", json!("enc")), rsa(1024, &[3]));
    let others = [&other_use, &weak].map(|text| serde_json::from_str(text).unwrap());
    let keys = set([&others[..], &[good.clone(), json!(7), good.clone()]].concat()).unwrap();
    assert_eq!((keys.count(), keys.skipped(), keys.is_set(), keys.has_public()), (2, 3, true, true));
    let error = set(others.to_vec()).unwrap_err().to_string();
    assert!(error.contains("no key of the set can be used") && error.contains("enc"), "{error}");
    assert!(set(Vec::new()).unwrap_err().to_string().contains("empty"));
    assert!(set(vec![good.clone(); 100]).is_ok());
    let error = set(vec![good; 101]).unwrap_err().to_string();
    assert!(error.contains("101 keys") && error.contains("100"), "{error}");
    assert!(TokenKeys::parse(&vec![b'x'; (1 << 20) + 1]).is_err());
}
