//! An issuer of tokens, as the access file has it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{InvalidAccessFile, table::Table};
use crate::authorize::{Issuer, TokenKeys};

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerEntry {
    pub(crate) line: usize,
    /// Its `iss`; `None` for the one whose tokens need none.
    pub(crate) name: Option<String>,
    pub(crate) keys: KeySource,
    /// The algorithm of a secret or an RSA key, if it is not the usual one.
    pub(crate) algorithm: Option<String>,
    pub(crate) leeway: Option<Duration>,
    pub(crate) types: Option<Vec<String>>,
    /// Tokens need not say when they end.
    pub(crate) legacy: bool,
    /// Tokens may stand in the query of a URL.
    pub(crate) query: bool,
    pub(crate) max_life: Option<Duration>,
}

/// The place of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A file with a secret, a public key, or a JSON Web Key Set.
    File(PathBuf),
    /// A JSON Web Key Set that the issuer publishes.
    Url(String),
}

impl IssuerEntry {
    pub(super) fn read(mut table: Table<'_>) -> Result<IssuerEntry, InvalidAccessFile> {
        let line = table.line;
        let name = table.take("name").map(|value| match value.text()? {
            "" => Err(value.wrong("it is what the issuer writes as iss, such as \"https://app.example\"")),
            name => Ok(name.to_owned()),
        });
        let (key, jwks) = (table.take("key"), table.take("jwks"));
        let keys = match (&key, &jwks) {
            (Some(key), None) => KeySource::File(key.text()?.into()),
            (None, Some(jwks)) => match jwks.text()? {
                url if url.contains("://") => KeySource::Url(url.to_owned()),
                file => KeySource::File(file.into()),
            },
            _ => {
                let problem = "[[issuer]] has its keys in one place; write key = \"hub.key\" for a file, or \
                               jwks = \"https://app.example/.well-known/jwks.json\" for a key set";
                return Err(InvalidAccessFile::at(line, problem));
            }
        };
        let entry = IssuerEntry {
            line,
            name: name.transpose()?,
            keys,
            algorithm: table.take("algorithm").map(|value| value.text().map(str::to_owned)).transpose()?,
            leeway: table.take("leeway").map(|value| value.duration()).transpose()?,
            types: table
                .take("typ")
                .map(|value| value.list().iter().map(|one| one.text().map(str::to_owned)).collect())
                .transpose()?,
            legacy: table.take("legacy").map_or(Ok(false), |value| value.flag())?,
            query: table.take("query").map_or(Ok(false), |value| value.flag())?,
            max_life: table.take("max_life").map(|value| value.duration()).transpose()?,
        };
        table.end()?;
        Ok(entry)
    }
    /// The issuer, with its keys. `read` reads the file of a name.
    pub(super) fn issuer(
        &self,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Issuer, InvalidAccessFile> {
        let wrong = |problem: String| InvalidAccessFile::at(self.line, format!("[[issuer]]: {problem}"));
        let issuer = match (&self.keys, &self.name) {
            (KeySource::File(file), name) => {
                let text = read(file).map_err(|error| wrong(unreadable(file, &error)))?;
                let keys = match &self.algorithm {
                    Some(algorithm) => TokenKeys::parse_for(&text, algorithm),
                    None => TokenKeys::parse(&text),
                };
                let keys = keys.map_err(|error| wrong(format!("{}: {error}", file.display())))?;
                match name {
                    Some(name) => Issuer::named(name.as_str(), keys),
                    None => Issuer::nameless(keys),
                }
            }
            (KeySource::Url(url), Some(name)) if self.algorithm.is_none() => {
                of_url(name, url).map_err(wrong)?
            }
            (KeySource::Url(_), Some(_)) => {
                return Err(wrong(
                    "each key of a key set says its algorithm itself; leave algorithm out".into(),
                ));
            }
            (KeySource::Url(_), None) => {
                let problem = "keys at a URL are of an issuer with a name; write name = \"https://app.example\", which is \
                               what its tokens have as iss";
                return Err(wrong(problem.into()));
            }
        };
        let mut issuer = match self.leeway {
            Some(leeway) => issuer.with_leeway(leeway).map_err(|error| wrong(error.to_string()))?,
            None => issuer,
        };
        if let Some(types) = &self.types {
            issuer = issuer.with_types(types);
        }
        if let Some(life) = self.max_life {
            issuer = issuer.with_max_life(life);
        }
        if self.legacy {
            issuer = issuer.with_endless_tokens();
        }
        if self.query {
            issuer = issuer.with_tokens_in_query();
        }
        Ok(issuer)
    }
}

/// Somebody may have put the key itself in the place of its file's name. It is not repeated then.
fn unreadable(file: &Path, error: &io::Error) -> String {
    let text = file.to_string_lossy();
    match text.len() >= 32 && !text.contains(['/', '\\', '.']) {
        true => {
            format!("key is no file that can be read ({error}); it is the name of a file, not the key itself")
        }
        false => format!("{text} cannot be read: {error}"),
    }
}

#[cfg(feature = "jwks")]
fn of_url(name: &str, url: &str) -> Result<Issuer, String> {
    Issuer::with_keys_at(name, url).map_err(|error| error.to_string())
}

#[cfg(not(feature = "jwks"))]
fn of_url(_: &str, url: &str) -> Result<Issuer, String> {
    Err(format!("jwks is {url:?}, and this hub was built without the feature jwks; name a file"))
}
