//! The exit codes of `tidings`. Scripts rely on them: a code never changes its meaning.

use std::process::ExitCode;

/// The result of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: everything was done as requested.
    Success,
    /// 1: the command failed, and the error gives the reason.
    Failure,
    /// 2: no connection to the server was possible, so nothing was begun. The same command may work later.
    Unreachable,
    /// 3: a log is damaged. The command did as much as possible.
    Damaged,
    /// 64: the command line asks for something impossible; nothing was begun. It fails the same way each time.
    /// `EX_USAGE` of `sysexits.h` has this number.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Unreachable => 2,
            Exit::Damaged => 3,
            Exit::Usage => 64,
        })
    }
}

/// An error of the command line: reported like others, with its own exit code.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A server that could not be connected to: reported like other errors, with its own exit code.
#[derive(Debug)]
pub(crate) struct Unreachable(pub(crate) String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// Damage in a log. It is reported like other errors, with its own exit code.
#[derive(Debug)]
pub(crate) struct DamagedLog(pub(crate) String);

impl std::fmt::Display for DamagedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DamagedLog {}

/// The error and its causes, without the next step.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.retain(|cause| !cause.starts_with("hint: "));
    causes.join(": ")
}

/// The next step for the user, printed below the error.
#[derive(Debug)]
pub(crate) struct Hint(pub(crate) String);

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hint: {}", self.0)
    }
}
