//! The programs on the way, if the response names them, and their known time limits.

use std::sync::OnceLock;

use serde::Deserialize;

use super::observation::Seen;

/// A program or service on the way that names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Its name in `limits.json`.
    pub(super) name: &'static str,
    /// The header that names it.
    pub(super) evidence: String,
    /// The fix for this kind of proxy.
    pub(super) fix: &'static str,
}

/// A header, the beginning or a part of its value in lower case, the name and the fix. The nearest to the reader comes
/// first: an edge overwrites `Server`, so other names belong to servers further away.
const SIGNS: &[(&str, &str, &str, &str)] = &[
    ("cf-ray", "", "Cloudflare", "cloudflare"),
    ("server", "cloudflare", "Cloudflare", "cloudflare"),
    ("x-amz-cf-id", "", "CloudFront", "cdn"),
    ("x-amzn-requestid", "", "AWS API Gateway", "apigw"),
    ("x-amz-apigw-id", "", "AWS API Gateway", "apigw"),
    ("server", "awselb", "AWS load balancer", "alb"),
    ("x-azure-ref", "", "Azure", "azure"),
    ("server", "microsoft-azure-application-gateway", "Azure", "azure"),
    ("ocp-apim-trace-location", "", "Azure", "azure"),
    ("via", "google", "Google Cloud", "gcp"),
    ("x-vercel-id", "", "Vercel", "vercel"),
    ("fly-request-id", "", "Fly", "fly"),
    ("via", "vegur", "Heroku", "heroku"),
    ("via", "heroku", "Heroku", "heroku"),
    ("eagleid", "", "Alibaba Cloud CDN", "cdn"),
    ("x-served-by", "cache-", "Fastly", "cdn"),
    ("server", "bunnycdn", "bunny.net", "cdn"),
    ("server", "akamai", "Akamai", "cdn"),
    ("x-varnish", "", "Varnish", "varnish"),
    ("via", "varnish", "Varnish", "varnish"),
    ("server", "openresty", "nginx", "nginx"),
    ("server", "nginx", "nginx", "nginx"),
    ("server", "caddy", "Caddy", "caddy"),
    ("via", "caddy", "Caddy", "caddy"),
    ("server", "apache", "Apache", "apache"),
    ("server", "envoy", "Envoy", "envoy"),
    ("x-envoy-upstream-service-time", "", "Envoy", "envoy"),
    ("server", "istio-envoy", "Envoy", "envoy"),
    ("server", "microsoft-iis", "IIS", "iis"),
    ("x-powered-by", "asp.net", "IIS", "iis"),
    ("x-powered-by", "next.js", "Next.js", "next"),
    ("x-powered-by", "express", "Express", "compress"),
    ("server", "uvicorn", "Python (uvicorn)", "python"),
    ("server", "hypercorn", "Python (hypercorn)", "python"),
    ("server", "gunicorn", "Python (gunicorn)", "python"),
];

/// Applications. They compress, but are not proxies.
const APPLICATIONS: [&str; 5] =
    ["Next.js", "Express", "Python (uvicorn)", "Python (hypercorn)", "Python (gunicorn)"];

/// All programs that name themselves in a response.
pub(super) fn hops(seen: &Seen) -> Vec<Hop> {
    let Some(head) = &seen.head else { return vec![] };
    let mut hops: Vec<Hop> = Vec::new();
    for (header, sign, name, fix) in SIGNS {
        for value in head.headers.get_all(*header) {
            let value = String::from_utf8_lossy(value.as_bytes());
            if value.to_ascii_lowercase().contains(sign) && hops.iter().all(|hop| hop.name != *name) {
                hops.push(Hop { name, evidence: format!("{header}: {value}"), fix });
            }
        }
    }
    hops
}

impl Hop {
    pub(super) fn is_application(&self) -> bool {
        APPLICATIONS.contains(&self.name)
    }

    /// The text for people.
    pub(super) fn shown(&self) -> String {
        format!("{} ({})", self.name, self.evidence)
    }
}

/// The subject of a limit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A silence.
    Idle,
    /// The whole answer.
    Lifetime,
}

/// A known time limit.
#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    pub(super) seconds: u64,
    pub(super) kind: Kind,
    pub(super) who: String,
    hop: Option<String>,
    fix: String,
    #[expect(dead_code, reason = "for the people who maintain the file")]
    source: String,
}

#[derive(Debug, Deserialize)]
struct Limits {
    as_of: String,
    limits: Vec<Limit>,
}

fn limits() -> &'static Limits {
    static LIMITS: OnceLock<Limits> = OnceLock::new();
    LIMITS.get_or_init(|| serde_json::from_str(include_str!("limits.json")).expect("a test reads this file"))
}

/// The limits of about this many seconds, and the date of that knowledge.
pub(super) fn suspects(kind: Kind, seconds: f64) -> (Vec<&'static Limit>, &'static str) {
    let close = |limit: &&Limit| limit.kind == kind && (seconds - limit.seconds as f64).abs() <= 1.5;
    (limits().limits.iter().filter(close).collect(), &limits().as_of)
}

impl Limit {
    /// Whether the program with this limit is on the way.
    pub(super) fn is_of(&self, hops: &[Hop]) -> bool {
        self.hop.as_deref().is_some_and(|name| hops.iter().any(|hop| hop.name == name))
    }

    /// The fix for this limit.
    pub(super) fn fix(&'static self) -> &'static str {
        &self.fix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{case::made, fixes, observation::End};

    #[test]
    fn the_table_of_limits_is_readable_and_its_fixes_exist() {
        for limit in &limits().limits {
            assert!(fixes::text(limit.fix()).is_some(), "{}", limit.who);
        }
        let (nginx, date) = suspects(Kind::Idle, 60.3);
        assert!(nginx.iter().any(|limit| limit.fix() == "nginx") && date.starts_with("20"));
        assert!(suspects(Kind::Idle, 44.0).0.is_empty());
    }

    #[test]
    fn a_hop_is_named_only_by_its_own_header() {
        let seen = |headers| made::answer(200, headers, &[], End::Open);
        let hops_of = |headers| hops(&seen(headers)).iter().map(|hop| hop.name).collect::<Vec<_>>();
        assert_eq!(hops_of(&[("server", "nginx/1.27")]), ["nginx"]);
        assert_eq!(
            hops_of(&[("cf-ray", "x"), ("server", "cloudflare"), ("x-powered-by", "Express")]),
            ["Cloudflare", "Express"]
        );
        assert!(hops_of(&[("server", "homemade")]).is_empty());
        for (.., fix) in SIGNS {
            assert!(fixes::text(fix).is_some(), "{fix}");
        }
    }
}
