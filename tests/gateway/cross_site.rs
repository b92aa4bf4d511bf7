//! Web pages, which may ask a model only if they are listed.

use crate::{
    model::*,
    support::wire::{self, header},
};

const PAGE: &str = "https://app.example";

#[tokio::test]
async fn a_page_of_another_site_asks_no_model_unless_it_is_listed() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--allow-origin", PAGE]);
    let json = ("content-type", "application/json");
    let foreign = ("origin", "https://evil.example");
    let refused = wire::ask(&hub.address, "POST", CHAT, &[json, foreign], ASK).await;
    refused.refusal(403, "evil.example");
    let rebound = wire::ask(&hub.address, "POST", CHAT, &[json, ("host", "evil.example")], ASK).await;
    rebound.refusal(421, "evil.example");
    assert_eq!(model.requests().len(), 0);

    let answering = ask_with(&hub, CHAT, &[("origin", PAGE)], ASK).await;
    assert_eq!(header(&answering.stream.head, "access-control-allow-origin"), Some(PAGE));
    let exposed = header(&answering.stream.head, "access-control-expose-headers").unwrap();
    for name in ["Tidings-Stream", "Tidings-Stop-Token", "Location"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let target = format!("/streams/{}?token={}", answering.id, answering.stop);
    wire::ask(&hub.address, "DELETE", &target, &[foreign], "").await.refusal(403, "evil.example");
    assert_eq!(wire::ask(&hub.address, "DELETE", &target, &[("origin", PAGE)], "").await.status(), 204);
}

#[tokio::test]
async fn a_listed_page_may_send_what_sdks_send() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--allow-origin", PAGE]);
    let preflight = |method: &'static str, headers: &'static str| {
        let asked = [
            ("origin", PAGE),
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        let address = hub.address.clone();
        async move { wire::ask(&address, "OPTIONS", MESSAGES, &asked, "").await }
    };
    let answer = preflight("POST", "x-api-key,anthropic-version,x-stainless-lang").await;
    assert_eq!(answer.status(), 204);
    let allowed = answer.head.to_ascii_lowercase();
    for name in ["x-api-key", "anthropic-version", "x-stainless-lang", "idempotency-key", "content-type"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    let answer = preflight("DELETE", "authorization").await;
    assert!(answer.header("access-control-allow-methods").unwrap().contains("DELETE"));
}

#[tokio::test]
async fn asking_takes_a_right_of_its_own_and_reading_only_a_token() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--anonymous", "publish,subscribe"]);
    let json = ("content-type", "application/json");
    let answer = wire::ask(&hub.address, "POST", CHAT, &[json, ("host", "hub.example")], ASK).await;
    assert_eq!(answer.refusal(403, "\"gateway\"")["error"]["type"], "permission_error");
    let hub = gateway(&model, &["--anonymous", "gateway"]);
    let answering = ask(&hub, CHAT).await;
    assert_eq!(text(&without_close(watch(&hub, &answering.location, None).await.rest().await).0), chat(1));
}
