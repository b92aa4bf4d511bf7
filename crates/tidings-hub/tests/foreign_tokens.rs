//! Tokens that others made: those of the standards, and those of other libraries. The programs that made them are beside them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tidings_hub::{TokenKeys, Tokens};

/// One token of a file.
struct Case {
    name: String,
    keys: Result<TokenKeys, String>,
    key_refused: Option<String>,
    token: String,
    at: SystemTime,
    refused_by: Vec<String>,
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let read = |case: Value| {
        let text = |name: &str| case[name].as_str().map(str::to_owned);
        let key = text("key").unwrap();
        let keys = match text("algorithm") {
            Some(algorithm) => TokenKeys::parse_for(key.as_bytes(), &algorithm),
            None => TokenKeys::parse(key.as_bytes()),
        };
        let rules = case["refused_by"].as_array().unwrap().iter();
        Case {
            name: text("name").unwrap(),
            keys: keys.map_err(|error| error.to_string()),
            key_refused: text("key_refused"),
            token: text("token").unwrap(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(case["at"].as_u64().unwrap()),
            refused_by: rules.map(|rule| rule.as_str().unwrap().to_owned()).collect(),
        }
    };
    list.into_iter().map(read).collect()
}

/// The rules that refuse the token, and whether its signature held.
fn judge(keys: TokenKeys, token: &str, at: SystemTime) -> (Vec<&'static str>, bool) {
    let checks = Tokens::new(keys).with_audience("https://hub.example").explain(token, at).checks;
    if let Some(check) = checks.iter().find(|check| check.refused_by == Some("audience-missing")) {
        let words = ["(aud)", "other services", "this hub is https://hub.example"];
        assert!(words.iter().all(|word| check.detail.contains(word)), "{}", check.detail);
    }
    let is_signed = checks.iter().any(|check| check.name == "signature" && check.refused_by.is_none());
    (checks.iter().filter_map(|check| check.refused_by).collect(), is_signed)
}

#[track_caller]
fn all_hold(file: &str, at_least: usize) {
    let cases = cases(file);
    assert!(cases.len() >= at_least, "{file} has {} cases", cases.len());
    for Case { name, keys, key_refused, token, at, refused_by } in cases {
        let keys = match (keys, key_refused) {
            (Ok(keys), None) => keys,
            (Err(error), Some(words)) => {
                assert!(error.contains(&words), "{name}: {error}");
                continue;
            }
            (keys, expected) => panic!("{name}: {keys:?}, expected {expected:?}"),
        };
        let (rules, is_signed) = judge(keys.clone(), &token, at);
        assert_eq!(rules, refused_by, "{name}");
        let unsigned = ["algorithm-none", "algorithm-not-allowed", "signature-wrong", "key-unknown"];
        assert_eq!(is_signed, !rules.iter().any(|rule| unsigned.contains(rule)), "{name}");
        // Another signature of the same form does not hold.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        if is_signed {
            let other = if signature.starts_with('A') { "B" } else { "A" };
            let (rules, is_signed) = judge(keys, &format!("{signed}.{other}{}", &signature[1..]), at);
            assert!(!is_signed && rules.contains(&"signature-wrong"), "{name}: {rules:?}");
        }
    }
}

#[test]
fn the_tokens_of_the_standards_are_judged_as_the_standards_say() {
    all_hold("standards.json", 10);
}

#[test]
fn tokens_that_pyjwt_makes_are_understood() {
    all_hold("pyjwt.json", 15);
}

#[test]
fn tokens_that_jose_makes_are_understood() {
    all_hold("jose.json", 38);
}
