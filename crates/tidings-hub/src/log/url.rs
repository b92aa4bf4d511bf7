//! The URL that names a log: its kind, and where it is.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::open::{KINDS, Kind};

/// The characters of a directory's name that are encoded in a URL.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ').add(b'"').add(b'<').add(b'>');

/// Names a log: `memory:`, or `file:DIR` for one on disk.
///
/// The directory is relative (`file:news.d`) or absolute (`file:/var/lib/tidings`, `file:///var/lib/tidings`). In it `%`, `?` and
/// `#` are percent-encoded. On Windows `file:///C:/news` and `file:C:/news` name the same. No log of today has parameters after a `?`.
///
/// ```
/// use std::path::Path;
/// use tidings_hub::log::LogUrl;
///
/// let url: LogUrl = "file:/srv/my%20news".parse()?;
/// assert_eq!(url.directory(), Some(Path::new("/srv/my news")));
/// assert!("ftp://host/".parse::<LogUrl>().is_err());
/// # Ok::<(), tidings_hub::log::InvalidLogUrl>(())
/// ```
#[derive(Debug, Clone)]
pub struct LogUrl {
    /// The function that opens it.
    pub(super) kind: &'static Kind,
    /// As it was given.
    text: String,
    directory: Option<PathBuf>,
}

/// A text that names no log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLogUrl {
    /// There is no `:`.
    #[error("{text:?} is not the URL of a log: it has no scheme; use {known}")]
    NoScheme {
        /// The text.
        text: String,
        /// The forms that there are.
        known: String,
    },
    /// No kind of log has this scheme. The rest of the URL may hold a password, so it is not repeated here.
    #[error("no log has the scheme {scheme:?}; use {known}")]
    UnknownScheme {
        /// The text before the first `:`.
        scheme: String,
        /// The forms that there are.
        known: String,
    },
    /// The text after the scheme breaks a rule of this kind of log.
    #[error("{form} cannot be read from this URL: {reason}")]
    Rest {
        /// How a URL of this kind is written.
        form: &'static str,
        /// The rule, with the value that breaks it.
        reason: String,
    },
}

impl LogUrl {
    /// The log on disk in this directory, as `file:DIR` names it.
    pub fn file(directory: &Path) -> LogUrl {
        let text = format!("file:{}", percent_encode(directory.as_os_str().as_encoded_bytes(), ENCODED));
        LogUrl { kind: &super::disk::KIND, text, directory: Some(directory.to_owned()) }
    }

    /// The log in memory, as `memory:` names it.
    pub fn memory() -> LogUrl {
        LogUrl { kind: &super::memory::KIND, text: "memory:".to_owned(), directory: None }
    }

    /// The directory that holds the log; `None` for a log that is not in one.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether `text` names a log by a URL, well-formed or not, and not by a path.
    ///
    /// A text does if it begins with a scheme that exists, or has `://` in it. So `news.d` and `./file:x` are paths.
    pub fn is_meant_by(text: &str) -> bool {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        text.contains("://") || scheme.is_some_and(|scheme| kind(scheme).is_some())
    }
}

impl FromStr for LogUrl {
    type Err = InvalidLogUrl;

    fn from_str(text: &str) -> Result<LogUrl, InvalidLogUrl> {
        let known = || KINDS.iter().map(|kind| kind.form).collect::<Vec<_>>().join(" or ");
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(InvalidLogUrl::NoScheme { text: text.to_owned(), known: known() });
        };
        let Some(kind) = kind(scheme) else {
            return Err(InvalidLogUrl::UnknownScheme { scheme: scheme.to_owned(), known: known() });
        };
        let directory =
            (kind.parse)(rest).map_err(|reason| InvalidLogUrl::Rest { form: kind.form, reason })?;
        Ok(LogUrl { kind, text: text.to_owned(), directory })
    }
}

/// As it was given. It may hold a password, if its kind of log has any.
impl fmt::Display for LogUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn kind(scheme: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.scheme.eq_ignore_ascii_case(scheme))
}

