//! Rights beside those to publish and read topics.

/// A right that is for no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Right {
    /// To list subscriptions with their topics (`GET /subscribers`).
    Subscribers,
    /// To read the metrics.
    Metrics,
    /// To ask the LLM provider of the gateway, which costs its operator money.
    Gateway,
    /// To get tickets in the name of others.
    Tickets,
    /// To revoke credentials, and to read what is revoked.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 5] =
        [Right::Subscribers, Right::Metrics, Right::Gateway, Right::Tickets, Right::Admin];

    /// The word for it in tokens and in the access file.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Subscribers => "subscribers",
            Right::Metrics => "metrics",
            Right::Gateway => "gateway",
            Right::Tickets => "tickets",
            Right::Admin => "admin",
        }
    }

    /// The right of this word.
    pub fn parse(word: &str) -> Option<Right> {
        Right::ALL.into_iter().find(|right| right.as_str() == word)
    }
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Rights(u8);

impl Rights {
    pub(crate) fn has(self, right: Right) -> bool {
        self.0 & Rights::bit(right) != 0
    }

    #[must_use]
    pub(crate) fn with(self, right: Right) -> Rights {
        Rights(self.0 | Rights::bit(right))
    }

    #[must_use]
    pub(crate) fn union(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    fn bit(right: Right) -> u8 {
        1 << right as u8
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Rights {
        rights.into_iter().fold(Rights::default(), Rights::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_right_has_a_word_and_a_place_of_its_own() {
        for right in Right::ALL {
            assert_eq!(Right::parse(right.as_str()), Some(right));
            let one: Rights = [right].into_iter().collect();
            assert_eq!(Right::ALL.into_iter().filter(|other| one.has(*other)).count(), 1);
        }
        assert_eq!(Right::parse("Admin"), None);
    }
}
