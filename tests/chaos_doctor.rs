//! `tidings doctor` judged by `tidings chaos`: each fault that is done on purpose is found, and nothing else.

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{HubProcess, chaos::Chaos, program::program};
use tokio::{process::Command, task::JoinSet};

/// A fault, the flags that the doctor needs to see it, and the rules that it breaks.
const FAULTS: &[(&str, &[&str], &[&str])] = &[
    ("status=502", &[], &["bad-status"]),
    ("redirect", &[], &["redirect"]),
    ("cached", &[], &["cached"]),
    ("strip-last-event-id", &[], &["last-event-id-ignored"]),
    ("duplicate-on-resume", &[], &["duplicate-after-resume"]),
    ("content-type=text/plain", &[], &["wrong-content-type"]),
    ("content-type=text/html", &[], &["html-page"]),
    ("content-length", &[], &["content-length"]),
    ("connection-header", &["--http2"], &["forbidden-header"]),
    // Over HTTP/1.1 the header is allowed.
    ("connection-header", &[], &[]),
    ("crlf-split", &[], &["carriage-returns"]),
    ("bom", &[], &["byte-order-mark"]),
    ("one-behind", &[], &["one-behind"]),
    ("hold=8KiB", &[], &["buffered"]),
    ("hold-all", &[], &["buffered"]),
    ("gzip", &[], &["buffered-compressed"]),
    ("drip", &[], &["slow"]),
    // That it was the silence takes two minutes to tell.
    ("idle-cut=2s", &[], &["broken-off"]),
    ("lifetime=8s", &["--long"], &["lifetime-cut"]),
];

/// The rules that a stream breaks, in the doctor's opinion.
async fn rules(url: &str, flags: &[&str]) -> Vec<String> {
    let output = Command::from(program())
        .args(["doctor", url, "--json"])
        .args(flags)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the doctor comes");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report but {}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().expect("a list of findings");
    findings.iter().map(|finding| finding["rule"].as_str().expect("each has a rule").to_owned()).collect()
}

#[tokio::test]
async fn a_clean_hub_has_no_finding() {
    let hub = HubProcess::start(&[]);
    assert_eq!(rules(&format!("{}/topics/a", hub.url()), &[]).await, [""; 0]);
}

#[tokio::test]
async fn a_proxy_that_spoils_nothing_has_no_finding() {
    let hub = HubProcess::start(&[]);
    let chaos = Chaos::start(&hub.url(), &[]);
    for flags in [&[][..], &["--http2"]] {
        assert_eq!(rules(&format!("{}/topics/a", chaos.url()), flags).await, [""; 0]);
    }
}

#[tokio::test]
async fn each_fault_breaks_its_own_rule_and_no_other() {
    let hub = HubProcess::start(&[]);
    // At the same time: the doctor mostly waits.
    let mut visits = JoinSet::new();
    for (fault, flags, expected) in FAULTS {
        let chaos = Chaos::start(&hub.url(), &[fault]);
        visits.spawn(async move {
            let found = rules(&format!("{}/topics/a", chaos.url()), flags).await;
            (found != *expected).then(|| format!("{fault}: {found:?} instead of {expected:?}"))
        });
    }
    let wrong: Vec<_> = visits.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[ignore = "it takes 130 s; ./check soak runs it"]
async fn an_idle_cut_is_told_from_a_lifetime() {
    let hub = HubProcess::start(&[]);
    let chaos = Chaos::start(&hub.url(), &["idle-cut=4s"]);
    assert_eq!(rules(&format!("{}/topics/a", chaos.url()), &["--idle"]).await, ["idle-cut"]);
}
