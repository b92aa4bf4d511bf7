//! Settings from environment variables.

use std::ffi::{OsStr, OsString};

use super::{
    flag::{Flag, Takes},
    layer::{Layer, Said},
};

/// The layer of the environment: each flag has a variable.
pub(crate) struct Environment<F> {
    /// The value of a variable; tests have their own.
    pub(super) look_up: F,
}

impl Environment<fn(&str) -> Option<OsString>> {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Environment { look_up: |name| std::env::var_os(name) }
    }
}

impl<F: Fn(&str) -> Option<OsString>> Layer for Environment<F> {
    fn say(&self, flag: &Flag<'_>) -> Option<Said> {
        let name = variable(flag);
        let value = (self.look_up)(&name)?;
        let values = if is_list(flag) { lines(&value) } else { vec![value] };
        Some(Said { origin: name, values })
    }
}

/// The variable of a flag: `TIDINGS_`, the command, and the flag, in capitals, with `_` for what is no letter and no digit.
///
/// The command is left out for `serve`, and for `--hub` and the token for a hub, which mean the same everywhere. Subcommands of one command share the
/// variable of a flag that they share.
pub(crate) fn variable(flag: &Flag<'_>) -> String {
    let command = match flag.command {
        ["serve", ..] | [] => "",
        _ if is_of_hub(flag) => "",
        [command, ..] => command,
    };
    let name = match flag.command {
        // Of `token mint`, this is a time. Of `token explain`, it is an action.
        ["token", "explain"] if flag.name() == "for" => "explain_for",
        _ => flag.name(),
    };
    let words = ["TIDINGS", command, name].into_iter().filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("_").to_ascii_uppercase();
    name.replace(|character: char| !character.is_ascii_alphanumeric(), "_")
}

/// Whether a flag says where the hub is, or is the credential for it. The doctor's URL need not be a hub's, and its token is
/// another.
pub(super) fn is_of_hub(flag: &Flag<'_>) -> bool {
    flag.name() == "hub" || (flag.name() == "token-file" && flag.command != ["doctor"])
}

/// Whether each line of the variable is a value. A request's body may have several lines, and so it is one value.
pub(super) fn is_list(flag: &Flag<'_>) -> bool {
    flag.takes() == Takes::Values && flag.name() != "data"
}

/// The lines of a text that are not empty.
fn lines(text: &OsStr) -> Vec<OsString> {
    let lines = text.as_encoded_bytes().split(|byte| matches!(byte, b'\n' | b'\r'));
    let full = lines.filter(|line| !line.is_empty());
    full.map(from_bytes).collect()
}

#[cfg(unix)]
fn from_bytes(line: &[u8]) -> OsString {
    <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(line).to_owned()
}

#[cfg(not(unix))]
fn from_bytes(line: &[u8]) -> OsString {
    String::from_utf8_lossy(line).into_owned().into()
}
