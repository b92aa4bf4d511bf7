use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    file::AccessFile,
    issuer::{IssuerEntry, KeySource},
    *,
};
use crate::{
    Topic,
    authorize::{Limits, NewApiKey, Revoked, RevokedList, RevokedWhat, rules::holder},
};

/// A file with everything that one may have.
const WHOLE: &str = r#"
# Who may do what.
audience = ["https://hub.example", "hub"]
limits = { streams = 100, publish = "100/s" }

[[issuer]]
key = "hub.key"

[[issuer]]
name = "https://app.example"
jwks = "https://app.example/jwks.json"
leeway = "30s"
typ = ["JWT", "at+jwt"]
query = true
max_life = "12h"

[[issuer]]
name = "legacy"
key = "legacy.key"
algorithm = "HS512"
typ = "JWT"
legacy = true

[[key]]
id = "Ab3dEf9h"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
publish = ["orders/*", "keys/{sub}/*"]
read = "news"
rights = ["metrics", "subscribers"]
expires = 2027-01-31T01:30:00+01:30
limits = { topics = 20 }
note = "for the shop"

[[rule]]
topics = "orders/*"
read = "granted"
publish = "granted"

[[rule]]
topics = "users/{sub}/*"
read = "token"

[[rule]]
topics = "*"
read = "anyone"

[[role]]
claim = "/realm_access/roles"
has = "staff"
publish = "announcements"
read = ["staff/*"]
rights = "admin"
limits = { streams = 5 }

[[revoked]]
jti = "7f"
reason = "stolen"

[[revoked]]
sub = "bob"
iss = "https://app.example"
issued_before = "2027-01-31T00:00:00Z"

[[revoked]]
iss = "legacy"

[[revoked]]
key = "Ab3dEf9h"
"#;

/// Reads a text beside which lie the keys that it names.
fn read(text: &str) -> Result<AccessFile, InvalidAccessFile> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hub.key"), "x".repeat(32)).unwrap();
    std::fs::write(directory.path().join("legacy.key"), "y".repeat(64)).unwrap();
    AccessFile::parse(text, directory.path())
}

fn parse(text: &str) -> AccessFile {
    read(text).unwrap()
}

