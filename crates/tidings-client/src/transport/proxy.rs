//! Proxies: finds the one for a server, and explains its refusals.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderValue, StatusCode, Uri};

use crate::{
    credentials,
    error::{InvalidUrl, TransportError},
    transport::{address::Address, no_proxy::NoProxy},
};

/// One proxy, and the credentials for it.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Without user and password.
    url: Uri,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://user:password@host:port`. Text without a scheme gets `http`, as is usual in the variables.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = |reason: &str| InvalidUrl { url: credentials::hidden(text), reason: reason.to_owned() };
        let absolute = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url: Uri =
            absolute.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
        let authorization = credentials::take(&mut url);
        if let Err(TransportError::Unsupported { reason, .. }) = Address::of(&url) {
            return Err(invalid(&format!("a proxy is like `http://host:port`, and {reason}")));
        }
        Ok(Self { url, authorization })
    }

    pub(super) fn address(&self) -> Result<Address<'_>, TransportError> {
        Address::of(&self.url)
    }

    /// The error for a proxy that answers with `status` instead of passing a request on to `target`.
    pub(super) fn refusal(&self, status: StatusCode, target: &Address<'_>) -> TransportError {
        let host = target.host;
        let advice = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if self.authorization.is_some() => {
                "the user or password in its URL is wrong".to_owned()
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                "put user and password into its URL: http://user:password@host:port".to_owned()
            }
            _ => format!("if {host} can be reached without it, say so with NO_PROXY={host}"),
        };
        let reason = format!("it answered {status} when asked for {}; {advice}", target.authority());
        if status.is_server_error() {
            // Most likely the server cannot be reached now, but later it can.
            target.unreachable(format!("proxy {self}: {reason}"))
        } else {
            TransportError::Proxy { proxy: self.to_string(), reason }
        }
    }
}

/// The URL of the proxy, without credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The source of a transport's proxies.
#[derive(Clone, Debug)]
pub(super) enum Proxies {
    None,
    /// For every URL.
    One(Arc<Proxy>),
    Environment(Arc<Environment>),
}

impl Proxies {
    /// The proxy for a server, if there is one.
    ///
    /// # Errors
    ///
    /// [`TransportError::Proxy`] if the environment names a proxy that cannot be used. A direct connection instead
    /// would bypass the user's setting.
    pub(super) fn proxy_to(&self, server: &Address<'_>) -> Result<Option<Proxy>, TransportError> {
        match self {
            Self::None => Ok(None),
            Self::One(proxy) => Ok(Some((**proxy).clone())),
            Self::Environment(environment) => environment.proxy_to(server),
        }
    }
}

/// The proxies that the environment names.
#[derive(Debug)]
pub(super) struct Environment {
    http: Option<Variable>,
    https: Option<Variable>,
    no_proxy: NoProxy,
}

/// A variable that names a proxy, and its value.
#[derive(Debug)]
struct Variable {
    name: &'static str,
    proxy: Result<Proxy, InvalidUrl>,
}

impl Environment {
    pub(super) fn read() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// Reads the usual variables. As in curl, a name in lower case comes first, and an empty variable counts as unset.
    fn from(value: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = value(name)?;
                let value = value.trim();
                (!value.is_empty()).then(|| (name, value.to_owned()))
            })
        };
        let variable = |names: &[&'static str]| {
            first(names).map(|(name, value)| Variable { name, proxy: Proxy::parse(&value) })
        };
        // A client that sends the header `Proxy: …` to a CGI program sets the program's HTTP_PROXY ("httpoxy").
        let is_cgi = value("REQUEST_METHOD").is_some();
        let http: &[_] = if is_cgi {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        };
        Self {
            http: variable(http),
            https: variable(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: first(&["no_proxy", "NO_PROXY"])
                .map_or_else(NoProxy::default, |(_, value)| NoProxy::parse(&value)),
        }
    }

    fn proxy_to(&self, server: &Address<'_>) -> Result<Option<Proxy>, TransportError> {
        let variable = if server.is_secure { &self.https } else { &self.http };
        let Some(Variable { name, proxy }) = variable else { return Ok(None) };
        if is_loopback(server.host) || self.no_proxy.covers(server.host, server.port) {
            return Ok(None);
        }
        match proxy {
            Ok(proxy) => Ok(Some(proxy.clone())),
            Err(error) => {
                let reason = format!("{error}; correct the variable, or exempt the server with NO_PROXY");
                Err(TransportError::Proxy { proxy: (*name).to_owned(), reason })
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for a URL, given these variables.
    fn proxy(variables: &[(&str, &str)], url: &str) -> String {
        let environment = Environment::from(|name| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        });
        match environment.proxy_to(&Address::of(&url.parse().unwrap()).unwrap()) {
            Ok(proxy) => proxy.map_or("none".to_owned(), |proxy| proxy.to_string()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_the_rest() {
        let variables = [("HTTP_PROXY", "http://a:1"), ("ALL_PROXY", "b:2")];
        assert_eq!(proxy(&variables, "http://h/"), "http://a:1");
        assert_eq!(proxy(&variables, "https://h/"), "http://b:2");
        assert_eq!(proxy(&[("http_proxy", "c"), ("HTTP_PROXY", "a")], "http://h/"), "http://c");
        assert_eq!(proxy(&[("http_proxy", ""), ("HTTP_PROXY", "a")], "http://h/"), "http://a");
        assert_eq!(proxy(&[("https_proxy", "a")], "http://h/"), "none");
    }

    #[test]
    fn a_cgi_program_does_not_take_a_proxy_from_a_request_header() {
        let cgi = ("REQUEST_METHOD", "GET");
        assert_eq!(proxy(&[cgi, ("HTTP_PROXY", "evil")], "http://h/"), "none");
        assert_eq!(proxy(&[cgi, ("HTTP_PROXY", "evil"), ("http_proxy", "good")], "http://h/"), "http://good");
        assert_eq!(proxy(&[cgi, ("HTTPS_PROXY", "good")], "https://h/"), "http://good");
    }

    #[test]
    fn loopback_and_exempt_hosts_are_reached_directly() {
        let variables = [("ALL_PROXY", "a"), ("NO_PROXY", "x.example")];
        for host in
            ["localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]:1", "x.example"]
        {
            assert_eq!(proxy(&variables, &format!("http://{host}/")), "none", "{host}");
        }
        assert_eq!(proxy(&variables, "http://localhost.example/"), "http://a");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_without_its_password() {
        for value in ["socks5://user:secret@p:1080", "http://user:sec ret@p", "http://"] {
            let error = proxy(&[("ALL_PROXY", value)], "http://h/");
            assert!(error.starts_with("proxy ALL_PROXY: ") && !error.contains("sec"), "{error}");
        }
        assert_eq!(proxy(&[("ALL_PROXY", "socks5://p")], "http://localhost/"), "none");
    }

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let proxy = Proxy::parse("http://user:secret@p:3128").unwrap();
        assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic dXNlcjpzZWNyZXQ=");
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p:3128 Proxy(http://p:3128)");
    }
}
