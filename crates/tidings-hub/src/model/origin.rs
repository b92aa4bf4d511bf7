//! Origins of web pages.

use std::fmt;

/// The origin of a web page, such as `https://app.example` or `http://localhost:3000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    /// Host and port, the port left out where it is the scheme's own.
    authority: String,
}

/// A text that is no origin to list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("origin {text:?} {rule}")]
pub struct InvalidOrigin {
    text: String,
    rule: &'static str,
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`.
    ///
    /// # Errors
    /// For anything else. `*` and `null` are refused on purpose: pages of a listed origin act with their visitors'
    /// credentials, and these two would be any page at all.
    pub fn parse(text: &str) -> Result<Origin, InvalidOrigin> {
        let invalid = |rule| InvalidOrigin { text: text.into(), rule };
        if matches!(text, "*" | "null") {
            return Err(invalid("would be any page at all; list each origin, such as https://app.example"));
        }
        let (scheme, authority) =
            text.split_once("://").ok_or_else(|| invalid("is not of the form scheme://host[:port]"))?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || authority.is_empty() || authority.contains(['/', '?', '#', '@', ',', ' ']) {
            return Err(invalid(
                "is not of the form scheme://host[:port], without a path or a slash at its end",
            ));
        }
        Ok(Origin { authority: without_default_port(&scheme, authority), scheme })
    }

    /// Whether a page of this origin came from `host`. The scheme does not count: a proxy may have ended TLS.
    pub(crate) fn is_of_host(&self, host: &str) -> bool {
        self.authority == without_default_port(&self.scheme, host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn without_default_port(scheme: &str, authority: &str) -> String {
    let default = match scheme {
        "https" => ":443",
        _ => ":80",
    };
    authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase()
}
