//! The path and the query of a request to the upstream, which are built here.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::wire::Interface;

/// The longest name of a model, in bytes.
const MAX_MODEL_BYTES: usize = 512;

/// Query parameters that SDKs send and providers read: the pages of a list of models, Anthropic's interfaces that are not
/// final yet, and Azure's version of an interface.
const PARAMETERS: [&str; 5] = ["limit", "after_id", "before_id", "beta", "api-version"];

/// The characters that are encoded in a segment of a path, and in a query. `:`, `@`, `+` and `~` stand for themselves in a
/// segment, and names of models have them.
const NOT_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'+');
const NOT_IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path and the query of a request to the upstream.
///
/// No part is a client's own text, because the upstream gets them with the operator's key. A proxy before the provider, or the
/// provider itself, could take a path such as `/v1/models/../files` for another one, and so a client could make every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(String);

/// A path below `/v1/models` that is not the name of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model {text:?} {rule}")]
pub(crate) struct InvalidModel {
    /// At most [`MAX_MODEL_BYTES`] of the name.
    text: String,
    rule: &'static str,
}

impl Target {
    /// The path of the list of models, the same in all interfaces.
    pub(crate) const MODELS: &str = "/v1/models";

    /// The beginning of the path of one model.
    pub(crate) const MODEL: &str = "/v1/models/";

    /// The target of an interface's own request.
    pub(crate) fn of_interface(interface: Interface, query: Option<&str>) -> Target {
        Target(interface.path().to_owned()).with_query(query)
    }

    /// The target of a request for the list of models, or for one model. A name may have slashes, encoded or not.
    ///
    /// # Errors
    /// [`InvalidModel`] for a name that could be taken for another path.
    pub(crate) fn of_models(path: &str, query: Option<&str>) -> Result<Target, InvalidModel> {
        let mut target = Target::MODELS.to_owned();
        if let Some(name) = path.strip_prefix(Target::MODEL) {
            let invalid = |rule| InvalidModel { text: shortened(name), rule };
            if name.len() > MAX_MODEL_BYTES {
                return Err(invalid("is longer than 512 bytes"));
            }
            for segment in name.split('/') {
                // Once: a name that was encoded twice still has a percent sign, and is refused.
                let segment = percent_decode_str(segment).decode_utf8_lossy();
                if !segment.split('/').all(is_plain) {
                    return Err(invalid(
                        "is not a name: between slashes, use letters, digits and ._:@+~-, and not dots alone",
                    ));
                }
                let _ = write!(target, "/{}", utf8_percent_encode(&segment, NOT_IN_SEGMENT));
            }
        }
        Ok(Target(target).with_query(query))
    }

    /// Adds the known parameters of a client's query. Other parameters are left out: clients add their own.
    fn with_query(mut self, query: Option<&str>) -> Target {
        let mut separator = '?';
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if PARAMETERS.contains(&name) {
                let value = percent_decode_str(value).decode_utf8_lossy();
                let _ = write!(self.0, "{separator}{name}={}", utf8_percent_encode(&value, NOT_IN_QUERY));
                separator = '&';
            }
        }
        self
    }

    /// The text, which begins with `/v1/`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether every server takes this part of a path for a plain name.
