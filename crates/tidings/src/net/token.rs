//! The token that a command sends to a hub.

use std::{fmt, path::PathBuf};

use anyhow::{Context, bail};
use http::HeaderValue;

/// The variable that has a token. It is no flag: `ps` shows the arguments of a command to everyone on the machine.
pub(crate) const VARIABLE: &str = "TIDINGS_TOKEN";

/// A hub takes tokens of at most 16 KiB.
const MAX_BYTES: u64 = 64 << 10;

/// Where the token is. `Debug` does not show it.
#[derive(Clone)]
pub(crate) enum Token {
    /// It is read for each request, because another program may replace it.
    File(PathBuf),
    Given(String),
}

impl Token {
    /// The file that the command line names, or the token in `TIDINGS_TOKEN`. `None` without either.
    pub(crate) fn of_hub(file: Option<&PathBuf>) -> Option<Token> {
        let of_variable = || std::env::var(VARIABLE).ok().filter(|token| !token.is_empty());
        file.cloned().map(Token::File).or_else(|| of_variable().map(Token::Given))
    }

    /// The token.
    ///
    /// # Errors
    /// The file cannot be read, or has no token. The error does not show what the file has.
    pub(crate) fn read(&self) -> anyhow::Result<String> {
        let (text, place) = match self {
            Token::Given(token) => (token.clone(), VARIABLE.to_owned()),
            Token::File(path) => {
                let place = path.display().to_string();
                let unreadable = || format!("cannot read the token in {place}");
                let length = std::fs::metadata(path).with_context(unreadable)?.len();
                if length > MAX_BYTES {
                    bail!("{place} has {length} bytes; a file with a token has at most {MAX_BYTES}");
                }
                (std::fs::read_to_string(path).with_context(unreadable)?, place)
            }
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{place} has no token: a token is one word of ASCII, as `tidings token mint` prints it");
        }
        Ok(token.to_owned())
    }

    /// The value of an `Authorization` header.
    ///
    /// # Errors
    /// As of [`read`](Token::read).
    pub(crate) fn header(&self) -> anyhow::Result<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.read()?))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_token_that_is_none_does_not_show_it() {
        for text in ["", " \n", "sec ret", "sec\nret", "sécret"] {
            let error = Token::Given(text.to_owned()).header().unwrap_err().to_string();
            assert!(error.contains("TIDINGS_TOKEN has no token") && !error.contains("ret"), "{error}");
        }
        let given = Token::Given(" tdk_a\n".to_owned());
        assert_eq!(given.header().unwrap(), "Bearer tdk_a");
        assert!(!format!("{given:?} {:?}", given.header().unwrap()).contains("tdk"));
    }
}
