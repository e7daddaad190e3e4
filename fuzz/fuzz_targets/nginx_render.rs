//! Whatever the membership and the settings, the include file is the template with addresses in it:
//! read as nginx reads it, every token is where it has to be, and every backend is there once.
#![no_main]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use planner_nginx::{NginxSettings, UpstreamName, render};

#[derive(Arbitrary, Debug)]
struct Input {
    backends: Vec<Backend>,
    upstream: String,
    keepalive: u16,
    proxy_defaults: bool,
    log_port: Option<u16>,
    retry_after: Duration,
}

#[derive(Arbitrary, Debug)]
enum Backend {
    V4([u8; 4], u16),
    V6([u8; 16], u16, u32, u32),
}

impl Backend {
    fn address(&self) -> SocketAddr {
        match *self {
            Self::V4(ip, port) => (Ipv4Addr::from(ip), port).into(),
            Self::V6(ip, port, flow, scope) => {
                SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into()
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let mut settings =
        NginxSettings::new("/n.conf", "/u.conf", "/n.pid", ([127, 0, 0, 1], 8_099).into());
    if let Ok(name) = UpstreamName::new(&input.upstream) {
        settings.upstream = name;
    }
    settings.keepalive = input.keepalive;
    settings.proxy_defaults = input.proxy_defaults;
    settings.log = input.log_port.map(|port| ([127, 0, 0, 1], port).into());
    settings.retry_after = input.retry_after;
    let backends: Vec<SocketAddr> = input.backends.iter().map(Backend::address).collect();
    let (text, generation) = render(&backends, &settings);
    assert_eq!(render(&backends, &settings), (text.clone(), generation));

    let mut tokens = tokens(&text).into_iter();
    let mut expect = |expected: &str| {
        for expected in expected.split(' ') {
            assert_eq!(tokens.next().as_deref(), Some(expected), "{text}");
        }
    };
    expect(&format!("upstream {} {{ least_conn ;", settings.upstream));
    let named: BTreeSet<SocketAddr> = backends.iter().copied().collect();
    for backend in &named {
        expect(&format!("server {backend} ;"));
    }
    if named.is_empty() {
        expect("server 127.0.0.1:8099 ;");
    }
    if settings.keepalive > 0 {
        expect(&format!("keepalive {} ;", settings.keepalive));
    }
    expect("}");
    if settings.proxy_defaults {
        expect("proxy_http_version 1.1 ; proxy_set_header Connection \"\" ;");
    }
    let mut own = String::from("off");
    if let Some(log) = settings.log {
        expect("log_format planner '$request_time·$status·$upstream_response_time' ;");
        expect(&format!("access_log syslog:server={log},tag=planner,nohostname planner ;"));
        own = format!("syslog:server={log},tag=planner_own,nohostname planner");
    }
    expect(&format!("server {{ listen 127.0.0.1:8099 ; access_log {own} ;"));
    expect("default_type text/plain ;");
    expect(&format!("location = /__planner_generation {{ return 200 \"{generation}\" ; }}"));
    expect("location = /__planner_counters { access_log off ; stub_status ; }");
    let retry_after = settings.retry_after.as_secs().max(1);
    expect(&format!(
        "location / {{ add_header Retry-After {retry_after} always ; return 503 ; }} }}"
    ));
    assert_eq!(tokens.next(), None, "{text}");
});

/// Tokens as nginx finds them: comments dropped, quoted text whole (its spaces shown as dots), and
/// `;`, `{` and `}` on their own.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    let mut quote = None;
    let mut comment = false;
    for char in text.chars() {
        let last = tokens.last_mut().expect("never empty");
        match (quote, char) {
            _ if comment => comment = char != '\n',
            (Some(open), _) => {
                last.push(if char == ' ' { '·' } else { char });
                quote = Some(open).filter(|open| *open != char);
            }
            (None, '#') if last.is_empty() => comment = true,
            (None, '"' | '\'') => {
                last.push(char);
                quote = Some(char);
            }
            (None, ';' | '{' | '}') => {
                tokens.extend([String::from(char), String::new()]);
            }
            (None, _) if char.is_whitespace() => tokens.push(String::new()),
            (None, _) => last.push(char),
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}
