//! The policy that an access file makes.

use super::AccessFile;
use crate::authorize::{Audience, InvalidIssuer, Issuer, Policy};

impl AccessFile {
    /// Also accepts the tokens of this issuer.
    ///
    /// # Errors
    /// [`InvalidIssuer`] if the file has an issuer of that name, or one without a name as well.
    pub fn with_issuer(self, issuer: Issuer) -> Result<AccessFile, InvalidIssuer> {
        Ok(AccessFile { tokens: self.tokens.with_issuer(issuer)?, ..self })
    }

    /// Adds a name of this hub, for tokens that say whom they are for (`aud`).
    #[must_use]
    pub fn with_audience(self, name: impl Into<String>) -> AccessFile {
        AccessFile { tokens: self.tokens.with_audience(name), ..self }
    }

    /// Lets everyone read, or publish, where the file has no rule for a topic.
    #[must_use]
    pub fn with_everyone(self, reads: bool, publishes: bool) -> AccessFile {
        let audience = |may| if may { Audience::Anyone } else { Audience::Granted };
        AccessFile { rules: self.rules.with_default(audience(reads), audience(publishes)), ..self }
    }

    /// The policy for a [`Control`](crate::Control).
    pub fn into_policy(self) -> Policy {
        Policy::new(self.tokens)
            .with_api_keys(self.api_keys)
            .with_rules(self.rules)
            .with_roles(self.roles)
            .with_limits(self.limits)
            .with_revoked(self.revoked)
    }
}