/// The directory that `rest`, the part of a URL after `file:`, names.
pub(super) fn directory(rest: &str) -> Result<PathBuf, String> {
    if let Some(mark) = rest.find(['?', '#']) {
        let part = &rest[mark..];
        return Err(format!(
            "it has no parameters and no fragment, and this is one: {part:?}; in the name of a directory write %3F for '?' \
             and %23 for '#'"
        ));
    }
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(host) => {
            let host = host.split('/').next().unwrap_or_default();
            return Err(format!(
                "it names the host {host:?}, and a log on disk is on this machine; write file:DIR or file:///DIR"
            ));
        }
        None => rest,
    };
    for (position, _) in path.match_indices('%') {
        let digits = path.get(position + 1..position + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(format!(
                "a '%' in {path:?} has no two hexadecimal digits after it; write %25 for '%'"
            ));
        }
    }
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    if bytes.is_empty() {
        return Err("it names no directory".to_owned());
    }
    if bytes.contains(&0) {
        return Err(format!("{path:?} has a NUL, and the name of a directory has none"));
    }
    let bytes = if cfg!(windows) { without_slash_before_drive(bytes) } else { bytes };
    from_bytes(bytes).ok_or_else(|| format!("{path:?} is not UTF-8, and the name of a directory is here"))
}

/// `C:/news` of `/C:/news`: an absolute URL has a slash before the letter of a drive, and the path has none.
fn without_slash_before_drive(mut path: Vec<u8>) -> Vec<u8> {
    if matches!(*path, [b'/', letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic()) {
        path.remove(0);
    }
    path
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a name is text")]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_directory_relative_or_absolute() {
        for (text, directory) in [
            ("memory:", None),
            ("MEMORY:", None),
            ("file:news.d", Some("news.d")),
            ("File:../news.d", Some("../news.d")),
            ("file:/var/lib/tidings", Some("/var/lib/tidings")),
            ("file:///var/lib/tidings", Some("/var/lib/tidings")),
            ("file:my%20news%2525%3F%23", Some("my news%25?#")),
            ("file:n%C3%A4chste", Some("nächste")),
            ("file:a:b", Some("a:b")),
        ] {
            let url = text.parse::<LogUrl>().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.directory(), directory.map(Path::new), "{text}");
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_log_is_refused_with_what_would() {
        for (text, says) in [
            ("news.d", r#""news.d" is not the URL of a log: it has no scheme; use memory: or file:DIR"#),
            ("postgres://me:secret@host/db", r#"no log has the scheme "postgres"; use memory: or file:DIR"#),
            ("", "has no scheme"),
            (":x", r#"the scheme """#),
            ("memory:x", r#"nothing follows "memory:""#),
            ("file:", "names no directory"),
            ("file://", r#"the host """#),
            ("file://host/dir", r#"the host "host""#),
            ("file:a%2", "%25"),
            ("file:a%zz", "%25"),
            ("file:a%é", "%25"),
            ("file:a%00", "NUL"),
            ("file:a?readers=2", "%3F"),
            ("file:a#b", "%23"),
        ] {
            let error = text.parse::<LogUrl>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_directory_of_any_name_comes_back_from_its_url() {
        for name in ["news.d", "/srv/a b", "a%41", "what?", "a#b", "nächste \"<>\"", "//x/y"] {
            let url = LogUrl::file(Path::new(name)).to_string();
            // Two slashes at the beginning would name a host.
            if !name.starts_with("//") {
                assert_eq!(url.parse::<LogUrl>().unwrap().directory(), Some(Path::new(name)), "{url}");
            }
            assert_eq!(LogUrl::file(Path::new(name)).directory(), Some(Path::new(name)));
        }
    }

    #[test]
    fn the_letter_of_a_drive_loses_the_slash_that_a_url_has_before_it() {
        for (path, expected) in [
            ("/C:/news", "C:/news"),
            ("/c:", "/c:"),
            ("/C:\\news", "C:\\news"),
            ("/srv/news", "/srv/news"),
            ("/C:news", "/C:news"),
            ("/1:/news", "/1:/news"),
            ("C:/news", "C:/news"),
            ("/", "/"),
        ] {
            assert_eq!(without_slash_before_drive(path.into()), expected.as_bytes(), "{path}");
        }
        let url: LogUrl = "file:///C:/news".parse().unwrap();
        let expected = if cfg!(windows) { "C:/news" } else { "/C:/news" };
        assert_eq!(url.directory(), Some(Path::new(expected)));
    }

    #[test]
    fn a_path_is_told_from_a_url() {
        for text in ["memory:", "file:x", "FILE:", "postgres://host/db", "http://127.0.0.1:4400/"] {
            assert!(LogUrl::is_meant_by(text), "{text}");
        }
        for text in ["news.d", "./file:x", "/srv/news.d", "C:\\news", "a:b", ""] {
            assert!(!LogUrl::is_meant_by(text), "{text}");
        }
    }
}
