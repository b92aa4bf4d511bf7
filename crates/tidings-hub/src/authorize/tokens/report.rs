//! The steps in which a token is judged: the first refusal is the verdict, and people can see all of them.

use super::Refusal;

/// One step in which a token was judged, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenCheck {
    /// The part of the token, such as `signature` or `exp`.
    pub name: &'static str,
    /// The rule that refuses the token, such as `token-expired`; `None` if the token passes.
    pub refused_by: Option<&'static str>,
    /// Both values: that of the token and that of the hub.
    pub detail: String,
}

/// Keeps the first refusal, and each step if somebody wants to see them.
///
/// The hub stops at the first refusal. An explanation goes on, because a token may break several rules.
#[derive(Debug)]
pub(super) struct Report {
    checks: Option<Vec<TokenCheck>>,
    first: Option<Refusal>,
}

impl Report {
    /// Stops at the first refusal, and keeps no step.
    pub(super) fn verdict() -> Report {
        Report { checks: None, first: None }
    }

    /// Keeps each step.
    pub(super) fn explanation() -> Report {
        Report { checks: Some(Vec::new()), first: None }
    }

    /// Takes the result of a step. `said` tells what was found if the token passes.
    ///
    /// # Errors
    /// The refusal, if the verdict alone is wanted. Otherwise a refused step is `None`.
    pub(super) fn step<T>(
        &mut self,
        name: &'static str,
        result: Result<T, Refusal>,
        said: impl FnOnce(&T) -> String,
    ) -> Result<Option<T>, Refusal> {
        let Some(checks) = &mut self.checks else { return result.map(Some) };
        match result {
            Ok(value) => {
                checks.push(TokenCheck { name, refused_by: None, detail: said(&value) });
                Ok(Some(value))
            }
            Err(refusal) => {
                let refused_by = Some(refusal.rule);
                checks.push(TokenCheck { name, refused_by, detail: refusal.detail.clone() });
                self.first.get_or_insert(refusal);
                Ok(None)
            }
        }
    }

    /// The same for a step that people need not see if it passes.
    pub(super) fn silent_step<T>(
        &mut self,
        name: &'static str,
        result: Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        match result {
            Ok(value) => Ok(Some(value)),
            refused => self.step(name, refused, |_| String::new()),
        }
    }

    /// The same for a claim that may be missing. Nobody needs to see that it is.
    pub(super) fn optional_step<T>(
        &mut self,
        name: &'static str,
        result: Result<Option<T>, Refusal>,
        said: impl FnOnce(&T) -> String,
    ) -> Result<Option<Option<T>>, Refusal> {
        match result {
            Ok(None) => Ok(Some(None)),
            Ok(Some(value)) => Ok(self.step(name, Ok(value), said)?.map(Some)),
            Err(refusal) => self.step(name, Err(refusal), |_| String::new()),
        }
    }

    /// The verdict over a token of which nothing else is to be looked at.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) fn end<T>(&mut self, accepted: Option<T>) -> Result<T, Refusal> {
        match (self.first.take(), accepted) {
            (None, Some(accepted)) => Ok(accepted),
            (Some(first), _) => Err(first),
            (None, None) => Err(Refusal::before("token-malformed", "the token could not be judged")),
        }
    }

    pub(super) fn into_checks(self) -> Vec<TokenCheck> {
        self.checks.unwrap_or_default()
    }
}
