//! The `Retry-After` header. Source: RFC 9110, "Retry-After".

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

use crate::error::Refusal;

impl Refusal {
    /// How long the server asks its clients to wait, counted from now. The header gives seconds or a date; `None` if it
    /// holds neither.
    ///
    /// This is the server's own value, which may be years. A source obeys it within [its
    /// bounds](crate::EventSource::with_max_reconnection_time).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, SystemTime::now())
    }

    /// Whether the server may answer differently later: 408, 429, and 5xx.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429 | 500..=599)
    }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a very long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date in the past means no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        // 1994-11-06 08:49:37 UTC
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:30 GMT"), Some(0));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
    }

    #[test]
    fn a_retry_after_that_is_neither_is_ignored() {
        for value in
            ["", "soon", "-1", "1.5", "120, 7", "Sun, 06 Nov 1994", "Sun, 06 Nov 9999999 08:49:30 GMT"]
        {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
