//! Which representation of a topic a request asks for.

use super::list::split_unquoted;

/// How a topic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    /// `text/event-stream`: a subscription.
    EventStream,
    /// `application/json`: a page of history.
    Json,
}

/// Chooses by an `Accept` header (RFC 9110, section 12.5.1). JSON only if it is ranked higher; `None` if neither is acceptable.
pub(crate) fn representation(accept: Option<&str>) -> Option<Representation> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(Representation::EventStream);
    };
    // Every `EventSource` sends this, so it is not taken apart.
    if accept == "text/event-stream" {
        return Some(Representation::EventStream);
    }
    let stream = quality(accept, "text", "event-stream");
    let json = quality(accept, "application", "json");
    match (stream, json) {
        (0, 0) => None,
        _ if json > stream => Some(Representation::Json),
        _ => Some(Representation::EventStream),
    }
}

/// The quality, in thousandths, that the most specific matching range gives to `kind/subkind`.
fn quality(accept: &str, kind: &str, subkind: &str) -> u16 {
    let mut best = (0, 0);
    for range in split_unquoted(accept, b',') {
        let mut parts = split_unquoted(range, b';').map(str::trim);
        let Some((range_kind, range_subkind)) = parts.next().and_then(|range| range.split_once('/')) else {
            continue;
        };
        let specificity = match (range_kind, range_subkind) {
            ("*", "*") => 1,
            (range, "*") if range.eq_ignore_ascii_case(kind) => 2,
            (range, sub) if range.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subkind) => 3,
            _ => continue,
        };
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        if specificity > best.0 {
            best = (specificity, weight);
        }
    }
    best.1
}

/// `0.5` is 500. A value that is not a quality counts as 1, as if it were not there.
fn thousandths(quality: &str) -> u16 {
    match quality.parse::<f32>() {
        // Between 0 and 1 the product fits, and is never negative.
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::{Representation::*, *};

    #[test]
    fn json_is_chosen_only_when_it_is_ranked_higher() {
        let cases = [
            (None, Some(EventStream)),
            (Some(""), Some(EventStream)),
            (Some("*/*"), Some(EventStream)),
            (Some("text/*"), Some(EventStream)),
            (Some("text/event-stream"), Some(EventStream)),
            (Some("application/json"), Some(Json)),
            (Some("Application/JSON; charset=utf-8"), Some(Json)),
            (Some("application/json, text/event-stream"), Some(EventStream)),
            (Some("application/json, text/event-stream;q=0.9"), Some(Json)),
            (Some("application/json, */*;q=0.5"), Some(Json)),
            (Some("application/json;q=0.4, */*;q=0.5"), Some(EventStream)),
            (Some("text/event-stream;q=0, */*"), Some(Json)),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some(EventStream)),
            (Some("text/html;x=\", application/json\", text/event-stream;Q=0.1"), Some(EventStream)),
            (Some("application/json ; q=\"0\""), Some(Json)),
            (Some("text/html"), None),
            (Some("text/event-stream;q=0"), None),
            (Some("nonsense"), None),
        ];
        for (accept, chosen) in cases {
            assert_eq!(representation(accept), chosen, "{accept:?}");
        }
    }
}
