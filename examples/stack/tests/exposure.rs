//! What others can reach and read of a stack that runs: every listener, every artefact. Needs
//! Redis, nginx, and a Docker engine of our own, whose socket is in `PLANNER_TEST_DOCKER`:
//! `cargo test -p planner-examples-stack --test exposure -- --ignored --test-threads 1`.

mod support;
mod support_stack;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use planner_examples_stack::demo::servers::{Process, free_address};
use planner_redis::{Channel, Mode};
use serde_json::json;
use support::{PROGRAMS, SOON, demo, eventually, next, subscribed};
use support_stack::{Stack, Traffic, served};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// The stack with every program in it, measured by nginx.
async fn everything() -> (Stack, BTreeMap<&'static str, Process>) {
    let mut stack = Stack::start().await;
    for setting in ["listen", "nginx_log"] {
        let free = free_address().expect("a port").to_string();
        stack.rig.set(setting, format!("{free:?}"));
    }
    stack.rig.set("sample_interval", 0.5);
    let running = PROGRAMS.map(|name| (name, stack.rig.run(name, &["--json-logs"]))).into();
    (stack, running)
}

/// Waits until the loop is closed: windows, decisions, replicas in the route.
async fn closed(stack: &Stack) {
    served(stack).await;
    let bus = stack.rig.bus(Mode::Streams).await;
    let mut actions = subscribed(&bus, Channel::Actions).await;
    next(&mut actions, |action| (action["telemetry"]["replicas"] == 1).then_some(())).await;
}

/// A process and those that it has started.
fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// The sockets that a process holds, by their inodes.
fn sockets(pid: u32) -> BTreeSet<u64> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    names
        .filter_map(|name| name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// An address as the kernel's tables write it: each 32 bits in the order of this machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = (0..ip.len() / 8)
        .map(|word| u32::from_str_radix(&ip[word * 8..word * 8 + 8], 16).map(u32::to_ne_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [..] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
    };
    Some(SocketAddr::new(ip, port))
}

/// Everything of these processes that others could send to: listeners, and datagram sockets that
/// are bound to no peer.
fn listeners(pids: &[u32]) -> BTreeSet<(SocketAddr, &'static str)> {
    let held: BTreeSet<u64> = pids.iter().flat_map(|pid| sockets(*pid)).collect();
    let mut found = BTreeSet::new();
    for (table, protocol, state) in
        [("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")]
    {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).expect("a table");
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_held = fields[9].parse().is_ok_and(|inode| held.contains(&inode));
            if fields[3] == state && is_held {
                found.insert((address(fields[1]).expect("an address"), protocol));
            }
        }
    }
    found
}

#[test]
fn the_kernels_tables_are_read_as_it_writes_them() {
    let read = |text| address(text).map(|address| address.to_string());
    assert_eq!(read("0100007F:1F90").as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(read("00000000:0050").as_deref(), Some("0.0.0.0:80"));
    let loopback = "00000000000000000000000001000000:1F90";
    assert_eq!(read(loopback).as_deref(), Some("[::1]:8080"));
    let open = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let here = listeners(&[std::process::id()]);
    assert!(here.contains(&(open.local_addr().expect("an address"), "tcp")), "{here:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p29_every_listener_is_on_loopback_and_nobody_outside_reaches_one() {
    let (stack, running) = everything().await;
    closed(&stack).await;
    // Another address of this machine: that of its bridge to the replicas.
    let outside = stack.gateway().await;
    let server = stack.rig.server.as_ref().expect("a server");
    let processes = running.iter().map(|(name, process)| (*name, process.id()));
    let servers = [("redis-server", server.id()), ("nginx", stack.nginx.id())];
    let mut found = 0;
    for (name, pid) in processes.chain(servers) {
        for (address, protocol) in listeners(&family(pid.expect("it runs"))) {
            println!("{name:<13} {protocol} {address}");
            assert!(address.ip().to_canonical().is_loopback(), "{name} listens on {address}");
            found += 1;
            if protocol == "tcp" {
                let reached = TcpStream::connect((outside, address.port())).await;
                assert!(reached.is_err(), "{name} is reached at {outside}:{}", address.port());
            }
        }
    }
    // Redis, nginx with two, the dashboard, and the monitor's log of nginx.
    println!("{found} listeners, all on loopback; none is reached at {outside}");
    assert!(found >= 5, "{found}");
    drop(running);
    stack.end().await;
}

#[tokio::test]
async fn p29_a_dashboard_for_others_needs_consent_in_words() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8090"] {
        let told = Command::new(demo()).args(["dashboard", "--listen", listen]).output().await;
        let told = told.expect("it ends");
        assert_eq!(told.status.code(), Some(2), "{listen}");
        let text = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(text.contains("--i-understand"), "{text}");
    }
}

/// Files of a folder and those below it, with what is in them.
fn artefacts(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            artefacts(&path, found);
        } else if kind.is_file() {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        }
    }
}

