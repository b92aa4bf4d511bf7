//! How much a client may do.

/// Limits of a credential. Of a limit that several places set, the smallest counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Limits {
    /// The most open streams.
    pub(crate) streams: Option<u32>,
    /// The most topics and patterns of one stream.
    pub(crate) topics: Option<u32>,
    /// The most updates in a second, on average.
    pub(crate) publishes: Option<f64>,
}

impl Limits {
    /// The smaller limit of both, each by itself.
    #[must_use]
    pub(crate) fn and(self, other: Limits) -> Limits {
        fn smaller<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(if other < one { other } else { one }),
                (one, other) => one.or(other),
            }
        }
        Limits {
            streams: smaller(self.streams, other.streams),
            topics: smaller(self.topics, other.topics),
            publishes: smaller(self.publishes, other.publishes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_limits_the_smaller_counts() {
        let one = Limits { streams: Some(5), topics: None, publishes: Some(10.0) };
        let other = Limits { streams: Some(7), topics: Some(3), publishes: Some(2.5) };
        let both = Limits { streams: Some(5), topics: Some(3), publishes: Some(2.5) };
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }
}
