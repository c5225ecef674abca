//! `/proc/PID/net/tcp`, `tcp6`, `udp` and `udp6`.
//!
//! Owns addresses as the kernel prints them: words of 32 bits in the byte order of the machine, which is taken to be
//! little-endian as on every platform that agents run on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    /// `tcp`, `tcp6`, `udp` or `udp6`.
    pub protocol: &'static str,
    /// What it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Who opened it.
    pub uid: u32,
}

impl Socket {
    /// Whether others than this instance reach it, as far as the address tells.
    pub(crate) fn is_open(&self) -> bool {
        let address = match self.address {
            IpAddr::V6(address) => address.to_ipv4_mapped().map_or(self.address, IpAddr::V4),
            IpAddr::V4(_) => self.address,
        };
        !address.is_loopback()
    }

    /// As `tcp 0.0.0.0:23 (uid 0)`.
    pub(crate) fn evidence(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("{} {address}:{} (uid {})", self.protocol, self.port, self.uid),
            IpAddr::V6(address) => format!("{} [{address}]:{} (uid {})", self.protocol, self.port, self.uid),
        }
    }
}

/// Sockets that listen (tcp) or are bound without a peer (udp).
pub(crate) fn listening(protocol: &'static str, text: &str) -> Vec<Socket> {
    // TCP_LISTEN, and TCP_CLOSE which is what an unconnected udp socket shows.
    let wanted = if protocol.starts_with("tcp") { "0A" } else { "07" };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words = line.split_whitespace().collect::<Vec<_>>();
            if *words.get(3)? != wanted {
                return None;
            }
            let (address, port) = words.get(1)?.split_once(':')?;
            Some(Socket {
                protocol,
                address: ip(address)?,
                port: u16::from_str_radix(port, 16).ok()?,
                uid: words.get(7)?.parse().ok()?,
            })
        })
        .collect()
}

fn ip(text: &str) -> Option<IpAddr> {
    let word = |from: usize| u32::from_str_radix(text.get(from..from + 8)?, 16).ok().map(u32::to_le_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_little_endian_words() {
        let text = "  sl  local_address rem_address   st ...\n\
             0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100\n\
             1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 2 1 0 100\n\
             2: 0100007F:9C40 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100\n";
        let sockets = listening("tcp", text);
        assert_eq!(sockets.len(), 2);
        assert_eq!((sockets[0].address.to_string().as_str(), sockets[0].port), ("127.0.0.1", 22));
        assert!(!sockets[0].is_open());
        assert!(sockets[1].is_open());
        assert_eq!(sockets[1].evidence(), "tcp 0.0.0.0:80 (uid 33)");
    }

    #[test]
    fn loopback_in_both_families_is_not_open() {
        let line = |address: &str| {
            format!("header\n 0: {address}:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 1\n")
        };
        assert!(!listening("tcp6", &line("00000000000000000000000001000000"))[0].is_open());
        assert!(!listening("tcp6", &line("0000000000000000FFFF00000100007F"))[0].is_open());
        assert!(listening("tcp6", &line("00000000000000000000000000000000"))[0].is_open());
    }
}
