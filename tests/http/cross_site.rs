//! Pages of other sites: what they may do, and that they learn why when they may not.

use crate::support::{
    HubProcess,
    wire::{Answer, ELSEWHERE, Headers, JSON, Stream, TEXT, Wire, ask, data, head, header, page, say},
};

const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";

async fn get(hub: &HubProcess, target: &str, headers: Headers<'_>) -> Answer {
    ask(&hub.address, "GET", target, headers, "").await
}

async fn publish(hub: &HubProcess, headers: Headers<'_>) -> Answer {
    let headers: Vec<_> = headers.iter().copied().chain([TEXT]).collect();
    ask(&hub.address, "POST", "/topics/a", &headers, "x").await
}

/// Checks that a page of `APP` may read this answer, credentials sent or not.
#[track_caller]
fn is_shared(head: &str) {
    assert_eq!(header(head, "access-control-allow-origin"), Some(APP), "{head}");
    assert_eq!(header(head, "access-control-allow-credentials"), Some("true"), "{head}");
    let vary = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("vary:"));
    assert!(vary.into_iter().any(|line| line.to_ascii_lowercase().contains("origin")), "{head}");
    let exposed = header(head, "access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(exposed.contains("tidings-resume") && exposed.contains("tidings-hub"), "{head}");
}

#[tokio::test]
async fn a_publish_of_a_foreign_page_is_refused() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    for origin in [
        EVIL,
        "null",
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://sub.app.example",
        "https://app.example/",
        "https://app.example,https://evil.example",
        "http://127.0.0.1:1",
        "",
        "garbage",
    ] {
        let answer = publish(&hub, &[("origin", origin)]).await;
        answer.refusal(403, "--allow-origin");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn a_foreign_origin_is_refused_for_bodies_of_every_kind() {
    let hub = HubProcess::start(&[]);
    for content_type in ["text/event-stream", "application/x-ndjson", "application/json", "image/png"] {
        let headers = [("origin", EVIL), ("content-type", content_type)];
        let answer = ask(&hub.address, "POST", "/topics/a?close=x", &headers, "data: x\n\n").await;
        answer.refusal(403, EVIL);
    }
    say(&hub.address, "/topics/a", "it is open").await;
}

#[tokio::test]
async fn two_origins_are_not_one_that_is_listed() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    for pair in [[APP, EVIL], [EVIL, APP]] {
        let answer = publish(&hub, &[("origin", pair[0]), ("origin", pair[1])]).await;
        assert!([400, 403].contains(&answer.status()), "{answer:?}");
    }
}

#[tokio::test]
async fn the_hubs_own_pages_and_no_page_may_publish() {
    let hub = HubProcess::start(&[]);
    let own = hub.url();
    assert_eq!(publish(&hub, &[("origin", &own)]).await.status(), 200);
    assert_eq!(publish(&hub, &[]).await.status(), 200);
    let (_, port) = hub.address.rsplit_once(':').expect("an address has a port");
    let (host, origin) = (format!("localhost:{port}"), format!("http://localhost:{port}"));
    assert_eq!(publish(&hub, &[("host", &host), ("origin", &origin)]).await.status(), 200);
}

#[tokio::test]
async fn a_listed_page_may_publish_and_read_the_answer() {
    let hub = HubProcess::start(&["--allow-origin", "https://first.example", "--allow-origin", APP]);
    let answer = publish(&hub, &[("origin", APP)]).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    is_shared(&answer.head);
}

