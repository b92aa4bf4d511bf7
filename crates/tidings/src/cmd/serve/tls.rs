//! The certificate of a hub: the operator's, or one for development.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use tidings_hub::Tls;

use crate::{cli::Serve, exit::Hint};

/// The names in a certificate for development.
const DEV_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DEV_CERTIFICATE: &str = "tls-dev-cert.pem";
const DEV_KEY: &str = "tls-dev-key.pem";

/// A certificate, and what to say of it.
pub(super) struct Certificate {
    pub(super) tls: Tls,
    pub(super) origin: Origin,
}

/// Where a certificate is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The files that the operator named, to be read again.
    Files { certificate: PathBuf, key: PathBuf },
    /// Made here, and kept in this file.
    Kept(PathBuf),
    /// Made here, and gone with the process.
    Memory,
}

/// The certificate that was asked for; the directory of the history is there already.
pub(super) fn open(serve: &Serve, directory: Option<&Path>) -> anyhow::Result<Option<Certificate>> {
    if let (Some(certificate), Some(key)) = (&serve.tls_cert, &serve.tls_key) {
        let tls = read(certificate, key)?;
        let origin = Origin::Files { certificate: certificate.clone(), key: key.clone() };
        return Ok(Some(Certificate { tls, origin }));
    }
    if !serve.tls_dev {
        return Ok(None);
    }
    let Some(directory) = directory else {
        let (certificate, key) = make()?;
        let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes())?;
        return Ok(Some(Certificate { tls, origin: Origin::Memory }));
    };
    let (certificate, key) = (directory.join(DEV_CERTIFICATE), directory.join(DEV_KEY));
    if !(certificate.exists() && key.exists()) {
        keep(&certificate, &key)?;
    }
    let tls = read(&certificate, &key).context(Hint(format!(
        "remove {} and {}, and a new certificate is made",
        certificate.display(),
        key.display()
    )))?;
    Ok(Some(Certificate { tls, origin: Origin::Kept(certificate) }))
}

impl Certificate {
    /// Says what the connections are encrypted with, and how a client comes to trust it.
    pub(super) fn describe(&self) -> String {
        match &self.origin {
            Origin::Files { certificate, .. } => format!("the certificate in {}", certificate.display()),
            Origin::Kept(certificate) => format!(
                "a certificate for development, {}: a browser warns once; curl trusts it with --cacert {0}",
                certificate.display()
            ),
            Origin::Memory => "a certificate for development, until this process ends: a browser warns; \
                               curl takes it with -k"
                .into(),
        }
    }

    /// The flags that make curl trust it.
    pub(super) fn curl_flags(&self) -> String {
        match &self.origin {
            Origin::Files { .. } => String::new(),
            Origin::Kept(certificate) => format!(" --cacert {}", certificate.display()),
            Origin::Memory => " -k".into(),
        }
    }

    /// Reads the files again, if there are any.
    pub(super) fn reload(&self) {
        let Origin::Files { certificate, key } = &self.origin else {
            tracing::info!(
                "the certificate for development stays in use: it is not in a file that can be renewed"
            );
            return;
        };
        match pem(certificate).and_then(|chain| Ok(self.tls.replace(&chain, &pem(key)?)?)) {
            Ok(()) => tracing::info!(file = %certificate.display(), "the certificate was read again"),
            Err(error) => tracing::error!("the old certificate stays in use: {error:#}"),
        }
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<Tls> {
    Tls::from_pem(&pem(certificate)?, &pem(key)?)
        .with_context(|| format!("{} and {} cannot be used", certificate.display(), key.display()))
}

fn pem(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// A new certificate and its key, as PEM.
fn make() -> anyhow::Result<(String, String)> {
    let names = DEV_NAMES.map(String::from);
    let made = rcgen::generate_simple_self_signed(names).context("no certificate can be made")?;
    Ok((encode("CERTIFICATE", made.cert.der()), encode("PRIVATE KEY", &made.signing_key.serialize_der())))
}

fn encode(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

/// Makes a certificate and keeps it in files; the key is for the hub's own user alone.
fn keep(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let (made, made_key) = make()?;
    for (file, text) in [(key, made_key), (certificate, made)] {
        write_private(file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}
