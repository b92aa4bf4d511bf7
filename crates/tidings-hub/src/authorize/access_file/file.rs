//! The whole file, read and checked.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeTable;

use super::{
    InvalidAccessFile,
    issuer::IssuerEntry,
    table::{Lines, Table, Value, listed},
};
use crate::{
    MAX_FILTERS, Topic,
    authorize::{
        ApiKey, ApiKeys, Audience, InvalidRules, Limits, Revoked, RevokedList, RevokedWhat, Right, Rights,
        Role, Rule, Rules, Template, Tokens, is_api_key_id, read_sha256,
    },
};

/// The largest access file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// The most that is read of a file with keys, in bytes. A key set is smaller.
const MAX_KEY_BYTES: u64 = 2 << 20;

/// The most roles: each holder of a token is compared with each of them.
const MAX_ROLES: usize = 1_000;

/// Who may do what, as an access file says it: issuers of tokens, API keys, rules by topic, roles, and revoked credentials.
///
/// ```
/// use std::path::Path;
///
/// use tidings_hub::{AccessFile, Topic};
///
/// let file = AccessFile::parse(
///     r#"
///     [[rule]]
///     topics = "users/{sub}/*"
///     read = "token"
///
///     [[rule]]
///     topics = "news/*"
///     read = "anyone"
///     "#,
///     Path::new("."),
/// )?;
/// let rule = file.governing(&Topic::parse("news/today")?).expect("a rule");
/// assert_eq!((rule.line, rule.read), (6, "anyone"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AccessFile {
    pub(super) issuers: Vec<IssuerEntry>,
    /// The tokens of the issuers.
    pub(crate) tokens: Tokens,
    pub(crate) api_keys: ApiKeys,
    /// The lines of the keys, with their IDs.
    pub(super) key_lines: Vec<LineOfKey>,
    pub(crate) rules: Rules,
    /// The lines of the rules, in their order.
    pub(super) rule_lines: Vec<usize>,
    pub(crate) roles: Vec<Role>,
    /// The lines of the roles, in their order.
    pub(super) role_lines: Vec<usize>,
    pub(crate) revoked: RevokedList,
    /// The limits of each subject.
    pub(crate) limits: Limits,
}

/// A rule of an access file that decides about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoverningRule {
    /// Its line, counted from 1.
    pub line: usize,
    /// Its topics, as they are written.
    pub topics: String,
    /// The clients that may read public updates: `anyone`, `token` or `granted`.
    pub read: &'static str,
    /// The clients that may publish.
    pub publish: &'static str,
}

/// A line, and the ID of the API key there.
type LineOfKey = (usize, Box<str>);

impl AccessFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`InvalidAccessFile`] if the file cannot be read, and for the first thing in it that is wrong: nothing of it counts then.
    pub fn read(path: &Path) -> Result<AccessFile, InvalidAccessFile> {
        let text = read_text(path).map_err(|problem| problem.in_file(path))?;
        AccessFile::parse(&text, path.parent().unwrap_or(Path::new("")))
            .map_err(|problem| problem.in_file(path))
    }

    /// Reads the text of a file, and the keys that it names. The names of their files are relative to `directory`.
    ///
    /// # Errors
    /// [`InvalidAccessFile`] for the first thing that is wrong.
    pub fn parse(text: &str, directory: &Path) -> Result<AccessFile, InvalidAccessFile> {
        AccessFile::parse_with(text, |file| read_keys(&directory.join(file)))
    }

    /// The same with keys from anywhere.
    pub(crate) fn parse_with(
        text: &str,
        keys: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<AccessFile, InvalidAccessFile> {
        // An editor may have put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| {
            let line = lines.at(error.span().map_or(0, |span| span.start));
            InvalidAccessFile::at(line, format!("this is no TOML: {}", error.message()))
        })?;
        let mut file = Table::new("", 1, table.into_inner(), &lines);
        let issuers = file
            .tables("issuer", "[[issuer]]")?
            .into_iter()
            .map(IssuerEntry::read)
            .collect::<Result<Vec<_>, _>>()?;
        let (api_keys, key_lines) = api_keys(file.tables("key", "[[key]]")?)?;
        let rules = file.tables("rule", "[[rule]]")?;
        let (rules, rule_lines) = self::rules(rules)?;
        let (roles, role_lines) = roles(file.tables("role", "[[role]]")?)?;
        let revoked = self::revoked(file.tables("revoked", "[[revoked]]")?)?;
        let audience = file.take("audience").map_or_else(Vec::new, Value::list);
        let audience = audience.iter().map(Value::text).collect::<Result<Vec<_>, _>>()?;
        let tokens = audience.into_iter().fold(Tokens::default(), Tokens::with_audience);
        let limits = limits(&mut file)?;
        file.end()?;
        // The rest of the file is whole: now files of others are looked at.
        let tokens = issuers.iter().try_fold(tokens, |tokens, entry| {
            let issuer = entry.issuer(&keys)?;
            tokens.with_issuer(issuer).map_err(|error| InvalidAccessFile::at(entry.line, error.to_string()))
        })?;
        Ok(AccessFile {
            issuers,
            tokens,
            api_keys,
            key_lines,
            rules,
            rule_lines,
            roles,
            role_lines,
            revoked,
            limits,
        })
    }

    /// The rules alone.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_rules(self) -> Rules {
        self.rules
    }

    /// The rule that decides about a topic. Where there is none, only those get something whose credential names the topic.
    pub fn governing(&self, topic: &Topic) -> Option<GoverningRule> {
        let (line, rule) = self.governing_rule(topic)?;
        Some(GoverningRule {
            line,
            topics: rule.topics.to_string(),
            read: rule.read.as_str(),
            publish: rule.publish.as_str(),
        })
    }

    pub(super) fn governing_rule(&self, topic: &Topic) -> Option<(usize, &Rule)> {
        let number = self.rules.governing(topic)?;
        Some((self.rule_lines[number], self.rules.rule(number)))
    }

    /// For people: how much is in the file.
    pub fn summary(&self) -> String {
        let counts = [
            (self.issuers.len(), "issuer", "issuers"),
            (self.key_lines.len(), "API key", "API keys"),
            (self.rule_lines.len(), "rule", "rules"),
            (self.roles.len(), "role", "roles"),
            (self.revoked.len(), "revocation", "revocations"),
        ];
        counts
            .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
            .join(", ")
    }
}

