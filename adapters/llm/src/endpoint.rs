//! Where a model is asked: checked before anything is sent, and again when its name is resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::LlmError;

/// What kind of address it is, as far as it matters to whom a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// This machine.
    Loopback,
    /// A network of somebody's own.
    Private,
    /// The internet.
    Public,
    /// Nobody's: link-local (a cloud's metadata), multicast, unspecified, reserved.
    Strange,
}

impl Class {
    fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            // The same machine may be reached as ::ffff:127.0.0.1.
            IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| Self::of_v6(ip), Self::of_v4),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [first, second, third, _] = ip.octets();
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_private() || (first == 100 && (64..128).contains(&second)) {
            Self::Private
        } else if first == 0
            || first >= 224
            || ip.is_link_local()
            || ip.is_documentation()
            || (first, second, third) == (192, 0, 0)
            || (first == 198 && (18..20).contains(&second))
        {
            Self::Strange
        } else {
            Self::Public
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_unique_local() {
            Self::Private
        } else if ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8] {
            Self::Public
        } else {
            Self::Strange
        }
    }
}

/// To whom a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rules {
    loopback: bool,
    private: bool,
}

impl Rules {
    fn allow(self, ip: IpAddr) -> bool {
        match Class::of(ip) {
            Class::Loopback => self.loopback,
            Class::Private => self.private,
            Class::Public => !self.loopback,
            Class::Strange => false,
        }
    }
}

/// A base address that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    base: String,
    rules: Rules,
}

impl Endpoint {
    /// Checks an address: HTTPS unless it is this machine, or a private network where that is
    /// allowed; no user, password, query or fragment; no address of nobody's.
    pub(crate) fn parse(text: &str, allow_private: bool) -> Result<Self, LlmError> {
        // An address may hold a password: errors do not repeat it.
        let url = Url::parse(text).map_err(|_| LlmError::Url { rule: "an address" })?;
        let refuse = |rule| Err(LlmError::Url { rule });
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() {
            return refuse(
                "without user, password, query and fragment; the key has its own setting",
            );
        }
        let Some(host) = url.host_str() else { return refuse("with a host") };
        let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let loopback =
            host == "localhost" || literal.is_some_and(|ip| Class::of(ip) == Class::Loopback);
        let rules = Rules { loopback, private: allow_private };
        if literal.is_some_and(|ip| !rules.allow(ip)) {
            return refuse(
                "not of a private or reserved network; allow private ones by LLM_PRIVATE",
            );
        }
        match url.scheme() {
            "https" => {}
            "http" if loopback || allow_private => {}
            _ => return refuse("https, or http on this machine"),
        }
        Ok(Self { base: text.trim_end_matches('/').to_owned(), rules })
    }

    /// The whole address of a request.
    pub(crate) fn with(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether only HTTPS may be spoken.
    pub(crate) const fn is_https_only(&self) -> bool {
        !self.rules.loopback && !self.rules.private
    }

    /// Resolves names, and connects to nothing that a literal address would be refused for: a name
    /// that points into a private network is no way around.
    pub(crate) const fn resolver(&self) -> Resolver {
        Resolver(self.rules)
    }
}

/// See [`Endpoint::resolver`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolver(Rules);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| rules.allow(address.ip())).collect();
            if allowed.is_empty() {
                let rule = "the name leads to no address that may be asked";
                return Err(std::io::Error::other(rule).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_only_where_it_may_go() {
        for (text, is_allowed) in [
            ("https://generativelanguage.googleapis.com/v1beta", true),
            ("http://generativelanguage.googleapis.com/v1beta", false),
            ("https://8.8.8.8/v1", true),
            ("http://127.0.0.1:8080/v1", true),
            ("http://localhost:11434", true),
            ("http://[::1]:8080", true),
            ("http://2130706433/v1", true),
            ("http://0x7f.1/v1", true),
            ("http://[::ffff:127.0.0.1]/v1", true),
            ("https://169.254.169.254/latest", false),
            ("http://169.254.169.254/latest", false),
            ("https://[::ffff:169.254.169.254]/", false),
            ("https://[fe80::1]/", false),
            ("https://0.0.0.0/", false),
            ("http://0.0.0.0:8080/", false),
            ("https://[::]/", false),
            ("https://10.1.2.3/v1", false),
            ("https://192.168.1.1/v1", false),
            ("https://172.16.0.9/v1", false),
            ("https://100.64.0.1/v1", false),
            ("https://[fd00::1]/v1", false),
            ("https://224.0.0.1/v1", false),
            ("https://255.255.255.255/v1", false),
            ("https://[2001:db8::1]/v1", false),
            ("https://[2606:4700::1111]/v1", true),
            ("https://user:secret@api.example.org/v1", false),
            ("https://secret@api.example.org/v1", false),
            ("https://api.example.org/v1?key=secret", false),
            ("https://api.example.org/v1#secret", false),
            ("file:///etc/passwd", false),
            ("ftp://api.example.org/", false),
            ("gopher://127.0.0.1:6379/", false),
            ("api.example.org/v1", false),
            ("", false),
        ] {
            let parsed = Endpoint::parse(text, false);
            assert_eq!(parsed.is_ok(), is_allowed, "{text}: {parsed:?}");
            if let Err(error) = parsed {
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
        assert!(Endpoint::parse("http://10.1.2.3/v1", true).is_ok());
        assert!(Endpoint::parse("http://169.254.169.254/", true).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_no_way_around() {
        let outside = Endpoint::parse("https://api.example.org", false).expect("legal");
        let name: Name = "localhost".parse().expect("a name");
        assert!(outside.resolver().resolve(name).await.is_err());
        let here = Endpoint::parse("http://localhost", false).expect("legal");
        let name: Name = "localhost".parse().expect("a name");
        assert!(here.resolver().resolve(name).await.is_ok());
    }
}