#[tokio::test]
async fn every_status_can_be_read_by_a_listed_page() {
    let hub = HubProcess::start(&["--allow-origin", APP, "--max-data", "1KiB"]);
    let origin = ("origin", APP);
    let stream = Stream::open(&hub.address, "/topics/a", &[origin]).await;
    is_shared(&stream.head);
    is_shared(&Stream::open(&hub.address, "/topics/a", &[origin, ("last-event-id", "x")]).await.head);
    for (target, headers, status) in [
        ("/topics/a", vec![JSON], 200),
        ("/topics/a%00", vec![], 400),
        ("/nowhere", vec![], 404),
        ("/topics/a", vec![("accept", "image/png")], 406),
        ("/healthz", vec![], 200),
    ] {
        let all: Vec<_> = headers.into_iter().chain([origin]).collect();
        let answer = get(&hub, target, &all).await;
        assert_eq!(answer.status(), status, "{answer:?}");
        is_shared(&answer.head);
    }
    for (method, target, body, status) in [
        ("DELETE", "/topics/a", String::new(), 405),
        ("POST", "/topics/a", "x".repeat(1025), 413),
        ("POST", "/topics/a?id=i", "1".to_owned(), 200),
        ("POST", "/topics/a?id=i", "2".to_owned(), 409),
        ("POST", "/topics/a?private", "x".to_owned(), 403),
        ("POST", "/topics/closed?close=x", String::new(), 200),
        ("GET", "/topics/closed", String::new(), 204),
    ] {
        let headers = if method == "POST" { vec![origin, TEXT] } else { vec![origin] };
        let answer = ask(&hub.address, method, target, &headers, body).await;
        assert_eq!(answer.status(), status, "{method} {target}: {answer:?}");
        is_shared(&answer.head);
    }
    let answer =
        ask(&hub.address, "POST", "/topics/a", &[origin, ("content-type", "multipart/mixed")], "x").await;
    answer.refusal(415, "multipart/mixed");
    is_shared(&answer.head);
}

#[tokio::test]
async fn a_listed_page_can_read_that_its_host_is_unknown() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    let answer = get(&hub, "/topics/a", &[("host", "hub.example"), ("origin", APP)]).await;
    answer.refusal(421, "--allow-host");
    is_shared(&answer.head);
}

#[tokio::test]
async fn a_preflight_allows_what_the_hub_reads() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    for target in ["/topics/a", "/topics?topic=a"] {
        let headers = [
            ("origin", APP),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,idempotency-key,last-event-id"),
        ];
        let answer = ask(&hub.address, "OPTIONS", target, &headers, "").await;
        assert!([200, 204].contains(&answer.status()), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(APP));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        for name in ["last-event-id", "idempotency-key", "authorization", "content-type"] {
            // With credentials a star means the header of that name.
            assert!(allowed.split(',').any(|field| field.trim() == name), "{name}: {answer:?}");
        }
        let methods = answer.header("access-control-allow-methods").unwrap_or_default();
        assert!(methods.contains("POST") && !methods.contains('*'), "{answer:?}");
    }
}

#[tokio::test]
async fn a_listed_page_may_send_whatever_headers_it_asks_for() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    let long = "x-a,".repeat(2_000);
    for (asked, allowed) in [
        ("traceparent", vec!["traceparent"]),
        ("traceparent, baggage,Sentry-Trace", vec!["traceparent", "baggage", "sentry-trace"]),
        ("x-requested-with,cache-control", vec!["x-requested-with", "cache-control"]),
        ("", vec![]),
        ("x-a b", vec![]),
        ("*", vec![]),
        ("x-a\"", vec![]),
        (&long, vec![]),
    ] {
        let headers = [
            ("origin", APP),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", asked),
        ];
        let answer = ask(&hub.address, "OPTIONS", "/topics/a", &headers, "").await;
        assert_eq!(answer.status(), 204, "{answer:?}");
        let mut names: Vec<_> = answer
            .head
            .to_ascii_lowercase()
            .lines()
            .filter_map(|line| line.strip_prefix("access-control-allow-headers:").map(str::to_owned))
            .flat_map(|line| line.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
            .collect();
        names.retain(|name| {
            !["last-event-id", "idempotency-key", "authorization", "content-type"].contains(&&**name)
        });
        assert_eq!(names, allowed, "{asked:?}");
    }
}

#[tokio::test]
async fn a_preflight_of_an_unlisted_page_allows_nothing() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    let headers = [("origin", EVIL), ("access-control-request-method", "POST")];
    let answer = ask(&hub.address, "OPTIONS", "/topics/a", &headers, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer:?}");
}

