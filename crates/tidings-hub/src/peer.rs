//! Where a connection comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of a request's connection, in the extensions of the request. If there is a proxy in front of the hub,
/// it is the proxy.
///
/// [`Hub::serve`](crate::Hub::serve) puts it there. An application that mounts [`Hub::service`](crate::Hub::service) may do
/// so itself:
///
/// ```
/// # use std::net::SocketAddr;
/// # let (mut request, address) = (http::Request::new(()), SocketAddr::from(([192, 0, 2, 7], 50_000)));
/// request.extensions_mut().insert(tidings_hub::Peer::new(address));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(SocketAddr);

impl Peer {
    /// The peer at this address.
    pub fn new(address: SocketAddr) -> Peer {
        Peer(address)
    }

    /// Its address and port.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// The address of its network. Limits for each client should count by this address.
    ///
    /// This is the IPv4 address, or the first 64 bits of the IPv6 address: a client with one address there has 2⁶⁴ of
    /// them. An IPv4 address that is written as an IPv6 one counts as the IPv4 address.
    pub fn network(&self) -> IpAddr {
        match self.0.ip().to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_peer_for_limits() {
        let of = |text: &str| Peer::new(SocketAddr::new(text.parse().unwrap(), 1)).network();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
