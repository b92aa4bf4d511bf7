//! Nothing that is written has a secret in it.

use std::{
    fs,
    io::Write,
    sync::{Mutex, PoisonError},
};

use tidings_hub::Audit;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Logged {
    type Writer = Logged;

    fn make_writer(&'w self) -> Logged {
        self.clone()
    }
}

const ROUTES: [(&str, &str); 17] = [
    ("GET", "/topics/news"),
    ("GET", "/topics?topic=news&topic=users/alice/*"),
    ("POST", "/topics/news"),
    ("GET", "/subscribers"),
    ("GET", "/subscribers?topic=news"),
    ("GET", "/attachments/x"),
    ("GET", "/probe"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("POST", "/tickets"),
    ("POST", "/session"),
    ("DELETE", "/session"),
    ("POST", "/revocations"),
    ("GET", "/revocations"),
    ("DELETE", "/revocations/x"),
    ("GET", "/nothing"),
];

#[tokio::test]
async fn no_secret_of_any_route_is_in_the_log_the_metrics_the_audit_or_an_answer() {
    let logged = Logged::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logged.clone()).finish();
    // This runtime has one thread, and the hub is on it.
    let _guard = tracing::subscriber::set_default(subscriber);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let audit = Audit::open(&path, true).unwrap();
    let setup = Setup::new(|control| {
        let control = control.with_audit(audit.clone()).with_cookie("__Host-tidings").unwrap();
        control.with_revocations_in(directory.path()).unwrap()
    })
    .await;
    let good = of_user("alice");
    let ticket = setup.ticket(&good, &json!({ "topics": ["news"] })).await;
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([7; 32]));
    let basic = URL_SAFE_NO_PAD.encode("user:tdk_abcdefgh_secretsecretsecretsecretsecret12");
    let key = "tdk_abcdefgh_secretsecretsecretsecretsecret34";
    let unknown_ticket = "tdt_SecretSecretSecretSec1";
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let secrets = [
        signature(&good),
        signature(&forged),
        ticket[4..].to_owned(),
        unknown_ticket[4..].to_owned(),
        basic.clone(),
        "secretsecretsecretsecretsecret".to_owned(),
    ];
    let mut written = Vec::new();
    for (method, target) in ROUTES {
        let with = |name: &str, value: &str| {
            let mark = if target.contains('?') { '&' } else { '?' };
            format!("{target}{mark}{name}={value}")
        };
        let cookie = |token: &str| format!("Cookie: __Host-tidings={token}\r\n");
        for (target, headers) in [
            (target.to_owned(), bearer(&forged)),
            (target.to_owned(), bearer(key)),
            (target.to_owned(), bearer(&ticket)),
            (target.to_owned(), format!("Authorization: Basic {basic}\r\n")),
            (target.to_owned(), format!("Authorization: Unknown {basic}\r\n")),
            (target.to_owned(), cookie(&forged)),
            (with("ticket", &ticket), String::new()),
            (with("ticket", unknown_ticket), String::new()),
            (with("token", &good), String::new()),
        ] {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: hub.example\r\nConnection: close\r\nContent-Length: 2\r\n{headers}\r\n{{}}"
            );
            let mut socket = TcpStream::connect(setup.address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            // A stream would not end.
            let mut answer = vec![0; 64 << 10];
            let count = soon(&target, socket.read(&mut answer)).await.unwrap();
            written.extend_from_slice(&answer[..count]);
        }
        // Last of all, since the session ends.
        if method != "DELETE" {
            let answer = setup.ask(method, "/subscribers", &cookie(&good), "").await;
            written.extend_from_slice(answer.body.as_bytes());
        }
    }
    for path in ["/metrics", "/subscribers", "/revocations", "/readyz"] {
        written.extend_from_slice(setup.ask("GET", path, "", "").await.body.as_bytes());
    }
    setup.hub.shutdown().await;
    written.extend_from_slice(format!("{:?}", setup.hub).as_bytes());
    drop((setup, audit));
    for entry in fs::read_dir(directory.path()).unwrap() {
        written.extend(fs::read(entry.unwrap().path()).unwrap());
    }
    let log = logged.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.len() > 1_000, "nothing was logged");
    written.extend(log);
    let written = String::from_utf8_lossy(&written);
    assert!(written.contains("\"event\":\"refused\"") && written.contains("token-not-accepted"));
    for secret in &secrets {
        if let Some(at) = written.find(&**secret) {
            let line = written[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("a secret was written: {}", &written[line..at + secret.len()]);
        }
    }
}
