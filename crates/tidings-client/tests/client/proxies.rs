//! Through a proxy: requests that it passes on, tunnels, and refusals.

use std::sync::Arc;

use tidings_client::{Cause, Error, EventSource, HyperTransport, Item, TransportError};

use crate::{
    server::{Reply, Server, response, stream},
    trace::{chain, take},
};

/// A transport with a user name and a password for this proxy.
fn through(proxy: &Server) -> HyperTransport {
    let url = proxy.url("").replace("http://", "http://user:secret@");
    HyperTransport::new().with_proxy(&url).unwrap()
}

fn follow(url: &str, transport: HyperTransport) -> EventSource {
    EventSource::get(url).unwrap().with_transport(Arc::new(transport))
}

const AUTHORIZATION: Option<&str> = Some("Basic dXNlcjpzZWNyZXQ=");

#[tokio::test]
async fn a_request_for_http_is_passed_on() {
    let proxy = Server::start([stream().send("data: a\n\n").hold()]).await;
    let mut source = follow("http://hub.example/stream?x", through(&proxy));
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
    let request = &proxy.requests()[0];
    assert_eq!(request.line, "GET http://hub.example/stream?x HTTP/1.1");
    assert_eq!(request.header("host"), Some("hub.example"));
    assert_eq!(request.header("proxy-authorization"), AUTHORIZATION);
    drop(source);
    proxy.all_closed().await;
}

#[cfg(all(feature = "http2", feature = "tls"))]
#[tokio::test]
async fn a_tunnel_leads_to_the_server_that_never_sees_the_credentials() {
    use crate::hyper_server::{BY_H2, HyperServer, Way};
    use http::{Response, Version};

    for (way, version) in
        [(BY_H2, Version::HTTP_2), (Way::Tls(&[]), Version::HTTP_11), (Way::Clear, Version::HTTP_2)]
    {
        let server = HyperServer::start(way, |_| {
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body("data: a\n\n".into()).unwrap()
        })
        .await;
        let authority = server.url.parse::<http::Uri>().unwrap().authority().unwrap().to_string();
        let proxy = Server::start([response("HTTP/1.1 200 Connected").relay(&authority)]).await;
        let url = proxy.url("").replace("http://", "http://user:secret@");
        let mut source = follow(&server.url, server.transport.clone().with_proxy(&url).unwrap());
        assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
        assert_eq!(proxy.requests()[0].line, format!("CONNECT {authority} HTTP/1.1"));
        assert_eq!(proxy.requests()[0].header("host"), Some(&*authority));
        assert_eq!(proxy.requests()[0].header("proxy-authorization"), AUTHORIZATION);
        assert_eq!(server.requests()[0].version(), version);
        assert!(!server.requests()[0].headers().contains_key("proxy-authorization"));
        drop(source);
        proxy.all_closed().await;
        server.all_closed().await;
    }
}

/// The effect on a source of a proxy that answers with this status: the error that ends it, or the cause to try again.
async fn refused(url: &str, status: &str, with_password: bool) -> (bool, String) {
    let proxy = Server::start([response(&format!("HTTP/1.1 {status}\nContent-Length: 0"))]).await;
    let transport = if with_password {
        through(&proxy)
    } else {
        HyperTransport::new().with_proxy(&proxy.url("")).unwrap()
    };
    let (is_final, text) = match follow(url, transport).next().await {
        Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) => (false, chain(&error)),
        Some(Err(Error::Transport(error @ TransportError::Proxy { .. }))) => (true, chain(&error)),
        other => panic!("{other:?}"),
    };
    (is_final, text.replace(&proxy.url(""), "PROXY"))
}

#[tokio::test]
async fn a_refusal_names_the_proxy_and_says_what_to_do() {
    let (tunnel, plain) = ("https://hub.example/", "http://hub.example/");
    for (url, port) in [(tunnel, 443), (plain, 80)] {
        assert_eq!(
            refused(url, "407 Proxy Authentication Required", false).await,
            (
                true,
                format!(
                    "proxy PROXY: it answered 407 Proxy Authentication Required when asked for hub.example:{port}; \
                     put user and password into its URL: http://user:password@host:port"
                )
            )
        );
        let (is_final, text) = refused(url, "407 Proxy Authentication Required", true).await;
        assert!(is_final && text.ends_with("the user or password in its URL is wrong"), "{text}");
    }
    let (is_final, text) = refused(tunnel, "403 Forbidden", true).await;
    assert!(is_final && text.starts_with("proxy PROXY: it answered 403 Forbidden"), "{text}");
    assert!(text.ends_with("say so with NO_PROXY=hub.example"), "{text}");

    let (is_final, text) = refused(tunnel, "502 Bad Gateway", true).await;
    assert!(!is_final, "the server may come back");
    assert!(
        text.starts_with("cannot connect to hub.example:443: proxy PROXY: it answered 502 Bad Gateway"),
        "{text}"
    );
}

#[tokio::test]
async fn a_proxy_that_hangs_up_or_is_not_there_is_named() {
    let proxy = Server::start([Reply::default()]).await;
    let url = proxy.url("");
    let mut source = follow("https://hub.example/", through(&proxy));
    let Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) = source.next().await else { panic!() };
    let text = chain(&error);
    let expected = format!("cannot connect to hub.example:443: proxy {url} did not open a tunnel: ");
    assert!(text.starts_with(&expected), "{text}");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let transport = HyperTransport::new().with_proxy(&url.replace("//", "//user:secret@")).unwrap();
    let item = follow("http://hub.example/", transport).next().await;
    let Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) = item else { panic!() };
    let text = chain(&error);
    let expected = format!("cannot connect to hub.example:80: proxy {url} cannot be reached: ");
    assert!(text.starts_with(&expected), "{text}");
}

#[tokio::test]
async fn a_transport_without_proxy_goes_directly_and_shows_no_password() {
    let (proxy, server) = (Server::start([]).await, Server::start([stream()]).await);
    let transport = through(&proxy);
    assert!(!format!("{transport:?}").contains("secret"), "{transport:?}");
    take(&mut follow(&server.url("/"), transport.without_proxy()), 1).await;
    assert_eq!((server.requests().len(), proxy.requests().len()), (1, 0));
    let error = HyperTransport::new().with_proxy("socks5://user:secret@h").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}
