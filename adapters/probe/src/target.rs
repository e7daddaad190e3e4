//! What is probed, and one probe of it.
//!
//! When probes are sent and what their outcomes add up to is not known here.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::ProbeError;

/// Most bytes of an answer that are read; a probe with more has failed.
const BODY_BYTES_MAX: u64 = 16 * 1_024 * 1_024;

/// A checked `http://` URL.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    host: String,
    port: u16,
    host_header: HeaderValue,
    path: Uri,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, ProbeError> {
        let refused = |rule: &'static str| ProbeError::Url { url: url.to_owned(), rule };
        let uri: Uri = url.parse().map_err(|_| refused("not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(refused("not http, the only scheme that is probed")),
            None => return Err(refused("without a scheme")),
        }
        let authority = uri.authority().ok_or_else(|| refused("without a host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("with a user, which a probe does not send"));
        }
        let host = authority.host();
        // An IPv6 address is in brackets in a URL, and not in a socket address.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(refused("without a host"));
        }
        if authority.as_str() != host && authority.port_u16().is_none() {
            return Err(refused("with a port that is none"));
        }
        let host_header = HeaderValue::from_str(authority.as_str());
        let path = uri.path_and_query().cloned();
        Ok(Self {
            host: bare.to_owned(),
            port: authority.port_u16().unwrap_or(80),
            host_header: host_header.map_err(|_| refused("not a URL"))?,
            path: path.map_or_else(|| Uri::from_static("/"), Uri::from),
        })
    }

    /// Sends one GET on a connection of its own and reads the whole answer. Whether its status is
    /// below 500. Dropping the future closes the connection.
    pub(crate) async fn probe(&self) -> io::Result<bool> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        if is_call_to_oneself(stream.local_addr()?, stream.peer_addr()?) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.set_nodelay(true)?;
        let shaken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(io::Error::other)?;
        let exchange = self.exchange(sender);
        tokio::pin!(connection, exchange);
        tokio::select! {
            answered = &mut exchange => return answered,
            _ = &mut connection => {}
        }
        // The connection is done; what it received is still to be looked at.
        exchange.await
    }

    async fn exchange(&self, mut sender: SendRequest<Empty<Bytes>>) -> io::Result<bool> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host_header.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let is_success = !response.status().is_server_error();
        let mut body = response.into_body();
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            received += frame.data_ref().map_or(0, Bytes::len) as u64;
            if received > BODY_BYTES_MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(is_success)
    }
}

/// Whether the kernel picked the very address that was called, as it may on loopback when nobody
/// listens there.
fn is_call_to_oneself(local: SocketAddr, peer: SocketAddr) -> bool {
    local == peer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_probed_is_refused_with_the_rule() {
        let cases = [
            ("https://x/", "not http, the only scheme that is probed"),
            ("unix:/tmp/x", "not a URL"),
            ("localhost", "without a scheme"),
            ("/path", "without a scheme"),
            ("http://", "not a URL"),
            ("http://:80/", "without a host"),
            ("http://me:secret@x/", "with a user, which a probe does not send"),
            ("http://x:99999/", "with a port that is none"),
            ("http://x:/", "with a port that is none"),
            ("http://a b/", "not a URL"),
        ];
        for (url, rule) in cases {
            let error = Target::parse(url).expect_err(url);
            let url = url.to_owned();
            assert_eq!(error, ProbeError::Url { url, rule });
        }
    }

    #[test]
    fn host_port_and_path_are_found() {
        let target = Target::parse("http://[::1]:81/a?b=c").expect("a URL");
        assert_eq!((target.host.as_str(), target.port), ("::1", 81));
        assert_eq!(target.host_header, "[::1]:81");
        assert_eq!(target.path, "/a?b=c");
        let target = Target::parse("http://service.local").expect("a URL");
        assert_eq!((target.host.as_str(), target.port), ("service.local", 80));
        assert_eq!(target.path, "/");
    }
}
