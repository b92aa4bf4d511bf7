//! Flags that make a request, as in curl.

use std::fmt;

use clap::Args;
use http::Method;

/// The request that opens a stream.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestFlags {
    /// Request method, as in curl
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<Method>,

    /// Request header 'Name: value', as in curl; repeatable
    #[arg(short = 'H', long, value_name = "LINE", hide_env_values = true)]
    pub(crate) header: Vec<String>,

    /// Request body, as in curl (@file reads a file, @- standard input; makes it a POST; several are joined by &). It is
    /// sent as JSON if it is JSON, and as a form otherwise, unless -H 'Content-Type: …' says so
    #[arg(short, long, value_name = "DATA", hide_env_values = true)]
    pub(crate) data: Vec<String>,

    /// User and password, as in curl; an Authorization header given with -H beats it
    #[arg(short, long, value_name = "USER:PASSWORD", value_parser = parse_user, hide_env_values = true)]
    pub(crate) user: Option<User>,
}

/// Who asks. It is not shown.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User")
    }
}

fn parse_user(text: &str) -> Result<User, String> {
    let (name, password) = text.split_once(':').ok_or("it is a name, a colon and a password")?;
    Ok(User { name: name.to_owned(), password: password.to_owned() })
}