#[tokio::test]
async fn an_unlisted_page_can_read_nothing() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    say(&hub.address, "/topics/a", "secret").await;
    for headers in [vec![("origin", EVIL)], vec![("origin", "null")], vec![("origin", EVIL), JSON]] {
        let mut wire = Wire::connect(&hub.address).await;
        wire.write(head(&hub.address, "GET", "/topics/a?from=start", &headers)).await;
        let head = wire.head().await;
        assert_eq!(header(&head, "access-control-allow-origin"), None, "{head}");
        assert_eq!(header(&head, "access-control-allow-credentials"), None, "{head}");
        assert!(head.starts_with("HTTP/1.1 403 "), "nothing is looked up for it: {head}");
    }
}

#[tokio::test]
async fn nothing_is_looked_up_for_a_foreign_page_that_could_not_read_it() {
    let hub = HubProcess::start(&["--allow-origin", APP]);
    let of_foreign_page = ("sec-fetch-site", "cross-site");
    for dest in ["image", "script", "iframe", "empty"] {
        for target in ["/topics/a/*", "/topics?topic=a&topic=b", "/subscribers", "/subscribers?topic=a"] {
            let headers = [of_foreign_page, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", dest), JSON];
            get(&hub, target, &headers).await.refusal(403, "Sec-Fetch-Site");
            let headers = [("origin", EVIL), of_foreign_page, ("sec-fetch-dest", dest), JSON];
            get(&hub, target, &headers).await.refusal(403, EVIL);
        }
    }
    // Somebody follows a link; pages that are listed or of the hub itself; programs; and what anybody may show.
    let own = hub.url();
    for headers in [
        vec![of_foreign_page, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        vec![of_foreign_page, ("sec-fetch-dest", "empty"), ("origin", APP)],
        vec![("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")],
        vec![("sec-fetch-site", "same-origin"), ("origin", &own)],
        vec![("sec-fetch-site", "same-site"), ("sec-fetch-dest", "empty")],
        vec![("sec-fetch-site", "none"), ("sec-fetch-dest", "document")],
        vec![],
    ] {
        let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
        assert_eq!(get(&hub, "/topics/a", &headers).await.status(), 200, "{headers:?}");
    }
    for target in ["/", "/tidings.js"] {
        assert_eq!(get(&hub, target, &[of_foreign_page, ("sec-fetch-dest", "script")]).await.status(), 200);
    }
}

#[tokio::test]
async fn answers_vary_by_origin_when_the_list_decides() {
    // A cache that kept the answer to one page must not give it to another, nor one without an origin to a page.
    let hub = HubProcess::start(&["--allow-origin", APP]);
    let without = get(&hub, "/topics/a", &[JSON]).await;
    let vary = without.head.to_ascii_lowercase();
    assert!(vary.lines().any(|line| line.starts_with("vary:") && line.contains("origin")), "{without:?}");
}

#[tokio::test]
async fn an_unknown_host_is_misdirected_and_learns_the_flag() {
    let hub = HubProcess::start(&[]);
    let (_, port) = hub.address.rsplit_once(':').expect("an address has a port");
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "evil@localhost",
        "",
    ] {
        for (method, target) in
            [("GET", "/topics/a"), ("POST", "/topics/a"), ("GET", "/"), ("GET", "/metrics")]
        {
            let answer = ask(&hub.address, method, target, &[("host", host), TEXT], "").await;
            // A host that cannot be parsed may be a bad request as well.
            if answer.status() != 400 {
                answer.refusal(421, "--allow-host");
            }
        }
    }
    for host in [
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
        "127.0.0.1".into(),
    ] {
        assert_eq!(get(&hub, "/healthz", &[("host", &host)]).await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn a_rebound_name_cannot_publish_as_its_own_origin() {
    // After rebinding, the page's origin equals the host it asks.
    let hub = HubProcess::start(&[]);
    let answer = publish(&hub, &[("host", "evil.example"), ("origin", "http://evil.example")]).await;
    answer.refusal(421, "evil.example");
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn a_target_with_an_authority_is_held_to_the_same_hosts() {
    let hub = HubProcess::start(&[]);
    let answer = get(&hub, "http://evil.example/topics/a", &[JSON]).await;
    assert!([400, 421].contains(&answer.status()), "the target's host beats the header's: {answer:?}");
}

#[tokio::test]
async fn a_named_host_or_an_access_rule_opens_the_door() {
    let named = HubProcess::start(&["--allow-host", "hub.example"]);
    assert_eq!(get(&named, "/", &[("host", "hub.example")]).await.status(), 200);
    assert_eq!(get(&named, "/", &[("host", "Hub.Example:8080")]).await.status(), 200);
    get(&named, "/", &[("host", "a.hub.example")]).await.refusal(421, "a.hub.example");
    let ruled = HubProcess::start(&["--anonymous", "publish,subscribe"]);
    assert_eq!(get(&ruled, "/", &[("host", "anything.example")]).await.status(), 200);
}

#[tokio::test]
async fn hosts_that_are_named_are_the_only_ones_under_an_access_rule_too() {
    // After rebinding, a page of rebound.example reaches the hub in its visitor's network as its own origin.
    let flags =
        ["--anonymous", "publish,subscribe", "--allow-host", "hub.example", "--allow-host", "10.0.0.7"];
    let hub = HubProcess::start(&flags);
    for host in ["rebound.example", "a.hub.example", "10.0.0.8", "hub.example.evil.example"] {
        let headers = [("host", host), ("origin", &*format!("http://{host}"))];
        publish(&hub, &headers).await.refusal(421, host);
        get(&hub, "/topics/a", &[("host", host), JSON]).await.refusal(421, "--allow-host");
    }
    for host in ["hub.example", "HUB.example:80", "10.0.0.7:4400", "localhost", "127.0.0.1:1"] {
        assert_eq!(publish(&hub, &[("host", host)]).await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn health_is_told_under_any_name_and_to_any_page() {
    for flags in [&[][..], &["--allow-host", "hub.example"], &["--anonymous", "publish", "--allow-host", "a"]]
    {
        let hub = HubProcess::start(flags);
        for path in ["/healthz", "/readyz"] {
            for headers in [&[("host", "10.1.2.3:4400")][..], &[("host", "evil.example"), ("origin", EVIL)]] {
                let answer = get(&hub, path, headers).await;
                assert_eq!(answer.status(), 200, "{answer:?}");
                assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
            }
        }
        get(&hub, "/metrics", &[("host", "evil.example")]).await.refusal(421, "evil.example");
    }
}

#[tokio::test]
async fn a_hub_of_this_machine_takes_nothing_that_a_proxy_passes_on() {
    let hub = HubProcess::start(&[]);
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
        let answer = publish(&hub, &[(name, "203.0.113.7")]).await;
        answer.refusal(403, name);
        get(&hub, "/topics/a", &[(name, "203.0.113.7")]).await.refusal(403, "--key-file");
        assert_eq!(get(&hub, "/healthz", &[(name, "203.0.113.7")]).await.status(), 200);
    }
}

#[tokio::test]
async fn with_anonymous_readers_a_program_on_this_machine_publishes_and_no_other() {
    let hub = HubProcess::start(&["--anonymous", "subscribe"]);
    assert_eq!(publish(&hub, &[]).await.status(), 200);
    for elsewhere in [ELSEWHERE, ("x-forwarded-for", "203.0.113.7"), ("via", "1.1 proxy")] {
        publish(&hub, &[elsewhere]).await.refusal(403, "publish");
    }
    publish(&hub, &[("origin", "https://evil.example")]).await.refusal(403, "evil.example");
    Stream::live(&hub.address, "/topics/a").await;
}

#[tokio::test]
async fn a_client_that_may_only_subscribe_cannot_publish() {
    let hub = HubProcess::start(&["--anonymous", "subscribe"]);
    let answer = publish(&hub, &[ELSEWHERE]).await;
    assert!([401, 403].contains(&answer.status()), "{answer:?}");
    answer.refusal(answer.status(), "publish");
    Stream::live(&hub.address, "/topics/a").await;
    let hub = HubProcess::start(&["--anonymous", "publish"]);
    assert_eq!(publish(&hub, &[]).await.status(), 200);
    for headers in [vec![ELSEWHERE], vec![ELSEWHERE, JSON]] {
        let answer = get(&hub, "/topics/a", &headers).await;
        assert!([401, 403].contains(&answer.status()), "{answer:?}");
    }
}
