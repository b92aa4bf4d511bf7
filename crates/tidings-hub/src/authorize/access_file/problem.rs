//! Why a text is no access file.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Why an access file cannot be used: the file, the line, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAccessFile {
    file: Option<PathBuf>,
    line: Option<usize>,
    problem: String,
}

impl InvalidAccessFile {
    /// Something is wrong in a line, counted from 1.
    pub(super) fn at(line: usize, problem: impl Into<String>) -> InvalidAccessFile {
        InvalidAccessFile { file: None, line: Some(line), problem: problem.into() }
    }

    /// Something is wrong with the file as a whole.
    pub(super) fn whole(problem: impl Into<String>) -> InvalidAccessFile {
        InvalidAccessFile { file: None, line: None, problem: problem.into() }
    }

    pub(super) fn in_file(self, file: &Path) -> InvalidAccessFile {
        InvalidAccessFile { file: Some(file.to_owned()), ..self }
    }

    /// The line, counted from 1; `None` if the file as a whole is wrong.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

/// Such as `access.toml:7: [[rule]] read is "all"; it is anyone, token or granted`.
impl fmt::Display for InvalidAccessFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for InvalidAccessFile {}
