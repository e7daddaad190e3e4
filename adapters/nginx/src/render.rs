//! A membership as the text of an include file. Pure; made of parsed addresses and numbers only.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::NginxSettings;
use crate::log::{FIELDS, FORMAT, OWN};

/// Which membership nginx serves: a hash of everything else in the file. Equal memberships under
/// equal settings have equal generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    /// FNV-1a over the text.
    fn of(text: &str) -> Self {
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The include file of a membership, and its generation. Backends are sorted and named once each.
///
/// Without a backend the upstream leads to the status listener, which answers 503 with
/// `Retry-After`: nginx refuses an empty upstream, and would go on with the one before.
///
/// ```
/// use planner_nginx::{NginxSettings, render};
///
/// let status = ([127, 0, 0, 1], 8_099).into();
/// let settings = NginxSettings::new("/etc/nginx/nginx.conf", "/u.conf", "/n.pid", status);
/// let (text, generation) = render(&[([10, 0, 0, 7], 8_080).into()], &settings);
/// assert!(text.contains("    server 10.0.0.7:8080;\n"));
/// assert!(text.contains(&format!("return 200 \"{generation}\"")));
/// ```
pub fn render(backends: &[SocketAddr], settings: &NginxSettings) -> (String, Generation) {
    let backends: BTreeSet<&SocketAddr> = backends.iter().collect();
    let mut body = String::new();
    let _a_string_takes_everything = upstream(&mut body, &backends, settings);
    let generation = Generation::of(&format!("{body}{}", status(settings, Generation(0))));
    let text = format!(
        "# Written by planner; whatever is changed here is lost. Generation {generation}.\n{body}{}",
        status(settings, generation)
    );
    (text, generation)
}

fn upstream(
    body: &mut String,
    backends: &BTreeSet<&SocketAddr>,
    settings: &NginxSettings,
) -> fmt::Result {
    writeln!(body, "upstream {} {{", settings.upstream)?;
    writeln!(body, "    least_conn;")?;
    for backend in backends {
        writeln!(body, "    server {backend};")?;
    }
    if backends.is_empty() {
        writeln!(body, "    server {};", settings.status)?;
    }
    if settings.keepalive > 0 {
        writeln!(body, "    keepalive {};", settings.keepalive)?;
    }
    writeln!(body, "}}")?;
    if settings.proxy_defaults {
        writeln!(body, "proxy_http_version 1.1;\nproxy_set_header Connection \"\";")?;
    }
    if let Some(log) = settings.log {
        writeln!(body, "log_format {FORMAT} '{FIELDS}';")?;
        writeln!(body, "access_log syslog:server={log},tag={FORMAT},nohostname {FORMAT};")?;
    }
    Ok(())
}

/// The listener that tells the generation, and refuses what there is no backend for.
fn status(settings: &NginxSettings, generation: Generation) -> String {
    let log = match settings.log {
        Some(log) => format!("syslog:server={log},tag={OWN},nohostname {FORMAT}"),
        None => String::from("off"),
    };
    format!(
        "server {{\n    listen {};\n    access_log {log};\n    default_type text/plain;\n    \
         location = {PATH} {{\n        return 200 \"{generation}\";\n    }}\n    \
         location = {COUNTERS} {{\n        access_log off;\n        stub_status;\n    }}\n    \
         location / {{\n        add_header Retry-After {} always;\n        return 503;\n    }}\n}}\n",
        settings.status,
        settings.retry_after.as_secs().max(1),
    )
}

/// Where the generation is told.
pub(crate) const PATH: &str = "/__planner_generation";
/// Where the requests are counted.
pub(crate) const COUNTERS: &str = "/__planner_counters";

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = r#"# Written by planner; whatever is changed here is lost. Generation GENERATION.
upstream app_pool {
    least_conn;
    server 127.0.0.1:8081;
    server 127.0.0.1:8082;
    keepalive 32;
}
proxy_http_version 1.1;
proxy_set_header Connection "";
server {
    listen 127.0.0.1:8099;
    access_log off;
    default_type text/plain;
    location = /__planner_generation {
        return 200 "GENERATION";
    }
    location = /__planner_counters {
        access_log off;
        stub_status;
    }
    location / {
        add_header Retry-After 5 always;
        return 503;
    }
}
"#;

    fn settings() -> NginxSettings {
        NginxSettings::new("/n.conf", "/u.conf", "/n.pid", ([127, 0, 0, 1], 8_099).into())
    }

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_membership_is_written_as_nginx_wants_it() {
        let (text, generation) = render(&[at(8_082), at(8_081), at(8_082)], &settings());
        assert_eq!(text, EXPECTED.replace("GENERATION", &generation.to_string()));
    }

    #[test]
    fn the_balancing_method_stands_before_keepalive() {
        let (text, _) = render(&[at(1)], &settings());
        assert!(text.find("least_conn") < text.find("keepalive"));
    }

    #[test]
    fn the_log_goes_to_one_loopback_address_in_one_format() {
        let mut settings = settings();
        settings.log = Some(at(5_140));
        let (text, _) = render(&[at(1)], &settings);
        assert!(
            text.contains(
                "log_format planner '$request_time $status $upstream_response_time';\n\
                 access_log syslog:server=127.0.0.1:5140,tag=planner,nohostname planner;\n"
            ),
            "{text}"
        );
        let own =
            "    access_log syslog:server=127.0.0.1:5140,tag=planner_own,nohostname planner;\n";
        assert!(text.contains(own), "{text}");
    }

    #[test]
    fn no_backend_leads_to_the_listener_that_refuses() {
        let (text, _) = render(&[], &settings());
        assert!(text.contains("    server 127.0.0.1:8099;\n"), "{text}");
    }

    #[test]
    fn the_order_of_backends_makes_no_other_generation_and_a_backend_does() {
        let (one, two) = (at(8_081), ([0, 0, 0, 0, 0, 0, 0, 1], 8_081).into());
        let generation = |backends: &[SocketAddr]| render(backends, &settings()).1;
        assert_eq!(generation(&[one, two]), generation(&[two, one, one]));
        assert_ne!(generation(&[one, two]), generation(&[one]));
        assert!(render(&[two], &settings()).0.contains("    server [::1]:8081;\n"));
    }
}
