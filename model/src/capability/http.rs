//! `http`: requests by scheme, host, port and method. Owns what a rule names; the host resolves
//! the name, checks the address and follows no redirect that it has not asked about here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ParseError, serde_by_text};

/// Requests that may be sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpRule {
    /// The hosts.
    pub host: HostPattern,
    /// The port; where a manifest does not say, that of the scheme.
    pub port: u16,
    /// The scheme; `https` where a manifest does not say.
    pub scheme: Scheme,
    /// The methods, sorted, at least one; `GET` where a manifest does not say.
    pub methods: Vec<Method>,
    /// Whether the host may resolve to a private, loopback or link-local address (cloud metadata services are among these).
    pub private: bool,
}

/// What a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTarget<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// A host name in any case, or an IP address (IPv6 without brackets).
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The method.
    pub method: Method,
}

impl HttpRule {
    /// Whether this rule lets the request out. Says nothing of the address that the host resolves to.
    pub fn allows(&self, target: &HttpTarget<'_>) -> bool {
        self.scheme == target.scheme
            && self.port == target.port
            && self.methods.contains(&target.method)
            && self.host.allows(target.host)
    }

    /// Whether every request that `other` lets out, this does too. One rule must do so alone.
    pub fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.port == other.port
            && (self.private || !other.private)
            && other.methods.iter().all(|method| self.methods.contains(method))
            && self.host.covers(&other.host)
    }
}

impl fmt::Display for HttpRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|method| method.as_str()).collect();
        let brackets = matches!(&self.host, HostPattern::Exact(host) if host.contains(':'));
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        let private = if self.private { " (private addresses too)" } else { "" };
        write!(
            out,
            "{} {}://{open}{}{close}:{}{private}",
            methods.join("|"),
            self.scheme.as_str(),
            self.host,
            self.port
        )
    }
}

/// The scheme of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP within TLS.
    #[default]
    Https,
    /// HTTP in the clear.
    Http,
}

impl Scheme {
    /// `https` or `http`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// 443 or 80.
    pub fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// A method that may be granted. CONNECT and TRACE may not: one makes a tunnel, the other shows credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 7] = [Self::Delete, Self::Get, Self::Head, Self::Options, Self::Patch, Self::Post, Self::Put];

    /// The method as requests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl FromStr for Method {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = Self::ALL.into_iter().find(|method| method.as_str() == text);
        known.ok_or_else(|| ParseError::new("method", text, "write DELETE, GET, HEAD, OPTIONS, PATCH, POST or PUT"))
    }
}

/// One host, or all names beneath a domain.
///
/// Written `api.example.com`, an IP address (IPv6 without brackets), or `*.example.com`, which
/// names `a.example.com` and `a.b.example.com` but not `example.com`. A domain needs two labels: `*.com` is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This host: a name in small letters, or an IP address in its one canonical form.
    Exact(String),
    /// Every name beneath this domain.
    Beneath(String),
}

impl HostPattern {
    /// Whether this names `host`: a name in any case without a dot at the end, or an IP address.
    pub fn allows(&self, host: &str) -> bool {
        match parse_host(host) {
            Some(Host::Address(address)) => matches!(self, Self::Exact(mine) if *mine == address),
            Some(Host::Name(name)) => match self {
                Self::Exact(mine) => *mine == name,
                Self::Beneath(domain) => is_beneath(&name, domain),
            },
            None => false,
        }
    }

    /// Whether every host that `other` names, this names too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(host)) => self.allows(host),
            (Self::Exact(_), Self::Beneath(_)) => false,
            (Self::Beneath(mine), Self::Beneath(theirs)) => mine == theirs || is_beneath(theirs, mine),
        }
    }
}

fn is_beneath(name: &str, domain: &str) -> bool {
    // The dot keeps `evilexample.com` from being beneath `example.com`.
    name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

enum Host {
    Name(String),
    Address(String),
}

fn parse_host(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address.to_string()));
    }
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        let inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    // Resolvers read `127.1`, `0x7f000001` and `2130706433` as addresses: no name ends in a number.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|c| c.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_hexdigit()));
    (name.len() <= 253 && name.split('.').all(label) && !numeric).then_some(Host::Name(name))
}

