//! Where the commands find a token.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;

use crate::{net::token::VARIABLE, terminal};

/// The most bytes of a file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The token of a command line: a file, `-` for standard input, or the token itself; without one, the variable, or standard input.
pub(crate) fn token_shown(argument: Option<&str>) -> anyhow::Result<String> {
    let text = match argument {
        None => match env::var(VARIABLE) {
            Ok(token) => token,
            Err(_) => standard_input()?,
        },
        Some("-") => standard_input()?,
        Some(file) if Path::new(file).is_file() => {
            let mut text = String::new();
            let reading =
                fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
            reading.with_context(|| format!("the token cannot be read from {file}"))?;
            text
        }
        Some(token) => {
            terminal::say(&format!(
                "tidings: other users of this machine can see a token on a command line; put it into a file, or into {VARIABLE}"
            ));
            token.to_owned()
        }
    };
    let token = text.trim();
    Ok(token.strip_prefix("Bearer ").unwrap_or(token).trim_start().to_owned())
}

/// Whether the variable has a token, so that a command line needs none.
pub(super) fn has_variable() -> bool {
    env::var_os(VARIABLE).is_some()
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin().take(MAX_BYTES).read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}
