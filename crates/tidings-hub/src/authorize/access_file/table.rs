//! TOML tables of which each key is taken once, and none is left over.

use std::time::{Duration, SystemTime};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{InvalidAccessFile, nearest::nearest};

/// The largest text that an error repeats, in characters.
const MAX_SHOWN: usize = 64;

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect())
    }

    /// The line at a place, counted from 1.
    pub(super) fn at(&self, place: usize) -> usize {
        self.0.partition_point(|end| *end < place) + 1
    }
}

/// A table. Its reader takes the keys that it may have, and then ends it.
pub(super) struct Table<'i> {
    /// The name for people: `[[rule]]`, or nothing for the file itself.
    name: &'static str,
    pub(super) line: usize,
    entries: Vec<(String, Value<'i>)>,
    known: Vec<&'static str>,
}

/// A value of a table.
pub(super) struct Value<'i> {
    lines: &'i Lines,
    /// The name for people: `[[rule]] read`.
    name: String,
    pub(super) line: usize,
    value: DeValue<'i>,
}

impl<'i> Table<'i> {
    pub(super) fn new(name: &'static str, line: usize, table: DeTable<'i>, lines: &'i Lines) -> Table<'i> {
        let entries = table.into_iter().map(|(key, value)| {
            let key_line = lines.at(key.span().start);
            let key = key.into_inner().into_owned();
            let shown = cut(&key);
            let full = if name.is_empty() { shown } else { format!("{name} {shown}") };
            (key, Value { lines, name: full, line: key_line, value: value.into_inner() })
        });
        Table { name, line, entries: entries.collect(), known: Vec::new() }
    }

    /// The value of a key, if it is there. From now on the key is known.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'i>> {
        self.known.push(key);
        let place = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.swap_remove(place).1)
    }

    /// The value of a key that has to be there.
    pub(super) fn need(&mut self, key: &'static str, example: &str) -> Result<Value<'i>, InvalidAccessFile> {
        self.take(key).ok_or_else(|| {
            InvalidAccessFile::at(self.line, format!("{} has no {key}; write {key} = {example}", self.name))
        })
    }

    /// The tables of a key that may stand in the file several times.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        name: &'static str,
    ) -> Result<Vec<Table<'i>>, InvalidAccessFile> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let wrong =
            |line| InvalidAccessFile::at(line, format!("{key} is written as {name}, with two brackets"));
        let DeValue::Array(array) = value.value else { return Err(wrong(value.line)) };
        let table = |element: Spanned<DeValue<'i>>| {
            let line = value.lines.at(element.span().start);
            match element.into_inner() {
                DeValue::Table(table) => Ok(Table::new(name, line, table, value.lines)),
                _ => Err(wrong(line)),
            }
        };
        array.into_iter().map(table).collect()
    }

    /// Ends the table.
    ///
    /// # Errors
    /// For a key that nobody has taken: it may be a typing error, which must not change in silence who may do what.
    pub(super) fn end(self) -> Result<(), InvalidAccessFile> {
        let Some((key, value)) = self.entries.iter().min_by_key(|(_, value)| value.line) else {
            return Ok(());
        };
        let place = if self.name.is_empty() { "the file" } else { self.name };
        let advice = match nearest(key, &self.known) {
            Some(known) => format!("is {known} meant?"),
            None => format!("known are {}", listed(&self.known, "and")),
        };
        Err(InvalidAccessFile::at(value.line, format!("{place} has no key {:?}; {advice}", cut(key))))
    }
}

impl<'i> Value<'i> {
    /// An error that says which rule the value breaks.
    pub(super) fn wrong(&self, rule: impl std::fmt::Display) -> InvalidAccessFile {
        InvalidAccessFile::at(self.line, format!("{} is {}; {rule}", self.name, shown(&self.value)))
    }

    /// The same without the value, which may be a secret.
    pub(super) fn secretly_wrong(&self, rule: impl std::fmt::Display) -> InvalidAccessFile {
        InvalidAccessFile::at(self.line, format!("{} {rule}", self.name))
    }

