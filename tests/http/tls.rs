//! `tidings serve` with a certificate.

use std::{fs, process::Command};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::support::{
    HubProcess,
    tls::{self, Certificate},
    wire::{Wire, head},
};

/// `GET /healthz` over TLS, as text.
async fn healthz(certificate: &CertificateDer<'static>, hub: &HubProcess) -> std::io::Result<String> {
    let mut stream = tls::connect(certificate, &hub.direct, "http/1.1").await?;
    stream.write_all(head(&hub.direct, "GET", "/healthz", &[("connection", "close")]).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_certificate_for_development_is_kept_with_the_history_and_can_be_trusted() {
    let directory = TempDir::new().expect("a place for the log");
    let path = directory.path().to_str().expect("a path of letters");
    let mut kept = Vec::new();
    for _ in 0..2 {
        let hub = HubProcess::start(&["--data", path, "--tls-dev"]);
        assert!(hub.greeting.contains("https://"), "{}", hub.greeting);
        let pem = fs::read(directory.path().join("tls-dev-cert.pem")).expect("it is kept");
        let der = CertificateDer::from_pem_slice(&pem).expect("it is PEM");
        let answer = healthz(&der, &hub).await.expect("who trusts it is answered");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok\n"), "{answer}");
        kept.push(pem);
    }
    assert_eq!(kept[0], kept[1], "a browser that has accepted it need not do so again");
    let key = directory.path().join("tls-dev-key.pem");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(key).expect("it is kept")) & 0o077, 0);
}

#[tokio::test]
async fn a_request_without_tls_is_told_what_the_port_speaks() {
    let hub = HubProcess::start(&["--tls-dev"]);
    let mut wire = Wire::connect(&hub.direct).await;
    wire.write(head(&hub.direct, "GET", "/topics/a", &[])).await;
    wire.answer().await.refusal(400, "https://");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_certificate_is_read_on_sighup_and_a_broken_one_is_not_taken() {
    let (files, new) = (Certificate::new(), Certificate::new());
    let old = CertificateDer::from_pem_slice(&fs::read(files.file()).expect("a file")).expect("PEM");
    let flags = files.flags();
    let hub = HubProcess::start(&flags.each_ref().map(|flag| &**flag));
    let hang_up = || {
        let killed = Command::new("kill").args(["-HUP", &hub.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
    };
    healthz(&old, &hub).await.expect("the old one is in use");

    fs::write(files.file(), "no certificate").expect("a file");
    hang_up();
    healthz(&old, &hub).await.expect("the old one stays in use");

    for (from, to) in [(new.file(), files.file()), (new.key(), files.key())] {
        fs::copy(from, to).expect("a file");
    }
    let new = CertificateDer::from_pem_slice(&fs::read(new.file()).expect("a file")).expect("PEM");
    hang_up();
    let read = async { while healthz(&new, &hub).await.is_err() {} };
    tokio::time::timeout(crate::support::wire::PATIENCE, read).await.expect("the new one is taken");
    healthz(&old, &hub).await.expect_err("the old one is gone");
}