fn read_keys(file: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file)?.take(MAX_KEY_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

fn read_text(path: &Path) -> Result<String, InvalidAccessFile> {
    let unreadable = |error| InvalidAccessFile::whole(format!("the access file cannot be read: {error}"));
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(InvalidAccessFile::whole(
            "the access file is larger than 4 MiB; give rights in tokens instead",
        )),
        false => Ok(text),
    }
}

fn rules(tables: Vec<Table<'_>>) -> Result<(Rules, Vec<usize>), InvalidAccessFile> {
    let lines: Vec<_> = tables.iter().map(|table| table.line).collect();
    let rules = tables.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let rules = Rules::new(rules).map_err(|error| match error {
        InvalidRules::Same { numbers: [one, other], .. } => {
            InvalidAccessFile::at(lines[other], format!("{error} (the other is in line {})", lines[one]))
        }
        InvalidRules::TooMany { .. } => InvalidAccessFile::whole(error.to_string()),
    })?;
    Ok((rules, lines))
}

fn rule(mut table: Table<'_>) -> Result<Rule, InvalidAccessFile> {
    let topics: Template = table.need("topics", "\"orders/*\"")?.parse(str::parse)?;
    let mut rule = Rule::new(topics);
    for (key, audience) in [("read", &mut rule.read), ("publish", &mut rule.publish)] {
        let Some(value) = table.take(key) else { continue };
        *audience = value.word(&Audience::ALL.map(Audience::as_str), Audience::parse)?;
        if *audience == Audience::Anyone && rule.topics.has_placeholders() {
            return Err(value.wrong(
                "a placeholder stands for something of a credential, which not everyone has; write \"token\"",
            ));
        }
    }
    table.end()?;
    Ok(rule)
}

/// The part that API keys and roles have in common.
struct Allows {
    publish: Vec<Template>,
    read: Vec<Template>,
    rights: Rights,
    limits: Limits,
}

impl Allows {
    fn take(table: &mut Table<'_>) -> Result<Allows, InvalidAccessFile> {
        Ok(Allows {
            publish: topics(table, "publish")?,
            read: topics(table, "read")?,
            rights: rights(table)?,
            limits: limits(table)?,
        })
    }
}

fn topics(table: &mut Table<'_>, key: &'static str) -> Result<Vec<Template>, InvalidAccessFile> {
    let Some(value) = table.take(key) else { return Ok(Vec::new()) };
    let line = value.line;
    let list = value.list();
    if list.len() > MAX_FILTERS {
        let problem = format!("{key} has {} topics; at most {MAX_FILTERS} are allowed", list.len());
        return Err(InvalidAccessFile::at(line, problem));
    }
    list.iter().map(|topics| topics.parse(str::parse)).collect()
}

fn rights(table: &mut Table<'_>) -> Result<Rights, InvalidAccessFile> {
    let list = table.take("rights").map_or_else(Vec::new, Value::list);
    list.iter().map(|right| right.word(&Right::ALL.map(Right::as_str), Right::parse)).collect()
}

