//! The flags that curl has too: method, headers, body.

use std::io::Read;

use anyhow::Context;
use http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use tidings_client::Request;

use crate::{cli::RequestFlags, exit::UsageError};

/// Makes a request for `url` from the flags.
pub(crate) fn request(flags: &RequestFlags, url: &str) -> anyhow::Result<Request> {
    let mut request = Request::get(url).map_err(|error| UsageError(error.to_string()))?;
    if !flags.data.is_empty() {
        let body = body(&flags.data)?;
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        let content_type = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        request = request
            .with_method(Method::POST)
            .with_header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .with_body(body);
    }
    if let Some(method) = &flags.method {
        request = request.with_method(method.clone());
    }
    if let Some(user) = &flags.user {
        request = request.with_basic_auth(&user.name, &user.password);
    }
    for line in &flags.header {
        let (name, value) = header(line)?;
        request = request.with_header(name, value);
    }
    Ok(request)
}

/// The name and the value of a header line.
pub(crate) fn header(line: &str) -> Result<(HeaderName, HeaderValue), UsageError> {
    // The value may be a secret, and so may a line without a name, so the errors do not repeat them.
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| UsageError("a header has no colon; use the form 'Name: value'".to_owned()))?;
    match (name.trim().parse(), HeaderValue::from_str(value.trim())) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(UsageError(format!("header {name:?} is not of the form 'Name: value'"))),
    }
}

/// Each piece as in curl: the text, or after an @ the content of a file without its line ends.
fn body(data: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut pieces = Vec::new();
    for piece in data {
        pieces.push(match piece.strip_prefix('@') {
            None => piece.clone().into_bytes(),
            Some(file) => {
                let mut content = Vec::new();
                match file {
                    "-" => {
                        std::io::stdin().read_to_end(&mut content).context("cannot read standard input")?
                    }
                    _ => std::fs::File::open(file)
                        .and_then(|mut file| file.read_to_end(&mut content))
                        .with_context(|| format!("cannot read {file}"))?,
                };
                content.retain(|byte| !matches!(byte, b'\r' | b'\n'));
                content
            }
        });
    }
    Ok(pieces.join(&b'&'))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(arguments: &[&str]) -> anyhow::Result<Request> {
        let url = "http://h/s";
        let cli = Cli::parse_from(["tidings", "subscribe", url].iter().chain(arguments));
        let Command::Subscribe(subscribe) = cli.command else { panic!("subscribe is asked for") };
        request(&subscribe.request, url)
    }

    #[test]
    fn data_makes_a_post_and_says_what_it_is() {
        let plain = parse(&[]).unwrap();
        assert_eq!((plain.method(), plain.body().len()), (&Method::GET, 0));
        let json = parse(&["-d", "{\"a\": 1}"]).unwrap();
        assert_eq!(
            (json.method(), &json.headers()[CONTENT_TYPE]),
            (&Method::POST, &HeaderValue::from_static("application/json"))
        );
        let form =
            parse(&["-d", "a=1", "-d", "b=2", "-X", "PUT", "-H", "Authorization: Bearer x:y"]).unwrap();
        assert_eq!((form.method(), &form.body()[..]), (&Method::PUT, &b"a=1&b=2"[..]));
        assert_eq!(form.headers()["authorization"], "Bearer x:y");
        let typed = parse(&["-d", "{}", "-H", "content-type: text/plain"]).unwrap();
        assert_eq!(typed.headers()[CONTENT_TYPE], "text/plain");
    }

    #[test]
    fn a_header_that_is_none_is_refused_without_showing_its_value() {
        for line in ["nonsense", "a b: secret", "name: sec\nret"] {
            let error = parse(&["-H", line]).unwrap_err().to_string();
            assert!(!error.contains("sec"), "{error}");
        }
    }
}