fn is_plain(part: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@+~-".contains(&byte);
    part.bytes().all(known) && part.bytes().any(|byte| byte != b'.')
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_MODEL_BYTES / 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rest: &str) -> Option<String> {
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Target::of_models(&format!("{}{path}", Target::MODELS), query).ok().map(|target| target.0)
    }

    #[test]
    fn a_name_of_a_model_is_passed_on_as_sdks_write_it() {
        for (asked, sent) in [
            ("", "/v1/models"),
            ("/gpt-4.1", "/v1/models/gpt-4.1"),
            ("/org/model-7", "/v1/models/org/model-7"),
            ("/org%2Fmodel-7", "/v1/models/org%2Fmodel-7"),
            ("/org%2fmodel-7", "/v1/models/org%2Fmodel-7"),
            ("/llama3:8b", "/v1/models/llama3:8b"),
            ("/ft%3Agpt%3Aorg%3A%3A7", "/v1/models/ft:gpt:org::7"),
            ("/claude@20250101", "/v1/models/claude@20250101"),
            ("/a+b~c_d..e", "/v1/models/a+b~c_d..e"),
            ("/%67pt", "/v1/models/gpt"),
        ] {
            assert_eq!(of(asked).as_deref(), Some(sent), "{asked}");
        }
    }

    #[test]
    fn a_path_that_could_be_taken_for_another_one_is_refused() {
        let odd = [
            "/",
            "//",
            "/.",
            "/..",
            "/...",
            "/../files",
            "/..%2ffiles",
            "/%2e%2e/files",
            "/.%2e/files",
            "/%2E./files",
            "/%252e%252e/files",
            "/%25252e",
            "/m/..",
            "/m/../../admin",
            "/m%2f..%2f..%2fadmin",
            "/m//x",
            "/m/",
            "/m%2f",
            "/%2fm",
            "//evil.example/x",
            "/..;/files",
            "/..;a=b/files",
            "/m;a=b",
            "/..\\files",
            "/..%5cfiles",
            "/m%00",
            "/%00/../files",
            "/m%0d%0aX-Injected:1",
            "/m%0a",
            "/m%20x",
            "/m x",
            "/m%09",
            "/m%3fx=1",
            "/m%23x",
            "/m#x",
            "/m%26x",
            "/ü",
            "/%c3%bc",
            "/%c0%ae%c0%ae/files",
            "/%ff",
            "/%",
            "/%2",
            "/%zz",
            "/%u002e%u002e/files",
            "/．．/files",
            "/%ef%bc%8e%ef%bc%8e/files",
            "/m*",
            "/m|x",
            "/<m>",
            "/\"m\"",
            "/m,x",
            "/m=x",
            "/m!",
            "/$m",
            "/(m)",
        ];
        for rest in odd {
            assert_eq!(of(rest), None, "{rest}");
        }
        assert_eq!(of(&format!("/{}", "m".repeat(513))), None);
        assert!(of(&format!("/{}", "m".repeat(512))).is_some());
    }

    /// Numbers that look random, the same in each run.
    fn numbers() -> impl Iterator<Item = usize> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as usize
        })
    }

    #[test]
    fn every_request_stays_below_the_models_however_often_it_is_decoded() {
        const PARTS: [&str; 26] = [
            "/", "//", ".", "..", "...", "%2e", "%2E", "%252e", "%25", "%2f", "%2F", "%5c", "\\", ";", "%3b",
            "%00", "\0", "%", "?", "#", "a", "model-7", ":", "@", "ü", "%c0%af",
        ];
        let mut numbers = numbers();
        let mut number = move |below: usize| numbers.next().unwrap_or(0) % below;
        let mut taken = 0;
        for _ in 0..200_000 {
            let count = number(7);
            let rest: String = (0..count).map(|_| PARTS[number(PARTS.len())]).collect();
            let Ok(Target(target)) = Target::of_models(&format!("{}{rest}", Target::MODEL), None) else {
                continue;
            };
            taken += 1;
            let mut seen = target.clone();
            for _ in 0..4 {
                assert!(seen.starts_with("/v1/models/"), "{rest:?} is {seen:?}");
                let mut segments = seen.split('/').skip(1);
                assert!(
                    segments.all(|segment| !segment.is_empty() && segment.bytes().any(|byte| byte != b'.')),
                    "{rest:?} is {seen:?}"
                );
                assert!(
                    !seen.contains(['\\', ';', '?', '#', '\0']) && seen.is_ascii(),
                    "{rest:?} is {seen:?}"
                );
                seen = percent_decode_str(&seen).decode_utf8_lossy().into_owned();
            }
            assert!(!seen.contains('%'), "{rest:?} is {seen:?}");
        }
        assert!(taken > 1_000, "{taken} of them are names");
    }

    #[test]
    fn parameters_that_sdks_send_are_passed_on_encoded_again() {
        for (query, sent) in [
            ("limit=20&after_id=m%2D1&before_id=x", "?limit=20&after_id=m-1&before_id=x"),
            ("beta=true", "?beta=true"),
            ("api-version=2024-10-21&key=secret", "?api-version=2024-10-21"),
            ("x=../y&limit=a%26key%3Db%23%00", "?limit=a%26key%3Db%23%00"),
            ("limit", "?limit="),
            ("LIMIT=1&%6cimit=2&&=&?", ""),
            ("", ""),
        ] {
            assert_eq!(of(&format!("?{query}")), Some(format!("{}{sent}", Target::MODELS)), "{query}");
            let target = Target::of_interface(Interface::Messages, Some(query));
            assert_eq!(target.as_str(), format!("/v1/messages{sent}"), "{query}");
        }
    }
}
