//! The fixes: a text for each program that you may have to change.
//!
//! To add one, put a file into `fixes/` and its name here. `@PATH@` in it becomes the path of the stream. The first line
//! is a title.

use http::Uri;

macro_rules! fixes {
    ($($name:literal)*) => {
        /// The names and their texts.
        pub(super) const FIXES: &[(&str, &str)] = &[$(($name, include_str!(concat!($name, ".txt")))),*];
    };
}

fixes! {
    "abort" "alb" "apache" "apigw" "app" "azure" "binary" "caddy" "cdn" "cloudflare" "compress" "connection-header" "connections" "cors" "credential" "delayed" "dev"
    "envoy" "finish" "first-byte" "fly" "framing" "gcp" "go" "haproxy" "heartbeat" "heroku" "http2" "http3" "ids" "iis"
    "ingress-nginx" "lifetime" "next" "nginx" "proxies" "python" "redirect" "resume" "status" "token" "traefik" "unreadable" "varnish"
    "vercel"
}

/// Returns the text with this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    FIXES.iter().find(|(fix, _)| *fix == name).map(|(_, text)| *text)
}

/// Returns the text for a stream at this URL.
pub(super) fn text_for(name: &str, url: &Uri) -> String {
    text(name).unwrap_or_default().replace("@PATH@", url.path()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_begins_with_a_title_and_fits_a_terminal() {
        for (name, text) in FIXES {
            let mut lines = text.lines();
            assert!(lines.next().is_some_and(|title| title.ends_with(':')), "{name}");
            assert!(lines.next().is_some(), "{name}");
            let is_mark =
                |line: &str| ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark));
            assert!(!text.lines().any(is_mark), "{name} has the marks of a merge");
            for line in text.lines() {
                assert!(line.chars().count() <= 120 && !line.contains('\t'), "{name}: {line}");
            }
        }
    }

    #[test]
    fn a_text_names_the_path_of_the_stream() {
        let text = text_for("nginx", &"https://h/events/1?x=y".parse().unwrap());
        assert!(text.contains("location /events/1 {") && !text.contains('@'), "{text}");
    }
}
