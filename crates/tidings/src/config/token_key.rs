//! The file that has the key of tokens.

use std::{fs, path::Path};

use anyhow::Context;
use tidings_hub::TokenKey;

use crate::exit::UsageError;

/// Reads the file of a key.
pub(crate) fn read_token_key(file: &Path) -> anyhow::Result<TokenKey> {
    let text = fs::read(file).with_context(|| format!("the key cannot be read from {}", file.display()))?;
    warn_of_others(file);
    TokenKey::parse(&text)
        .map_err(|error| anyhow::Error::new(UsageError(format!("{}: {error}", file.display()))))
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