#[track_caller]
fn refused(text: &str, line: usize, words: &[&str]) {
    let error = read(text).expect_err(text);
    assert_eq!(error.line(), Some(line), "{error}");
    let shown = error.to_string();
    assert!(words.iter().all(|words| shown.contains(words)), "{shown}");
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn an_access_file_says_all_that_there_is_to_say() {
    let file = parse(WHOLE);
    assert_eq!(file.limits, Limits { streams: Some(100), publishes: Some(100.0), ..Limits::default() });
    let plain = IssuerEntry {
        line: 6,
        name: None,
        keys: KeySource::File("hub.key".into()),
        algorithm: None,
        leeway: None,
        types: None,
        legacy: false,
        query: false,
        max_life: None,
    };
    let identity_provider = IssuerEntry {
        line: 9,
        name: Some("https://app.example".into()),
        keys: KeySource::Url("https://app.example/jwks.json".into()),
        leeway: Some(Duration::from_secs(30)),
        types: Some(vec!["JWT".into(), "at+jwt".into()]),
        query: true,
        max_life: Some(Duration::from_secs(12 * 3_600)),
        ..plain.clone()
    };
    let legacy = IssuerEntry {
        line: 17,
        name: Some("legacy".into()),
        keys: KeySource::File("legacy.key".into()),
        algorithm: Some("HS512".into()),
        types: Some(vec!["JWT".into()]),
        legacy: true,
        ..plain.clone()
    };
    assert_eq!(file.issuers, [plain, identity_provider, legacy]);
    let mut revoked = RevokedList::default();
    let mut add = |what, issued_before, reason: Option<&str>| {
        revoked.insert(what, Revoked { issued_before, reason: reason.map(Into::into) });
    };
    add(RevokedWhat::Token("7f".into()), None, Some("stolen"));
    let bob = RevokedWhat::Subject { name: "bob".into(), issuer: Some("https://app.example".into()) };
    add(bob, Some(at(1_801_353_600)), None);
    add(RevokedWhat::Issuer("legacy".into()), None, None);
    add(RevokedWhat::ApiKey("Ab3dEf9h".into()), None, None);
    assert_eq!(file.revoked, revoked);
    let [role] = &file.roles[..] else { panic!("one role") };
    assert_eq!((&*role.claim, &*role.has), ("/realm_access/roles", "staff"));
    let governing = |topic: &str| file.governing(&Topic::parse(topic).unwrap());
    let rule = |line, topics: &str, read, publish| {
        Some(GoverningRule { line, topics: topics.into(), read, publish })
    };
    assert_eq!(governing("orders/1"), rule(34, "orders/*", "granted", "granted"));
    assert_eq!(governing("users/alice/a"), rule(39, "users/{sub}/*", "token", "granted"));
    assert_eq!(governing("orders"), rule(43, "*", "anyone", "granted"));
    // The order of tables, and a byte order mark, change nothing.
    assert_eq!(parse(&format!("\u{feff}{WHOLE}")).revoked, file.revoked);
    assert!(parse("").governing(&Topic::parse("a").unwrap()).is_none());
}

#[test]
fn an_issuer_needs_keys_that_can_be_used_and_a_name_of_its_own() {
    for (issuer, words) in [
        ("key = \"missing.key\"", "[[issuer]]: missing.key cannot be read"),
        ("key = \"hub.key\"\nalgorithm = \"HS512\"", "hub.key: the key has 32 bytes"),
        ("key = \"hub.key\"\nleeway = \"6m\"", "at most 5 minutes"),
        ("jwks = \"https://app.example/keys\"", "write name = "),
        ("name = \"a\"\njwks = \"ftp://app.example/keys\"", "ftp://app.example/keys"),
        ("name = \"a\"\njwks = \"https://app.example/keys\"\nalgorithm = \"PS256\"", "leave algorithm out"),
    ] {
        refused(&format!("\n[[issuer]]\n{issuer}"), 2, &[words]);
    }
    refused(
        "[[issuer]]\nkey = \"hub.key\"\n[[issuer]]\nkey = \"legacy.key\"",
        3,
        &["two issuers have no name"],
    );
    let named = "[[issuer]]\nname = \"a\"\nkey = \"hub.key\"\n";
    refused(&named.repeat(2), 4, &["two issuers are named \"a\""]);
    // Somebody may take the key itself for the name of its file.
    let secret = NewApiKey::random().unwrap();
    let error = read(&format!("[[issuer]]\nkey = \"{}\"", secret.text())).unwrap_err().to_string();
    assert!(!error.contains(secret.text()) && error.contains("not the key itself"), "{error}");
}

#[test]
fn an_api_key_of_the_file_is_accepted_until_it_expires() {
    let key = NewApiKey::random().unwrap();
    let entry = |more: &str| {
        format!(
            "[[key]]\nid = \"{}\"\nsha256 = \"{}\"\npublish = \"orders/*\"\n{more}",
            key.id(),
            key.sha256()
        )
    };
    for (expires, end) in [
        ("expires = 2027-01-31T00:00:00Z", 1_801_353_600),
        ("expires = \"2027-01-31T00:00:00Z\"", 1_801_353_600),
        ("expires = 2027-01-31 01:30:00+01:30", 1_801_353_600),
        ("expires = 2027-01-30T19:00:00.5-05:00", 1_801_353_600),
    ] {
        let file = parse(&entry(expires));
        assert!(file.api_keys.accept(key.text(), at(end - 1)).is_ok(), "{expires}");
        assert!(file.api_keys.accept(key.text(), at(end + 1)).is_err(), "{expires}");
    }
    assert!(parse(&entry("")).api_keys.accept(key.text(), at(1 << 40)).is_ok());
    for expires in ["2027-01-31", "2027-01-31T00:00:00", "\"tomorrow\"", "7", "00:00:00", "\"\"", "true"] {
        refused(&entry(&format!("expires = {expires}")), 5, &["[[key]] expires is", "2027-01-31T00:00:00Z"]);
    }
}

#[test]
fn rules_of_the_file_are_met_as_its_holders_meet_them() {
    let rules = std::sync::Arc::new(parse(WHOLE).rules);
    let alice = holder("alice", serde_json::json!({}));
    let topic = |text: &str| Topic::parse(text).unwrap();
    let (own, nobody) = (rules.view(Some(&alice)), rules.view(None));
    assert!(own.reads(&topic("users/alice/a")) && !own.reads(&topic("users/bob/a")));
    assert!(nobody.reads(&topic("news")) && !nobody.reads(&topic("orders/1")));
}

#[test]
fn each_way_to_a_topic_is_told_with_its_line() {
    let file = parse(WHOLE);
    let ways = |topic: &str| -> Vec<String> {
        let ways = file.ways(&Topic::parse(topic).unwrap());
        ways.iter().map(|way| format!("{} {} {} {}", way.action, way.line, way.clients, way.by)).collect()
    };
    assert_eq!(file.summary(), "3 issuers, 1 API key, 3 rules, 1 role, 4 revocations");
    assert_eq!(ways("orders/1"), ["publish 24 the API key Ab3dEf9h orders/*"]);
    assert_eq!(ways("keys/Ab3dEf9h/a")[1], "publish 24 the API key Ab3dEf9h keys/Ab3dEf9h/*");
    assert_eq!(
        ways("users/alice/a"),
        ["read 39 the holder of a credential with {sub} \"alice\" users/{sub}/*"]
    );
    assert!(ways("users//a").is_empty());
    assert_eq!(
        ways("staff/1"),
        [
            "read 43 everyone *",
            "read 47 the holder of a token whose claim \"/realm_access/roles\" has \"staff\" staff/*"
        ]
    );
    let own = parse("[[role]]\nclaim = \"r\"\nhas = \"s\"\nread = [\"a\", \"{claim:t}/{sub}\"]");
    let way = &own.ways(&Topic::parse("acme/alice").unwrap())[0];
    assert_eq!(
        way.clients,
        "the holder of a token whose claim \"r\" has \"s\", with {claim:t} \"acme\" and {sub} \"alice\""
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    refused("[[rules]]\ntopics = \"a\"\n", 1, &["the file has no key \"rules\"", "is rule meant?"]);
    refused("\n\naudiences = \"a\"", 3, &["\"audiences\"", "is audience meant?"]);
    refused("[[rule]]\ntopic = \"a\"", 1, &["[[rule]] has no topics; write topics = \"orders/*\""]);
    refused(
        "[[rule]]\ntopics = \"a\"\nraed = \"token\"",
        3,
        &["[[rule]] has no key \"raed\"", "is read meant?"],
    );
    refused("[[rule]]\ntopics = \"a\"\nwho = \"token\"", 3, &["known are topics, read and publish"]);
    refused("[[issuer]]\nkey = \"k\"\nalgoritm = \"HS512\"", 3, &["is algorithm meant?"]);
    refused("[[role]]\nclaim = \"a\"\nhas = \"b\"\nright = \"admin\"", 4, &["is rights meant?"]);
    refused("[[revoked]]\njti = \"a\"\nreasons = \"b\"", 3, &["is reason meant?"]);
    refused("[[rule]]\ntopics = \"a\"\nread.all = true", 3, &["read is a table"]);
    let long = "x".repeat(1 << 20);
    let error = read(&format!("{long} = 1")).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn what_is_wrong_is_refused_with_its_line_the_value_the_rule_and_the_next_step() {
    let rule = |more: &str| format!("[[rule]]\ntopics = \"a/*\"\n{more}");
    refused(&rule("read = \"all\""), 3, &["[[rule]] read is \"all\"; it is anyone, token or granted"]);
    refused(&rule("read = \"tokens\""), 3, &["is token meant?"]);
    refused(&rule("publish = true"), 3, &["[[rule]] publish is true; it is a text in quotes"]);
    refused(
        &rule("\n[[rule]]\ntopics = \"a/*\""),
        4,
        &["govern the same topics", "(the other is in line 1)"],
    );
    refused("[[rule]]\ntopics = \"a*\"", 2, &["[[rule]] topics is \"a*\"", "'*'"]);
    refused("[[rule]]\ntopics = \"a/{id}\"", 2, &["\"{id}\"", "{claim:NAME}"]);
    refused("[[rule]]\ntopics = \"u/{sub}\"\nread = \"anyone\"", 3, &["placeholder", "write \"token\""]);
    refused("[rule]\ntopics = \"a\"", 1, &["rule is written as [[rule]], with two brackets"]);
    refused("rule = [1]", 1, &["[[rule]], with two brackets"]);
    refused("[[issuer]]\nname = \"a\"", 1, &["key = \"hub.key\"", "jwks ="]);
    refused("[[issuer]]\nkey = \"a\"\njwks = \"b\"", 1, &["in one place"]);
    refused("[[issuer]]\nname = \"\"\nkey = \"a\"", 2, &["https://app.example"]);
    refused("[[issuer]]\nkey = \"a\"\nleeway = 30", 3, &["leeway is 30; it is a text in quotes"]);
    refused("[[issuer]]\nkey = \"a\"\nleeway = \"30\"", 3, &["leeway is \"30\"", "\"30s\""]);
    refused("[[issuer]]\nkey = \"a\"\nlegacy = \"yes\"", 3, &["true or false, without quotes"]);
    refused("[[role]]\nclaim = \"roles\"", 1, &["[[role]] has no has; write has = \"staff\""]);
    refused("[[role]]\nclaim = \"r\"\nhas = \"s\"\nrights = [\"admins\"]", 4, &["is admin meant?"]);
    refused(
        "[[role]]\nclaim = \"r\"\nhas = \"s\"\nlimits = { streams = -1 }",
        4,
        &["limits streams is -1; it is a whole number"],
    );
    refused("limits = { stream = 1 }", 1, &["limits has no key \"stream\"; is streams meant?"]);
    refused(
        "limits = { publish = \"10\" }",
        1,
        &["limits publish is \"10\"; it is a rate, such as \"10/s\""],
    );
    refused("limits = { publish = \"inf/s\" }", 1, &["it is a rate"]);
    refused("limits = 5", 1, &["limits is 5; it is a table"]);
    refused("limits = { streams = 1.5 }", 1, &["limits"]);
    refused("[[revoked]]\njti = \"a\"\nsub = \"b\"", 1, &["names one of jti, sub, iss and key"]);
    refused("[[revoked]]\nreason = \"a\"", 1, &["names one of jti, sub, iss and key"]);
    refused("[[revoked]]\nkey = \"a\"\n[[revoked]]\nkey = \"a\"", 3, &["same credentials"]);
    refused("a = 1\na = 2", 2, &["this is no TOML", "duplicate key"]);
    refused("\n[[rule", 2, &["this is no TOML"]);
    refused("[[role]]\nclaim = \"r\"\nhas = \"s\"\npublish = [\n\"a\",\n\"b*\",\n]", 6, &["\"b*\""]);
}

#[test]
fn a_secret_that_stands_in_the_wrong_place_is_not_repeated() {
    let (key, other) = (NewApiKey::random().unwrap(), NewApiKey::random().unwrap());
    let secret = &key.text()[13..];
    for text in [
        format!("[[key]]\nid = \"{}\"\nsha256 = \"{}\"", key.text(), key.sha256()),
        format!("[[key]]\nid = \"{}\"\nsha256 = \"{secret}\"", key.id()),
        format!("[[key]]\nid = \"{}\"\nsha256 = \"{}\"", key.id(), key.text()),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(!error.contains(secret) && error.contains("tidings token key --api"), "{error}");
    }
    let twice = |one: &NewApiKey| format!("[[key]]\nid = \"{}\"\nsha256 = \"{}\"\n", key.id(), one.sha256());
    refused(&(twice(&key) + &twice(&other)), 4, &[key.id(), "as in line 1"]);
}

#[test]
fn a_file_that_cannot_be_read_or_is_too_large_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("access.toml");
    let error = |file: &std::path::Path| AccessFile::read(file).unwrap_err().to_string();
    assert!(error(&file).contains("access.toml: the access file cannot be read"), "{}", error(&file));
    std::fs::write(&file, "x = 1").unwrap();
    assert!(error(&file).contains("access.toml:1: the file has no key \"x\""), "{}", error(&file));
    std::fs::write(&file, "# \n".repeat(2 << 20)).unwrap();
    assert!(error(&file).contains("larger than 4 MiB"), "{}", error(&file));
    std::fs::write(&file, [0xff]).unwrap();
    assert!(error(&file).contains("UTF-8"), "{}", error(&file));
    assert!(error(directory.path()).contains("cannot be read"), "{}", error(directory.path()));
    std::fs::write(&file, "[[issuer]]\nkey = \"hub.key\"").unwrap();
    assert!(error(&file).contains("access.toml:1: [[issuer]]: hub.key cannot be read"), "{}", error(&file));
    std::fs::write(directory.path().join("hub.key"), [b'x'; 32]).unwrap();
    assert!(!AccessFile::read(&file).unwrap().tokens.is_empty());
}
