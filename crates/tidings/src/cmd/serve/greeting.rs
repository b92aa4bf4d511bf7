//! The first words of `tidings serve`: the rights of its clients, and commands that work.

use std::{fmt, net::SocketAddr};

use tidings_hub::Access;

use super::tls::Certificate;
use crate::cli::Anonymous;

/// A hub that has begun to listen.
pub(super) struct Greeting<'a> {
    pub(super) address: SocketAddr,
    pub(super) access: &'a Access,
    /// The rights of everyone.
    pub(super) everyone: &'a [Anonymous],
    /// The names that lead to the hub, beside loopback ones; none if all do.
    pub(super) hosts: &'a [String],
    pub(super) history: &'a str,
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) upstream: Option<&'a str>,
    /// The address of the listener for metrics.
    pub(super) metrics: Option<SocketAddr>,
}

impl Greeting<'_> {
    /// The rights of the clients, in words.
    fn rights(&self) -> String {
        let address = self.address;
        let everyone: Vec<_> = self.everyone.iter().map(|right| right.name()).collect();
        let everyone = format!("EVERYONE who can reach {address} may {}", everyone.join(" and "));
        match self.access {
            Access::Loopback => {
                "programs on this machine may publish and subscribe; a request that a proxy passes on is refused".into()
            }
            Access::Anonymous(_) => format!("{everyone}; programs on this machine may do everything"),
            _ if self.everyone.is_empty() => "a credential says what its holder may do".into(),
            _ => format!("a credential says what its holder may do; {everyone}"),
        }
    }

    /// The part of a command that sends a token, if it takes one to use this right.
    fn credential(&self, right: Anonymous) -> &'static str {
        match matches!(self.access, Access::Control(_)) && !self.everyone.contains(&right) {
            true => " -H \"Authorization: Bearer $TOKEN\"",
            false => "",
        }
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.address);
        writeln!(f, "Tidings listens on {url}\n  Access   {}", self.rights())?;
        if !self.hosts.is_empty() {
            let hosts = self.hosts.join(", ");
            writeln!(f, "  Hosts    {hosts}, and loopback names; requests to any other name are refused")?;
        }
        writeln!(f, "  History  {}", self.history)?;
        if let Some(certificate) = self.certificate {
            writeln!(f, "  TLS      {}", certificate.describe())?;
        }
        if let Some(upstream) = self.upstream {
            writeln!(f, "  Gateway  {url}/v1, to {upstream}")?;
        }
        if let Some(address) = self.metrics {
            writeln!(f, "  Metrics  http://{address}/metrics, for all who can reach it")?;
        }
        let trust = self.certificate.map(Certificate::curl_flags).unwrap_or_default();
        let (to_read, to_publish) =
            (self.credential(Anonymous::Subscribe), self.credential(Anonymous::Publish));
        write!(
            f,
            "\n\
             Open       {url}/\n\
             Subscribe  curl{trust}{to_read} -N {url}/topics/news\n\
             Publish    curl{trust}{to_publish} -d 'Hello, world' {url}/topics/news\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidings_hub::{Control, Grant, Policy, TokenKey, Tokens};

    use super::*;

    fn greet(access: &Access, everyone: &[Anonymous], hosts: &[&str]) -> String {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let address = ([127, 0, 0, 1], 4400).into();
        let metrics = None;
        let (history, certificate, upstream, hosts) = ("in memory", None, None, &hosts[..]);
        Greeting { address, access, everyone, hosts, history, certificate, upstream, metrics }.to_string()
    }

    #[test]
    fn the_greeting_names_the_hosts_that_lead_here_if_there_is_a_list() {
        let greet = |hosts: &[&str]| greet(&Access::Loopback, &[], hosts);
        assert!(!greet(&[]).contains("Hosts"));
        assert!(
            greet(&["hub.example", "10.0.0.7"]).contains("  Hosts    hub.example, 10.0.0.7, and loopback")
        );
    }

    #[test]
    fn the_greeting_says_who_needs_a_token_and_prints_commands_that_work() {
        let key = TokenKey::parse(&[b'x'; 32]).unwrap();
        let access = Access::Control(Arc::new(Control::new(Policy::new(Tokens::new(key)))));
        let all = greet(&access, &[], &[]);
        assert_eq!((all.matches("Bearer $TOKEN").count(), all.contains("EVERYONE")), (2, false), "{all}");
        let readers = greet(&access, &[Anonymous::Subscribe], &[]);
        assert!(readers.contains("EVERYONE who can reach 127.0.0.1:4400 may subscribe"), "{readers}");
        assert!(readers.contains("curl -N http") && readers.contains("curl -H \"Authorization"), "{readers}");
        // A program on this machine publishes without one.
        let readers = greet(&Access::Anonymous(Grant::default()), &[Anonymous::Subscribe], &[]);
        assert!(readers.contains("may subscribe; programs on this machine may do everything"), "{readers}");
        assert_eq!(readers.matches("Bearer").count(), 0, "{readers}");
    }
}
