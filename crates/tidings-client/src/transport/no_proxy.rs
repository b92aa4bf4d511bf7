//! `NO_PROXY`: the servers that are reached without a proxy.

use std::net::IpAddr;

/// A list of servers in the syntax of the variable: `localhost, .example.org, host:8080, 10.0.0.0/8, *`.
#[derive(Debug, Default)]
pub(super) struct NoProxy(Vec<Rule>);

#[derive(Debug)]
enum Rule {
    Everything,
    /// A domain in lower case, and all its subdomains.
    Domain(String, Option<u16>),
    /// The addresses that share this many leading bits with the given one.
    Network(IpAddr, u8, Option<u16>),
}

impl NoProxy {
    /// Reads a list. Commas or spaces separate its items. An invalid item is taken for a domain that does not exist.
    pub(super) fn parse(list: &str) -> Self {
        let items = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty());
        Self(items.map(Rule::parse).collect())
    }

    /// Whether a server is in the list. The host is a name or an address without brackets.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        self.0.iter().any(|rule| match rule {
            Rule::Everything => true,
            Rule::Domain(domain, rule_port) => {
                let is_below =
                    host.strip_suffix(&**domain).is_some_and(|name| name.is_empty() || name.ends_with('.'));
                is_below && rule_port.is_none_or(|rule_port| rule_port == port)
            }
            Rule::Network(network, bits, rule_port) => {
                address.is_some_and(|address| common_bits(address, *network) >= u32::from(*bits))
                    && rule_port.is_none_or(|rule_port| rule_port == port)
            }
        })
    }
}

impl Rule {
    fn parse(item: &str) -> Self {
        if item == "*" {
            return Self::Everything;
        }
        if let Some((Ok(address), Ok(bits))) =
            item.split_once('/').map(|(address, bits)| (address.parse(), bits.parse()))
        {
            return Self::Network(address, bits, None);
        }
        if let Ok(address) = item.parse() {
            return Self::Network(address, all_bits(address), None);
        }
        let (host, port) = match item.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (item, None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Self::Network(address, all_bits(address), port);
        }
        let domain = host.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        Self::Domain(domain, port)
    }
}

fn all_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        // Only `/0` covers the other family too.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &str, host: &str) -> bool {
        let (host, port) = host.rsplit_once('|').unwrap_or((host, "80"));
        NoProxy::parse(list).covers(host, port.parse().unwrap())
    }

    #[test]
    fn names_cover_themselves_and_what_is_below_them() {
        for list in ["example.org", ".example.org", "*.example.org", "a, EXAMPLE.org b", "example.org."] {
            for host in ["example.org", "a.b.Example.org", "example.org."] {
                assert!(covers(list, host), "{list} {host}");
            }
            for host in ["notexample.org", "org", "example.org.evil", "1.2.3.4"] {
                assert!(!covers(list, host), "{list} {host}");
            }
        }
    }

    #[test]
    fn a_port_narrows_a_rule() {
        assert!(covers("h:8080", "h|8080") && !covers("h:8080", "h|80"));
        assert!(covers("1.2.3.4:8080", "1.2.3.4|8080") && !covers("1.2.3.4:8080", "1.2.3.4|80"));
        assert!(covers("[fd00::1]:8080", "fd00::1|8080") && !covers("[fd00::1]:8080", "fd00::1|80"));
    }

    #[test]
    fn addresses_and_networks() {
        for (list, host) in [
            ("1.2.3.4", "1.2.3.4"),
            ("10.0.0.0/8", "10.9.9.9"),
            ("fd00::/8", "fdab::1"),
            ("0.0.0.0/0", "9.9.9.9"),
        ] {
            assert!(covers(list, host), "{list} {host}");
        }
        for (list, host) in [
            ("1.2.3.4", "1.2.3.40"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "fd00::1"),
            ("10.0.0.0/8", "10.h"),
            ("10.0.0.0/99", "10.0.0.0"),
        ] {
            assert!(!covers(list, host), "{list} {host}");
        }
    }

    #[test]
    fn a_star_is_everything_and_an_empty_list_nothing() {
        assert!(covers("*", "h") && covers("*", "1.2.3.4") && covers("a,*", "::1"));
        assert!(!covers("", "h") && !covers(" , ", "h"));
    }
}
