//! How much a client may do.

use serde_json::Value;

/// The limits of an address whose clients show no credential, at a hub that takes credentials.
const OF_ADDRESS: Limits =
    Limits { streams: Some(100), topics: None, publishes: Some(100.0), publish_bytes: None };

/// The slowest rate: one in about three hours.
const SLOWEST: f64 = 0.0001;

/// Limits of a credential. Of a limit that several places set, the smallest counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Limits {
    /// The most open streams.
    pub(crate) streams: Option<u32>,
    /// The most topics and patterns of one stream.
    pub(crate) topics: Option<u32>,
    /// The most updates in a second, on average.
    pub(crate) publishes: Option<f64>,
    /// The most bytes of published data in a second, on average.
    pub(crate) publish_bytes: Option<f64>,
}

impl Limits {
    /// Those of an address whose clients show no credential.
    pub(crate) fn of_address() -> Limits {
        OF_ADDRESS
    }

    /// Reads limits as tokens and the access file write them:
    /// `{"streams": 5, "topics": 20, "publish": "10/s", "publish_bytes": "64KiB/s"}`, each of them optional.
    ///
    /// # Errors
    /// [`InvalidLimits`] says how a limit is written.
    pub(crate) fn parse(value: &Value) -> Result<Limits, InvalidLimits> {
        let malformed = |detail: String| InvalidLimits { is_unknown: false, detail };
        let members = value.as_object().ok_or_else(|| {
            malformed(format!("limits is {}; it is an object, such as {{\"streams\": 5}}", shown(value)))
        })?;
        let mut limits = Limits::default();
        for (name, value) in members {
            let text = value.as_str().unwrap_or_default();
            let wrong = |rule: &str| malformed(format!("limits.{name} is {}; write {rule}", shown(value)));
            let count = || {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                count.ok_or_else(|| wrong("a whole number, such as 5"))
            };
            match &**name {
                "streams" => limits.streams = Some(count()?),
                "topics" => limits.topics = Some(count()?),
                "publish" => {
                    let rate = rate(text, number);
                    let rate =
                        rate.ok_or_else(|| wrong("a rate, such as \"10/s\", \"100/m\" or \"1000/h\""))?;
                    limits.publishes = Some(rate);
                }
                "publish_bytes" => {
                    let rate = rate(text, bytes)
                        .ok_or_else(|| wrong("a rate, such as \"64KiB/s\" or \"1MiB/m\""))?;
                    limits.publish_bytes = Some(rate);
                }
                _ => {
                    let detail = format!(
                        "limits has {name:?}; it may have streams, topics, publish and publish_bytes"
                    );
                    return Err(InvalidLimits { is_unknown: true, detail });
                }
            }
        }
        Ok(limits)
    }

    /// Whether nothing is limited.
    pub(crate) fn is_none(&self) -> bool {
        *self == Limits::default()
    }

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
            publish_bytes: smaller(self.publish_bytes, other.publish_bytes),
        }
    }
}

/// A value that is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidLimits {
    /// Whether there is no limit of this name.
    pub(crate) is_unknown: bool,
    pub(crate) detail: String,
}

/// The beginning of a value, since its sender may have made it long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A number with or without a decimal point.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|number: &f64| is_plain && *number <= 1e9)
}

/// So much in a second (`s`), minute (`m`) or hour (`h`), as a number for each second. 0 is no rate: then there is no right to publish.
fn rate(text: &str, amount: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let (text, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    amount(text).map(|amount| amount / seconds).filter(|rate| *rate >= SLOWEST)
}

fn bytes(text: &str) -> Option<f64> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u32 = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| f64::from(number) * f64::from(unit))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_two_limits_the_smaller_counts() {
        let one = Limits { streams: Some(5), topics: None, publishes: Some(10.0), publish_bytes: None };
        let other =
            Limits { streams: Some(7), topics: Some(3), publishes: Some(2.5), publish_bytes: Some(1.0) };
        let both =
            Limits { streams: Some(5), topics: Some(3), publishes: Some(2.5), publish_bytes: Some(1.0) };
        assert_eq!((one.and(other), other.and(one)), (both, both));
    }

    #[test]
    fn limits_are_read_and_what_is_no_limit_is_refused_with_the_way_to_write_it() {
        let all = json!({ "streams": 5, "topics": 20, "publish": "120/m", "publish_bytes": "64KiB/s" });
        let limits = Limits {
            streams: Some(5),
            topics: Some(20),
            publishes: Some(2.0),
            publish_bytes: Some(65_536.0),
        };
        assert_eq!(Limits::parse(&all), Ok(limits));
        assert_eq!(Limits::parse(&json!({})), Ok(Limits::default()));
        for (value, words) in [
            (json!([]), "limits is []; it is an object"),
            (json!({ "stream": 5 }), "limits has \"stream\""),
            (json!({ "streams": "5" }), "limits.streams is \"5\"; write a whole number"),
            (json!({ "streams": -1 }), "limits.streams is -1"),
            (json!({ "topics": 1.5 }), "limits.topics is 1.5"),
            (json!({ "publish": 10 }), "limits.publish is 10; write a rate, such as \"10/s\""),
            (json!({ "publish": "0/s" }), "limits.publish"),
            (json!({ "publish": "1/d" }), "limits.publish"),
            (json!({ "publish": "1e3/s" }), "limits.publish"),
            (json!({ "publish": "x".repeat(1_000) }), "xxx…; write a rate"),
            (json!({ "publish_bytes": "1KB/s" }), "limits.publish_bytes is \"1KB/s\""),
        ] {
            let error = Limits::parse(&value).unwrap_err().detail;
            assert!(error.contains(words), "{error}");
        }
    }
}
