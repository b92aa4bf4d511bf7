//! The file that has the key of tokens.

use std::{fs, path::Path};

use anyhow::Context;
use tidings_hub::{InvalidTokenKey, TokenKey, TokenKeys};

use crate::exit::UsageError;

/// Reads the file of the secret that tokens are made with.
pub(crate) fn read_token_key(file: &Path) -> anyhow::Result<TokenKey> {
    let key = TokenKey::parse(&read(file)?).map_err(|error| invalid(file, &error))?;
    warn_of_others(file);
    Ok(key)
}

/// Reads the file of the keys that tokens are verified with.
pub(crate) fn read_token_keys(file: &Path) -> anyhow::Result<TokenKeys> {
    let keys = TokenKeys::parse(&read(file)?).map_err(|error| invalid(file, &error))?;
    if keys.has_secret() {
        warn_of_others(file);
    }
    Ok(keys)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("the key cannot be read from {}", file.display()))
}

fn invalid(file: &Path, error: &InvalidTokenKey) -> anyhow::Error {
    anyhow::Error::new(UsageError(format!("{}: {error}", file.display())))
}

/// Warns if other users of the machine can read a key.
fn warn_of_others(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            let file = file.display();
            eprintln!("tidings: other users can read the key in {file}; run: chmod 600 {file}");
        }
    }
    #[cfg(not(unix))]
    let _ = file;
}