impl FromStr for HostPattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why: &str| Err(ParseError::new("host", text, why));
        let (rest, beneath) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        match (parse_host(rest), beneath) {
            (Some(Host::Name(domain)), true) if domain.contains('.') => Ok(Self::Beneath(domain)),
            (Some(Host::Name(_)), true) => {
                refuse("a wildcard needs a domain of two labels or more, as `*.example.com`")
            }
            (Some(Host::Address(_)), true) => refuse("addresses have no names beneath them"),
            (Some(Host::Name(host) | Host::Address(host)), false) => Ok(Self::Exact(host)),
            (None, _) => refuse(
                "write a host name (`xn--` for other scripts, no dot at the end), an IP address, or `*.` and a domain; scheme and port have their own fields",
            ),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(out, "{host}"),
            Self::Beneath(domain) => write!(out, "*.{domain}"),
        }
    }
}

serde_by_text!(HostPattern);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn near_misses_of_hosts() {
        let wild = host("*.Example.com");
        for inside in ["a.example.com", "A.B.EXAMPLE.COM"] {
            assert!(wild.allows(inside), "{inside}");
        }
        for outside in [
            "example.com",
            ".example.com",
            "evilexample.com",
            "a.example.com.",
            "a.example.com.evil.org",
            "a.example.co",
            "127.0.0.1",
            "",
            "a..example.com",
        ] {
            assert!(!wild.allows(outside), "{outside}");
        }
        assert!(host("::1").allows("0:0:0:0:0:0:0:1"));
        assert!(host("10.0.0.1").allows("10.0.0.1"));
        for outside in ["10.0.0.10", "010.0.0.1", "10.1", "167772161", "::ffff:10.0.0.1"] {
            assert!(!host("10.0.0.1").allows(outside), "{outside}");
        }
    }

    #[test]
    fn refuses_hosts_that_mean_more_than_they_say() {
        for bad in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "**.example.com",
            "*.10.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "1.2.3.0x4",
            "a:443",
            "[::1]",
            "http://a",
            "a/b",
            "é.com",
            "a.com.",
            "-a.com",
            "u@a.com",
            "a b",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    fn rule() -> HttpRule {
        HttpRule {
            host: host("*.example.com"),
            port: 443,
            scheme: Scheme::Https,
            methods: vec![Method::Get, Method::Head],
            private: false,
        }
    }

    #[test]
    fn rules_are_compared_in_every_field() {
        let target = HttpTarget { scheme: Scheme::Https, host: "a.example.com", port: 443, method: Method::Get };
        assert!(rule().allows(&target));
        for miss in [
            HttpTarget { scheme: Scheme::Http, ..target },
            HttpTarget { port: 8443, ..target },
            HttpTarget { method: Method::Post, ..target },
            HttpTarget { host: "example.com", ..target },
        ] {
            assert!(!rule().allows(&miss), "{miss:?}");
        }
        assert!(rule().covers(&rule()));
        assert!(rule().covers(&HttpRule { host: host("x.example.com"), methods: vec![Method::Head], ..rule() }));
        for wider in [
            HttpRule { private: true, ..rule() },
            HttpRule { port: 80, ..rule() },
            HttpRule { scheme: Scheme::Http, ..rule() },
            HttpRule { methods: vec![Method::Get, Method::Put], ..rule() },
            HttpRule { host: host("example.com"), ..rule() },
        ] {
            assert!(!rule().covers(&wider), "{wider}");
        }
        assert_eq!(rule().to_string(), "GET|HEAD https://*.example.com:443");
    }

    proptest! {
        #[test]
        fn covers_agrees_with_allows(mine in "(\\*\\.)?([ab]\\.){1,3}com", theirs in "(\\*\\.)?([ab]\\.){1,3}com") {
            let (mine, theirs) = (host(&mine), host(&theirs));
            let probe = match &theirs {
                HostPattern::Exact(name) => name.clone(),
                HostPattern::Beneath(domain) => format!("z.{domain}"),
            };
            prop_assert_eq!(mine.covers(&theirs), mine.allows(&probe) && theirs.allows(&probe));
        }

        #[test]
        fn parsing_is_total_and_round_trips(text in "[a-c*.0-9:x-]{0,12}|.{0,12}") {
            if let Ok(once) = text.parse::<HostPattern>() {
                prop_assert_eq!(host(&once.to_string()), once);
            }
        }
    }
}