fn limits(table: &mut Table<'_>) -> Result<Limits, InvalidAccessFile> {
    let mut limits = Limits::default();
    let Some(value) = table.take("limits") else { return Ok(limits) };
    let mut table = value.table("limits")?;
    limits.streams = table.take("streams").map(|value| value.count()).transpose()?;
    limits.topics = table.take("topics").map(|value| value.count()).transpose()?;
    limits.publishes = table.take("publish").map(|value| value.rate()).transpose()?;
    table.end()?;
    Ok(limits)
}

fn api_keys(tables: Vec<Table<'_>>) -> Result<(ApiKeys, Vec<LineOfKey>), InvalidAccessFile> {
    let mut keys = ApiKeys::default();
    let (mut lines, mut earlier) = (Vec::new(), HashMap::new());
    for mut table in tables {
        let line = table.line;
        let id = table.need("id", "\"…\"; `tidings token key --api` prints the whole entry")?;
        // Somebody may have put the key itself there.
        if !is_api_key_id(id.text()?) {
            return Err(id.secretly_wrong(
                "is not the ID of an API key, which has 8 letters and digits; `tidings token key --api` prints the whole entry",
            ));
        }
        let sha256 = table.need("sha256", "\"…\"; `tidings token key --api` prints the whole entry")?;
        let hash = read_sha256(sha256.text()?).ok_or_else(|| {
            sha256.secretly_wrong(
                "is not SHA-256 in 64 hexadecimal digits; `tidings token key --api` prints the whole entry",
            )
        })?;
        let Allows { publish, read, rights, limits } = Allows::take(&mut table)?;
        let expires = table.take("expires").map(|value| value.time()).transpose()?;
        if let Some(note) = table.take("note") {
            note.text()?;
        }
        let id: Box<str> = id.text()?.into();
        table.end()?;
        lines.push((line, id.clone()));
        if let Some(earlier) = earlier.insert(id.clone(), line) {
            let problem =
                format!("[[key]] id is {id:?}, as in line {earlier}; each key has an ID of its own");
            return Err(InvalidAccessFile::at(line, problem));
        }
        keys.insert(ApiKey { id, sha256: hash, publish, read, rights, limits, expires });
    }
    Ok((keys, lines))
}

fn roles(tables: Vec<Table<'_>>) -> Result<(Vec<Role>, Vec<usize>), InvalidAccessFile> {
    if tables.len() > MAX_ROLES {
        let problem = format!("there are {} roles; at most {MAX_ROLES} are allowed", tables.len());
        return Err(InvalidAccessFile::whole(problem));
    }
    let role = |mut table: Table<'_>| {
        let claim: Box<str> = table.need("claim", "\"roles\"")?.text()?.into();
        let has: Box<str> = table.need("has", "\"staff\"")?.text()?.into();
        let Allows { publish, read, rights, limits } = Allows::take(&mut table)?;
        table.end()?;
        Ok(Role { claim, has, publish, read, rights, limits })
    };
    let lines = tables.iter().map(|table| table.line).collect();
    Ok((tables.into_iter().map(role).collect::<Result<_, _>>()?, lines))
}

fn revoked(tables: Vec<Table<'_>>) -> Result<RevokedList, InvalidAccessFile> {
    let mut list = RevokedList::default();
    for table in tables {
        let line = table.line;
        let (what, revoked) = revoked_entry(table)?;
        if !list.insert(what, revoked) {
            let problem = "[[revoked]] is for the same credentials as an entry before; leave one out";
            return Err(InvalidAccessFile::at(line, problem));
        }
    }
    Ok(list)
}

fn revoked_entry(mut table: Table<'_>) -> Result<(RevokedWhat, Revoked), InvalidAccessFile> {
    const WHICH: [&str; 4] = ["jti", "sub", "iss", "key"];
    let line = table.line;
    let named = WHICH.map(|key| table.take(key).map(|value| value.text().map(Into::into)).transpose());
    let [jti, sub, iss, key] = named;
    let what = match (jti?, sub?, iss?, key?) {
        (Some(id), None, None, None) => RevokedWhat::Token(id),
        (None, Some(name), issuer, None) => RevokedWhat::Subject { name, issuer },
        (None, None, Some(issuer), None) => RevokedWhat::Issuer(issuer),
        (None, None, None, Some(id)) => RevokedWhat::ApiKey(id),
        _ => {
            let problem =
                format!("[[revoked]] names one of {}; beside sub it may name iss", listed(&WHICH, "and"));
            return Err(InvalidAccessFile::at(line, problem));
        }
    };
    let issued_before = table.take("issued_before").map(|value| value.time()).transpose()?;
    let reason = table.take("reason").map(|value| value.text().map(Into::into)).transpose()?;
    table.end()?;
    Ok((what, Revoked { issued_before, reason }))
}
