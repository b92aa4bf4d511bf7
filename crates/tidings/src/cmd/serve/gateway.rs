//! The gateway of a hub: its upstream, its key, and the secret of its tokens.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use tidings_hub::gateway::{GatewaySettings, Secret};

use crate::{cli::Serve, config::Settings, exit::UsageError};

/// Has the secret of the tokens, in the directory of the history, so that both come and go together.
const SECRET_FILE: &str = "stream-secret";

/// The least that a secret may have, in bytes.
const MIN_SECRET: usize = 16;

/// The settings that were asked for, if a gateway was.
pub(super) fn settings(serve: &Serve, settings: &Settings) -> anyhow::Result<Option<GatewaySettings>> {
    let flags = &serve.gateway;
    let Some(upstream) = &flags.upstream else { return Ok(None) };
    let mut gateway = settings.gateway.clone();
    gateway.token_secret = secret(serve, settings.log_url.directory())?;
    gateway.upstream = GatewaySettings::new(upstream, gateway.token_secret.clone())
        .map_err(|error| UsageError(error.to_string()))?
        .upstream;
    gateway.upstream_key = flags.upstream_key_env.as_deref().map(from_environment).transpose()?;
    Ok(Some(gateway))
}

fn secret(serve: &Serve, directory: Option<&Path>) -> anyhow::Result<Secret> {
    if let Some(name) = &serve.gateway.stream_secret_env {
        let secret = from_environment(name)?;
        if secret.expose().len() < MIN_SECRET {
            return Err(UsageError(format!(
                "the secret in {name} has less than {MIN_SECRET} bytes; use a longer one"
            ))
            .into());
        }
        return Ok(secret);
    }
    let Some(directory) = directory else {
        return Secret::random().context("the operating system gives no random bytes");
    };
    let path = directory.join(SECRET_FILE);
    kept_secret(&path)
        .with_context(|| format!("the secret of stream tokens cannot be kept in {}", path.display()))
}

/// The secret in a file, which only its owner may read; a new one if there is none yet.
fn kept_secret(path: &Path) -> anyhow::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim();
            anyhow::ensure!(
                text.len() >= MIN_SECRET,
                "the file is damaged; remove it, and the tokens from before become invalid"
            );
            return Ok(Secret::new(text));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let secret = Secret::random()?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Whole or not at all, also if the process ends in between.
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(secret.expose().as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // Only then does the new name outlive a power cut: tokens that were given out would be unknown after it.
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        fs::File::open(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?
            .sync_all()?;
    }
    Ok(secret)
}

fn from_environment(name: &str) -> anyhow::Result<Secret> {
    match std::env::var(name) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        Ok(_) => Err(UsageError(format!("the environment variable {name} is empty")).into()),
        Err(std::env::VarError::NotPresent) => {
            Err(UsageError(format!("the environment variable {name} is not set")).into())
        }
        Err(error) => {
            Err(UsageError(format!("the environment variable {name} cannot be read: {error}")).into())
        }
    }
}
