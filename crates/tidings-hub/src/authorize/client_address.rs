//! The address of a client, also of one that sends through a proxy.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, HeaderName, header, request::Parts};

use crate::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses of one network, such as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no network; write an address, or an address with the number of its fixed bits, such as 10.0.0.0/8"
)]
pub struct InvalidNetwork {
    /// The text.
    pub text: String,
}

impl Network {
    /// Whether `address` belongs to it. An IPv4 address that is written as an IPv6 one counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        let address = address.to_canonical();
        let fixed = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or_default();
        address.is_ipv4() == self.address.is_ipv4() && (bits(address) ^ bits(self.address)) & fixed == 0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Network, InvalidNetwork> {
        let invalid = || InvalidNetwork { text: text.to_owned() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(invalid)?
            }
            Some(_) => return Err(invalid()),
        };
        Ok(Network { address, bits })
    }
}

/// As it is written in a setting.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The address of the client that sent a request. `None` if the application that mounts the hub does not say where the
/// connection comes from.
///
/// A header counts only if a proxy of `trusted` has sent it. Each proxy adds the address of its own client at the end. So the
/// last one that is not a trusted proxy is the client, and nothing before it counts: the client may have sent that itself.
pub(crate) fn client_address(request: &Parts, trusted: &[Network]) -> Option<Peer> {
    let peer: Peer = *request.extensions.get()?;
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer.address().ip()) || has_both(&request.headers) {
        return Some(peer);
    }
    let mut client = peer;
    for said in forwarded(&request.headers).rev() {
        // A proxy that hides its clients ends the chain: the rest may be anybody's.
        let Some(address) = said else { break };
        client = Peer::new(address);
        if !is_trusted(address.ip()) {
            break;
        }
    }
    Some(client)
}

/// Whether a request comes from this machine itself: no trusted proxy says that it comes from elsewhere, or from here.
pub(crate) fn is_of_this_machine(request: &Parts, trusted: &[Network]) -> bool {
    let Some(peer) = request.extensions.get::<Peer>().map(|peer| peer.address().ip()) else { return false };
    let is_said = [X_FORWARDED_FOR, header::FORWARDED].iter().any(|name| request.headers.contains_key(name));
    let is_trusted = trusted.iter().any(|network| network.contains(peer));
    peer.to_canonical().is_loopback() && !(is_trusted && is_said)
}

/// Whether a request has both headers. A proxy sets one of them, and nobody knows which: the client may have set the other.
fn has_both(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) && headers.contains_key(header::FORWARDED)
}

/// The addresses that proxies have noted, from the first to the last, in `X-Forwarded-For` or `Forwarded` (RFC 7239).
fn forwarded(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = Option<SocketAddr>> {
    let texts = |name: HeaderName| {
        let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',')).map(str::trim).collect::<Vec<_>>()
    };
    let plain = texts(X_FORWARDED_FOR);
    let addresses: Vec<_> = match plain.is_empty() {
        false => plain.into_iter().map(address).collect(),
        true => texts(header::FORWARDED).into_iter().map(of_element).collect(),
    };
    addresses.into_iter()
}

/// The address of one element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn of_element(element: &str) -> Option<SocketAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    address(named.next()?.1.trim().trim_matches('"'))
}

/// An address with a port or without.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = bare.parse().ok().map(|address: IpAddr| SocketAddr::new(address, 0));
    bare.or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn found(peer: &str, trusted: &[&str], headers: &[(&str, &str)]) -> String {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        request.extensions_mut().insert(Peer::new(SocketAddr::new(peer.parse().unwrap(), 9)));
        let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let (parts, ()) = request.into_parts();
        client_address(&parts, &trusted).unwrap().address().ip().to_string()
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy_and_only_what_such_proxies_have_added() {
        let through = |headers: &[(&str, &str)]| found("10.0.0.1", &["10.0.0.0/8", "::1"], headers);
        let forwarded_for = |value| through(&[("x-forwarded-for", value)]);
        assert_eq!(found("192.0.2.1", &["10.0.0.0/8"], &[("x-forwarded-for", "1.1.1.1")]), "192.0.2.1");
        assert_eq!(found("10.0.0.1", &[], &[("x-forwarded-for", "1.1.1.1")]), "10.0.0.1");
        assert_eq!(through(&[]), "10.0.0.1");
        assert_eq!(forwarded_for("203.0.113.7"), "203.0.113.7");
        assert_eq!(forwarded_for("6.6.6.6, 203.0.113.7"), "203.0.113.7", "the client wrote the first");
        assert_eq!(forwarded_for("6.6.6.6, 203.0.113.7, 10.2.3.4"), "203.0.113.7");
        assert_eq!(forwarded_for("6.6.6.6, unknown, 10.2.3.4"), "10.2.3.4", "a proxy hides it");
        assert_eq!(forwarded_for("203.0.113.7:4711"), "203.0.113.7");
        assert_eq!(forwarded_for("[2001:db8::1]:4711"), "2001:db8::1");
        let twice = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.8")];
        assert_eq!(through(&twice), "203.0.113.8");
        let standard = [("forwarded", "for=6.6.6.6, for=\"[2001:db8::2]:1\";proto=https;by=10.0.0.1")];
        assert_eq!(through(&standard), "2001:db8::2");
        assert_eq!(through(&[("forwarded", "proto=https")]), "10.0.0.1");
        let both = [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "6.6.6.6")];
        assert_eq!(through(&both), "10.0.0.1", "nobody knows which of them the client wrote");
    }

    #[test]
    fn a_network_is_an_address_with_the_number_of_its_fixed_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{outside} in {network}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/", "host"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
