//! Where requests go: host, port and path, taken from a URL.
//!
//! Not a general URL: plain `http` only, without user name, and the fragment is nobody's.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use hyper::Uri;
use thiserror::Error;

/// A checked `http://host:port/path`.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    authority: String,
    host: String,
    port: u16,
    path_and_query: Uri,
}

impl Target {
    /// The host and port to connect to.
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What goes into the `Host` header.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// What goes into the request line.
    pub(crate) fn path_and_query(&self) -> &Uri {
        &self.path_and_query
    }
}

impl Display for Target {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "http://{}{}", self.authority, self.path_and_query)
    }
}

/// A text that names no target.
#[derive(Clone, Debug, Error, PartialEq)]
#[error(
    "the target {text:?} is not usable: it is http://HOST:PORT/PATH, without TLS or user name; \
     for example http://127.0.0.1:8080/"
)]
pub struct TargetError {
    text: String,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        parse(text).ok_or_else(|| TargetError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Target> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    if uri.scheme_str() != Some("http") || authority.as_str().contains('@') {
        return None;
    }
    let port_text_is_missing = authority.as_str() != authority.host();
    let port = match authority.port_u16() {
        Some(port) => port,
        None if port_text_is_missing => return None,
        None => 80,
    };
    let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = authority.host();
    if host.is_empty() || port == 0 {
        return None;
    }
    Some(Target {
        authority: authority.to_string(),
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        path_and_query: path_and_query.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().expect("the test gives a valid target")
    }

    #[test]
    fn what_is_not_plain_http_is_refused_with_an_example() {
        assert_eq!(
            "https://127.0.0.1/".parse::<Target>().expect_err("TLS").to_string(),
            "the target \"https://127.0.0.1/\" is not usable: it is http://HOST:PORT/PATH, \
             without TLS or user name; for example http://127.0.0.1:8080/"
        );
        for text in [
            "",
            "/",
            "127.0.0.1:8080",
            "http://",
            "http://:80/",
            "http://me@host/",
            "ftp://h/",
            "http://host:0/",
            "http://host:99999/",
            "http://ho st/",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn host_port_and_path_come_from_the_url() {
        let full = target("http://localhost:8080/work?ms=5");
        assert_eq!(full.address(), ("localhost", 8080));
        assert_eq!(full.authority(), "localhost:8080");
        assert_eq!(full.path_and_query().to_string(), "/work?ms=5");
        assert_eq!(full.to_string(), "http://localhost:8080/work?ms=5");
        assert_eq!(target("http://localhost").to_string(), "http://localhost/");
        assert_eq!(target("http://localhost").address(), ("localhost", 80));
        assert_eq!(target("http://[::1]:81/").address(), ("::1", 81));
    }
}