    pub(super) fn text(&self) -> Result<&str, InvalidAccessFile> {
        match &self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong("it is a text in quotes")),
        }
    }

    /// A text that a function reads.
    pub(super) fn parse<T, E: std::fmt::Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, InvalidAccessFile> {
        read(self.text()?).map_err(|error| self.wrong(error))
    }

    /// One of some words.
    pub(super) fn word<T>(
        &self,
        words: &[&str],
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, InvalidAccessFile> {
        read(self.text()?).ok_or_else(|| {
            let meant = match nearest(self.text().unwrap_or_default(), words) {
                Some(word) => format!("; is {word} meant?"),
                None => String::new(),
            };
            self.wrong(format!("it is {}{meant}", listed(words, "or")))
        })
    }

    pub(super) fn flag(&self) -> Result<bool, InvalidAccessFile> {
        match &self.value {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(self.wrong("it is true or false, without quotes")),
        }
    }

    /// The values of a list. One value by itself is such a list, too.
    pub(super) fn list(self) -> Vec<Value<'i>> {
        let Value { lines, name, line, value } = self;
        match value {
            DeValue::Array(array) => array
                .into_iter()
                .map(|element| Value {
                    lines,
                    name: name.clone(),
                    line: lines.at(element.span().start),
                    value: element.into_inner(),
                })
                .collect(),
            value => vec![Value { lines, name, line, value }],
        }
    }

    /// A length of time, such as `"30s"` or `"12h"`.
    pub(super) fn duration(&self) -> Result<Duration, InvalidAccessFile> {
        let read = |text: &str| humantime::parse_duration(text).ok();
        read(self.text()?).ok_or_else(|| self.wrong("it is a length of time, such as \"30s\" or \"12h\""))
    }

    /// A point in time, such as `2027-01-31T00:00:00Z`, with quotes or without.
    pub(super) fn time(&self) -> Result<SystemTime, InvalidAccessFile> {
        let given = match &self.value {
            DeValue::Datetime(given) => Some(given.to_string()),
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        };
        given.as_deref().and_then(point).ok_or_else(|| {
            self.wrong("it is a point in time with its offset from UTC, such as 2027-01-31T00:00:00Z")
        })
    }

    /// A table within braces.
    pub(super) fn table(self, name: &'static str) -> Result<Table<'i>, InvalidAccessFile> {
        match self.value {
            DeValue::Table(table) => Ok(Table::new(name, self.line, table, self.lines)),
            _ => Err(self.wrong("it is a table, such as { streams = 5 }")),
        }
    }

    pub(super) fn count(&self) -> Result<u32, InvalidAccessFile> {
        let DeValue::Integer(number) = &self.value else { return Err(self.wrong("it is a whole number")) };
        u32::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| self.wrong(format!("it is a whole number, at most {}", u32::MAX)))
    }

    /// So many in a second, such as `"10/s"` or `"0.5/s"`.
    pub(super) fn rate(&self) -> Result<f64, InvalidAccessFile> {
        let number = self.text()?.strip_suffix("/s").filter(|text| !text.contains(['e', 'E', '+', 'n', 'N']));
        let rate = number.and_then(|number| number.parse().ok()).filter(|rate| (0.001..=1e9).contains(rate));
        rate.ok_or_else(|| self.wrong("it is a rate, such as \"10/s\" or \"0.5/s\""))
    }
}

/// A point in time in RFC 3339, which says its offset.
fn point(text: &str) -> Option<SystemTime> {
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(text).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let part = |text: &str, end| text.parse::<u8>().ok().filter(|number| text.len() == 2 && *number < end);
    let minutes = u64::from(part(hours, 24)?) * 60 + u64::from(part(minutes, 60)?);
    let (time, offset) =
        (humantime::parse_rfc3339(&format!("{local}Z")).ok()?, Duration::from_secs(minutes * 60));
    match sign {
        "+" => time.checked_sub(offset),
        "-" => time.checked_add(offset),
        _ => None,
    }
}

/// A value for people.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{:?}", cut(text)),
        DeValue::Integer(number) => cut(number.as_str()),
        DeValue::Float(number) => cut(number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// `a, b and c`.
pub(super) fn listed(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).into(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}
