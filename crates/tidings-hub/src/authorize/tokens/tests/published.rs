use scripted_server::{Server, response};
use tokio::sync::watch;

use super::*;

/// A set of one secret: what is published does not matter to the way in which it is fetched.
fn set(id: &str, byte: u8) -> (String, TokenKey) {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let key = json!({ "kty": "oct", "kid": id, "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([byte; 32]) });
    (json!({ "keys": [key] }).to_string(), TokenKey::parse(key.to_string().as_bytes()).unwrap())
}

fn answer(set: &str) -> scripted_server::Reply {
    response("HTTP/1.1 200 OK\nContent-Type: application/json").send(set)
}

fn tokens_of(server: &Server) -> Tokens {
    let issuer = Issuer::with_keys_at("https://app.example", &server.url("/keys")).unwrap();
    Tokens::default().with_issuer(issuer).unwrap().with_audience("https://hub.example")
}

fn sign(key: &TokenKey) -> String {
    let claims =
        with(with(claims(), "iss", json!("https://app.example")), "aud", json!("https://hub.example"));
    key.sign_claims(&key.header(), &claims)
}

#[tokio::test]
async fn a_token_waits_for_the_first_set_and_for_a_new_one_that_has_its_key() {
    let ((first, one), (second, two)) = (set("one", 1), set("two", 2));
    let (open, gate) = watch::channel(false);
    let server =
        Server::start([response("HTTP/1.1 200 OK").until(&gate).send(&first), answer(&second)]).await;
    let tokens = tokens_of(&server);
    let token = sign(&one);
    let mut waits = std::pin::pin!(tokens.accept(&token, at(NOW)));
    tokio::select! {
        biased;
        _ = &mut waits => panic!("there are no keys yet"),
        () = std::future::ready(()) => open.send_replace(true),
    };
    assert_eq!(waits.await.unwrap().credential.issuer.as_deref(), Some("https://app.example"));
    assert!(tokens.accept(&sign(&two), at(NOW)).await.is_ok());
    // The issuer has taken its first key back.
    assert_eq!(tokens.accept(&token, at(NOW)).await.unwrap_err().rule, "key-unknown");
    assert_eq!(server.requests().len(), 2, "an unknown key makes the hub fetch once a minute");
}

#[tokio::test]
async fn without_any_set_a_token_is_neither_accepted_nor_refused() {
    let server = Server::start_with(|_| response("HTTP/1.1 500 Internal Server Error")).await;
    let tokens = tokens_of(&server);
    let refusal = tokens.accept(&sign(&set("one", 1).1), at(NOW)).await.unwrap_err();
    assert_eq!((refusal.rule, refusal.is_signed), ("keys-unavailable", false));
    let denial = refusal.into_denial();
    assert!(matches!(denial.kind, crate::authorize::DenialKind::Unavailable), "{denial:?}");
}

#[tokio::test]
async fn a_new_policy_goes_on_with_the_keys_that_an_earlier_one_has_fetched() {
    let (text, key) = set("one", 1);
    let server = Server::start([answer(&text)]).await;
    let earlier = tokens_of(&server);
    earlier.start();
    assert!(earlier.accept(&sign(&key), at(NOW)).await.is_ok());
    let mut tokens = tokens_of(&server);
    tokens.take_over(&earlier);
    drop(earlier);
    assert!(tokens.accept(&sign(&key), at(NOW)).await.is_ok());
    assert_eq!(server.requests().len(), 1);
    let ages: Vec<_> = tokens.key_ages().collect();
    assert!(matches!(ages[..], [("https://app.example", _)]), "{ages:?}");
}
