//! A server that is right is found right, and the report says which rules were not measured.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    doctor, rules, run,
    support::{HubProcess, program::program},
};

#[tokio::test]
async fn a_hub_has_no_finding_and_everything_is_numbered() {
    let hub = HubProcess::start(&[]);
    let began = Instant::now();
    let (code, report) = doctor(&[&format!("{}/topics/news", hub.url())]).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!((code, rules(&report), &report["verdict"]), (Some(0), vec![], &json!("clean")), "{report}");
    let numbers = &report["numbers"];
    assert_eq!(
        (&numbers["protocol"], &numbers["resume"], &numbers["end"]),
        (&json!("HTTP/1.1"), &json!("resumes"), &json!("204"))
    );
    for manner in ["identity", "gzip", "br", "zstd", "browser", "post", "any_accept"] {
        assert!(numbers["score"][manner].as_f64().unwrap() > 0.8, "{manner}: {numbers}");
    }
    let missing: Vec<_> = report["not_measured"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["what"].as_str().unwrap())
        .collect();
    assert!(
        missing.contains(&"HTTP/2") && missing.iter().any(|what| what.contains("silence")),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_hub_has_no_finding_over_tls_and_http2_either() {
    let directory = TempDir::new().unwrap();
    let encrypted = HubProcess::start(&["--data", directory.path().to_str().unwrap(), "--tls-dev"]);
    let plain = HubProcess::start(&[]);
    let https = format!("https://{}/topics/news", encrypted.address);
    let http = format!("{}/topics/news", plain.url());
    let certificate = directory.path().join("tls-dev-cert.pem");
    for (url, version, protocol) in
        [(&https, "--http2", "HTTP/2"), (&https, "--http1.1", "HTTP/1.1"), (&http, "--http2", "HTTP/2")]
    {
        let trust = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let (code, out) = run(&[url, version, "--json"], &trust).await;
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, rules(&report)), (Some(0), vec![]), "{url} {version}: {report}");
        let numbers = &report["numbers"];
        assert_eq!(numbers["protocol"], protocol, "{url} {version}");
        let (many, count) = if protocol == "HTTP/2" { ("streams", "120+") } else { ("connections", "7+") };
        assert_eq!(numbers[format!("{many}_at_a_time")], count, "{url} {version}");
    }
}

/// `tidings doctor origin`, ended when dropped.
struct Origin(Child);

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_origin_answers_at_every_path() {
    let mut command = program();
    command.args(["doctor", "origin", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut origin = Origin(command.spawn().unwrap());
    let mut line = String::new();
    let mut stderr = BufReader::new(origin.0.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let (_, url) = line.trim().split_once("every path of ").expect("it says where it is");
    let (code, report) = doctor(&[&format!("{url}/any/path?of=mine")]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec![]), "{report}");
    // The way there may leave out what the URL names.
    let there = url.strip_prefix("http://").unwrap();
    let (code, report) = doctor(&["http://app.internal/events", "--connect-to", there]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec![]), "{report}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_code_2_and_not_a_finding() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (code, report) = doctor(&[&format!("http://{address}/events")]).await;
    assert_eq!((code, &report["verdict"]), (Some(2), &json!("unreachable")));
}

#[tokio::test]
async fn a_rule_is_explained_without_a_url() {
    let (code, text) = run(&["--explain", "buffered"], &[]).await;
    assert!(code == Some(0) && text.contains("proxy_buffering off;"), "{text}");
    assert_eq!(run(&["--explain", "nonsense"], &[]).await.0, Some(64));
}
