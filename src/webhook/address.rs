//! Where a webhook may be called.

use std::net::{IpAddr, SocketAddr};

/// What an address text stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
}

/// Reads a URL as the client does, and refuses what no webhook may have; an error continues the sentence "url …".
pub fn check_url(text: &str) -> Result<(), String> {
    place_of(text).map(drop)
}

/// The place that a URL names, if a webhook may have it.
pub(super) fn place_of(text: &str) -> Result<Place, String> {
    let url =
        reqwest::Url::parse(text).map_err(|_| "must be a URL, for example https://partner.example/dsrd")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a login: secrets come from files, and the signature shows who calls".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a part after #".to_owned());
    }
    let host = url.host_str().ok_or("names no host")?.to_owned();
    let is_tls = match url.scheme() {
        "https" => true,
        "http" if is_this_host(&host) => false,
        _ => return Err("must begin with https://; http:// is for this host only".to_owned()),
    };
    let port = url.port_or_known_default().ok_or("has no port")?;
    Ok(Place { host, port, is_tls })
}

fn is_this_host(host: &str) -> bool {
    host == "localhost" || literal(host).is_some_and(|address| address.is_loopback())
}

/// The address that a host is, if it is no name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// The addresses of a place, all of them allowed: a name that leads to a private network among others is refused as a whole,
/// because nobody knows which one a client takes.
pub(super) async fn resolve(place: &Place, may_be_private: bool) -> Result<Vec<SocketAddr>, &'static str> {
    let addresses: Vec<SocketAddr> = match literal(&place.host) {
        Some(address) => vec![SocketAddr::new(address, place.port)],
        None => tokio::net::lookup_host((place.host.as_str(), place.port))
            .await
            .map_err(|_| "name_unknown")?
            .collect(),
    };
    if addresses.is_empty() {
        return Err("name_unknown");
    }
    if !may_be_private && addresses.iter().any(|address| !is_public(address.ip())) {
        return Err("private_address");
    }
    if !place.is_tls && addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err("plain_http");
    }
    Ok(addresses)
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            let [a, b, c, _] = four.octets();
            !(four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || four.is_unspecified()
                || four.is_broadcast()
                || four.is_multicast()
                || four.is_documentation()
                || a == 0
                || a >= 240
                // Carrier-grade NAT, protocol assignments, benchmarks.
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(six) => {
            // An address of version 4 in the clothes of version 6 is what it carries.
            if let Some(four) = six.to_ipv4_mapped().or_else(|| six.to_ipv4()) {
                return is_public(IpAddr::V4(four));
            }
            let first = six.segments()[0];
            // Global unicast, without the transition forms that carry an address of version 4 and without documentation.
            (0x2000..0x4000).contains(&first)
                && first != 0x2002
                && !(first == 0x2001 && six.segments()[1] < 0x0200)
                && !(first == 0x2001 && six.segments()[1] == 0x0db8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_places_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in
            ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_place_in_a_private_network_is_called_only_where_allowed() {
        let place = place_of("https://127.0.0.1:9/").unwrap();
        assert_eq!(resolve(&place, false).await, Err("private_address"));
        assert!(resolve(&place, true).await.is_ok());
        // Shorter and other spellings of the same address are read as the client reads them.
        let place = place_of("https://2130706433/").unwrap();
        assert_eq!(
            (place.host.as_str(), resolve(&place, false).await),
            ("127.0.0.1", Err("private_address"))
        );
        assert!(check_url("http://169.254.169.254/latest").is_err());
        assert!(check_url("https://partner.example/#part").is_err());
    }
}
