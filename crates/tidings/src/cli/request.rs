//! Flags that make a request, as in curl.

use std::fmt;

use clap::Args;
use http::Method;

/// The request that opens a stream.
#[derive(Debug, Clone, Args)]
pub(crate) struct RequestFlags {
    /// The request method, as in curl [default: GET, or POST with --data]
    #[arg(short = 'X', long = "request", value_name = "METHOD", help_heading = REQUEST)]
    pub(crate) method: Option<Method>,

    /// A request header 'Name: value', as in curl; repeatable
    #[arg(short = 'H', long, value_name = "LINE", hide_env_values = true, help_heading = REQUEST)]
    pub(crate) header: Vec<String>,

    /// The request body, as in curl: @file reads a file, @- standard input, and several are joined by &. The body makes the
    /// request a POST. It is sent as JSON if it is JSON, and as a form otherwise, unless -H 'Content-Type: …' names another type
    #[arg(short, long, value_name = "DATA", hide_env_values = true, help_heading = REQUEST)]
    pub(crate) data: Vec<String>,

    /// User and password, as in curl. An Authorization header that -H gives counts instead
    #[arg(short, long, value_name = "USER:PASSWORD", value_parser = parse_user, hide_env_values = true, help_heading = REQUEST)]
    pub(crate) user: Option<User>,
}

/// The heading of the flags that make a request.
pub(super) const REQUEST: &str = "Request";

/// A user and a password. They are never shown.
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
    let (name, password) = text.split_once(':').ok_or("use a name, a colon and a password")?;
    Ok(User { name: name.to_owned(), password: password.to_owned() })
}