/// What a program says that is run to its end.
async fn said(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<u8> {
    let mut command = Command::new(demo());
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let ended = timeout(SOON, command.kill_on_drop(true).output()).await.expect("it ends");
    let ended = ended.expect("it runs");
    [ended.stdout, ended.stderr].concat()
}

async fn http(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let asked = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A stream of events has no end.
    let _so_far = timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await;
    answer
}

const PASSWORD: &str = "CANARY-password-5ac1";
const KEY: &str = "CANARY-key-0123456789abcdef01234567";
const LLM: &str = "CANARY-llm-77d0";

/// Orders that are forged, broken, and in nobody's name.
async fn forge(stack: &Stack) {
    for text in [
        json!({"kind": "plan", "decision": {"action": "scale_up", "target": "app"}}).to_string(),
        json!({"kind": "plan", "v": 1, "service": "app", "mac": "00"}).to_string(),
        String::from("{"),
    ] {
        stack.rig.ask_with(PASSWORD, &["XADD", "planner:app:actions", "*", "m", &text]).await;
    }
}

/// What every program says of itself, of wrong settings and of a Redis that is not there.
async fn everything_said(stack: &Stack, url: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for name in PROGRAMS {
        let config = stack.rig.path(&format!("{name}.toml")).display().to_string();
        let wrong = format!("redis://:{PASSWORD}@127.0.0.1:1/");
        for (arguments, environment) in [
            (vec![name, "--config", &config, "--print-config"], vec![]),
            (vec![name, "--help"], vec![("REDIS_URL", url)]),
            (vec![name, "--config", &config, "--bus", "no"], vec![]),
            (vec![name, "--bus", "no"], vec![("REDIS_URL", wrong.as_str())]),
            (vec![name], vec![("REDIS_URL", "redis://:CANARY-broken@[/"), ("LLM_API_KEY", LLM)]),
        ] {
            let what = format!("{arguments:?}");
            found.push((what, said(&arguments, &environment).await));
        }
    }
    found
}

/// What the kernel tells everybody of a program and of those that it has started.
fn of_processes(name: &str, process: &Process, found: &mut Vec<(String, Vec<u8>)>) {
    for pid in family(process.id().expect("it runs")) {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{file}");
            let text = std::fs::read(&path).unwrap_or_default();
            found.push((format!("{name} {path}"), text));
        }
    }
}

fn no_secret_in(found: &[(String, Vec<u8>)]) {
    let mut looked = 0;
    for (name, bytes) in found {
        // What the user wrote them into.
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
        let is_given = matches!(extension, Some("toml" | "secret"));
        let told = bytes.windows(6).position(|window| window == b"CANARY");
        if let (false, Some(at)) = (is_given, told) {
            let text = String::from_utf8_lossy(&bytes[at.saturating_sub(80)..]).into_owned();
            panic!("{name}: {}", text.chars().take(160).collect::<String>());
        }
        looked += usize::from(!is_given);
    }
    let bytes: usize = found.iter().map(|(_, bytes)| bytes.len()).sum();
    println!("{looked} artefacts, {bytes} bytes, no secret in any");
    assert!(looked > 60 && bytes > 50_000, "{looked} artefacts, {bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p30_no_secret_is_in_any_artefact_whatever_goes_wrong() {
    let (mut stack, running) = everything().await;
    drop(running);
    let (key_file, redis) = (stack.rig.path("key.secret"), stack.rig.redis);
    std::fs::write(&key_file, KEY).expect("written");
    stack.rig.ask(&["CONFIG", "SET", "requirepass", PASSWORD]).await;
    stack.rig.set("key_file", format!("{:?}", key_file.display().to_string()));
    let url = format!("redis://:{PASSWORD}@{redis}/");
    stack.rig.set("redis_url", format!("{url:?}"));
    stack.rig.set("llm_url", "\"https://127.0.0.1:1/\"");
    stack.rig.set("llm_api_key", format!("{LLM:?}"));
    let running = PROGRAMS.map(|name| (name, stack.rig.run(name, &["--json-logs"])));
    served(&stack).await;
    let traffic = Traffic::start(stack.http, "/work?ms=20");
    forge(&stack).await;
    let mut found = everything_said(&stack, &url).await;
    let dashboard = stack.rig.setting("listen").parse().expect("an address");
    for path in ["/", "/api/state", "/api/events", "/nowhere"] {
        found.push((format!("GET {path}"), http(dashboard, path).await));
    }
    // Redis dies and comes back without the password.
    stack.restart_redis().await;
    eventually("somebody complains", || {
        let said = PROGRAMS.map(|name| stack.rig.log(name)).concat();
        (said.matches("WARN").count() >= 3).then_some(())
    })
    .await;
    for (name, process) in &running {
        of_processes(name, process, &mut found);
    }
    traffic.end().await;
    drop(running);
    artefacts(stack.rig.folder.path(), &mut found);
    found.extend(stack.described().await);
    no_secret_in(&found);
    stack.end().await;
}
