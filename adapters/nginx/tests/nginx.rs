//! The router on a real nginx, started here on loopback with its own folder. Each test is ignored
//! unless `scripts/test` asks for it: it installs nginx where it is missing.

mod support;

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use planner_nginx::{NginxRouter, NginxTraffic};
use planner_ports::contract::{RouterRig, router_keeps_its_contract};
use planner_ports::{Router, RouterError, TelemetrySource, Timeline};
use support::{Backend, Keeper, Nginx, get};

/// Which backends answer `times` fresh requests.
async fn answering(nginx: &Nginx, times: u32) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..times {
        let (status, body, _) = get(nginx.http, "/").await.expect("an answer");
        assert_eq!(status, 200, "{body}");
        names.push(body);
    }
    names.sort();
    names.dedup();
    names
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_membership_is_in_effect_when_it_says_so() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    for (backends, names) in [
        (vec![one.address], vec!["one"]),
        (vec![one.address, two.address], vec!["one", "two"]),
        (vec![two.address], vec!["two"]),
    ] {
        router.route(&backends).await.expect("in effect");
        assert_eq!(answering(&nginx, 24).await, names);
    }
    assert_eq!(router.reloads(), 3);
    router.route(&[two.address]).await.expect("in effect");
    assert_eq!(router.reloads(), 3, "nothing had changed");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn without_a_backend_requests_are_told_to_come_again() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    let one = Backend::start("one").await;
    router.route(&[one.address]).await.expect("in effect");
    router.route(&[]).await.expect("in effect");
    let (status, _, head) = get(nginx.http, "/").await.expect("an answer");
    assert_eq!(status, 503);
    assert!(head.to_lowercase().contains("\r\nretry-after: 5"), "{head}");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn what_nginx_refuses_leaves_the_last_good_one() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    router.route(&[one.address]).await.expect("in effect");
    let good = std::fs::read(&nginx.settings().file).expect("the file");
    let other = nginx.folder.path().join("conf.d/somebody-elses.conf");
    std::fs::write(&other, "no_such_directive;\n").expect("written");

    let error = router.route(&[two.address]).await.expect_err("refused");
    let RouterError::Refused { cause } = &error else { panic!("{error}") };
    assert!(cause.contains("unknown directive \"no_such_directive\""), "{cause}");
    assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), good);
    assert_eq!(answering(&nginx, 10).await, ["one"]);

    // Nothing goes on behind the caller's back; asked again, it is made.
    std::fs::remove_file(&other).expect("it was there");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(answering(&nginx, 10).await, ["one"]);
    router.route(&[two.address]).await.expect("in effect");
    assert_eq!(answering(&nginx, 10).await, ["two"]);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn p14_whatever_is_in_the_way_of_a_change_leaves_the_last_good_one() {
    let nginx = Nginx::start().await;
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router.route(&[one.address]).await.expect("in effect");
    drop(router);
    let good = std::fs::read(&nginx.settings().file).expect("the file");
    let conf_d = nginx.folder.path().join("conf.d");
    let draft = conf_d.join(".planner-upstream.conf.draft");
    let dangling = conf_d.join("dangling.conf");
    for (obstacle, words) in [
        ("no nginx", "/nowhere/nginx: No such file"),
        ("an include that cannot be read", "dangling.conf"),
        ("a draft that cannot be written", "Is a directory"),
    ] {
        let mut settings = nginx.settings();
        match obstacle {
            "no nginx" => settings.validate[0] = String::from("/nowhere/nginx"),
            "an include that cannot be read" => {
                std::os::unix::fs::symlink("/nowhere", &dangling).expect("a link");
            }
            _ => std::fs::create_dir(&draft).expect("a folder"),
        }
        let router = NginxRouter::new(settings).expect("settings");
        let error = router.route(&[two.address]).await.expect_err(obstacle).to_string();
        assert!(error.contains(words), "{obstacle}: {error}");
        assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), good, "{obstacle}");
        assert_eq!(answering(&nginx, 10).await, ["one"], "{obstacle}");
        assert_eq!(router.reloads(), 0, "{obstacle}");
        let _only_one_is_there = (std::fs::remove_file(&dangling), std::fs::remove_dir(&draft));
    }
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router.route(&[two.address]).await.expect("nothing is in the way any more");
    assert_eq!(answering(&nginx, 10).await, ["two"]);
}

/// A file system of 64 KiB over a folder, for as long as it is held.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: &std::path::Path) -> Self {
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "planner-test"])
            .arg(folder)
            .status();
        assert!(mounted.expect("mount").success(), "this test needs root");
        Self(folder.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "needs nginx, and mounts a small file system, which takes root"]
async fn p14_a_full_disk_leaves_the_last_good_one() {
    let nginx = Nginx::start().await;
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let conf_d = nginx.folder.path().join("conf.d");
    let _disk = SmallDisk::mount(&conf_d);
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router.route(&[one.address]).await.expect("in effect");
    let good = std::fs::read(&nginx.settings().file).expect("the file");
    let filler = conf_d.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    let error = router.route(&[two.address]).await.expect_err("it is full").to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), good);
    assert_eq!(answering(&nginx, 10).await, ["one"]);
    std::fs::remove_file(&filler).expect("removed");
    router.route(&[two.address]).await.expect("in effect");
    assert_eq!(answering(&nginx, 10).await, ["two"]);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_router_that_ends_in_the_middle_of_a_change_leaves_the_last_good_one() {
    let nginx = Nginx::start().await;
    let one = Backend::start("one").await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router.route(&[one.address]).await.expect("in effect");
    drop(router);
    let good = std::fs::read(&nginx.settings().file).expect("the file");
    let mut settings = nginx.settings();
    settings.validate = vec![String::from("sleep"), String::from("60")];
    let router = NginxRouter::new(settings).expect("settings");
    let _given_up = tokio::time::timeout(Duration::from_millis(300), router.route(&[])).await;
    assert_ne!(std::fs::read(&nginx.settings().file).expect("the file"), good);
    drop(router);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), good);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_address_that_nginx_cannot_take_is_refused_by_name() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    for strange in ["127.0.0.1:0", "0.0.0.0:80", "[fe80::1%3]:80"] {
        let address = strange.parse().expect("an address");
        let error = router.route(&[address]).await.expect_err("refused").to_string();
        assert!(error.contains(&format!("{strange} is no address of a backend")), "{error}");
    }
    assert_eq!(router.reloads(), 0);
    // Nothing was ever in effect, so nothing can be said of what is under way.
    let unknown = router.drained("127.0.0.1:1".parse().expect("one"), Duration::ZERO).await;
    assert_eq!(unknown, Ok(false));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_validation_that_hangs_is_given_up_and_nothing_has_changed() {
    let nginx = Nginx::start().await;
    let one = Backend::start("one").await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router.route(&[one.address]).await.expect("in effect");
    let good = std::fs::read(&nginx.settings().file).expect("the file");
    let mut settings = nginx.settings();
    settings.validate = vec![String::from("sleep"), String::from("60")];
    settings.deadline = Duration::from_millis(200);
    let hanging = NginxRouter::new(settings).expect("settings");
    let error = hanging.route(&[]).await.expect_err("it hangs");
    assert_eq!(
        error.to_string(),
        "backends: refused by the load balancer: sleep has not ended after 200ms; the membership \
         before stays in effect"
    );
    assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), good);
    assert_eq!(answering(&nginx, 10).await, ["one"]);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_hundred_changes_in_a_second_are_at_most_two_reloads() {
    let nginx = Nginx::start().await;
    let mut settings = nginx.settings();
    settings.interval_min = Duration::from_secs(1);
    let router = std::sync::Arc::new(NginxRouter::new(settings).expect("settings"));
    let one = Backend::start("one").await;
    let mut changes = tokio::task::JoinSet::new();
    let began = Instant::now();
    for index in 0..100_u16 {
        let mut backends = vec![one.address];
        if index < 99 {
            backends.push(([127, 0, 0, 1], 1 + index).into());
        }
        let router = std::sync::Arc::clone(&router);
        changes.spawn(async move { router.route(&backends).await });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while let Some(change) = changes.join_next().await {
        change.expect("no panic").expect("in effect, or a newer one is");
    }
    // A second apart, however long this machine took for the changes.
    let most = 1 + began.elapsed().as_secs();
    assert!(router.reloads() <= most.max(2), "{} reloads", router.reloads());
    assert_eq!(answering(&nginx, 10).await, ["one"], "the newest one is in effect");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn a_backend_is_drained_when_its_last_request_is_answered_and_no_sooner() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    router.route(&[one.address]).await.expect("in effect");
    let slow = tokio::spawn(get(nginx.http, "/slow"));
    tokio::time::sleep(Duration::from_millis(300)).await;
    router.route(&[two.address]).await.expect("in effect");
    let early = router.drained(one.address, Duration::from_millis(200)).await;
    assert_eq!(early, Ok(false), "a request is under way");
    assert_eq!(router.drained(one.address, Duration::from_secs(10)).await, Ok(true));
    let answer = tokio::time::timeout(Duration::from_millis(200), slow).await;
    let answer = answer.expect("it was called idle before the answer").expect("no panic");
    let (status, body, _) = answer.expect("an answer");
    assert_eq!((status, body.as_str()), (200, "one"));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_nginx_that_is_gone_is_told_and_found_again() {
    let mut nginx = Nginx::start().await;
    let mut settings = nginx.settings();
    settings.patience = Duration::from_secs(1);
    let router = NginxRouter::new(settings).expect("settings");
    let one = Backend::start("one").await;
    let first = std::fs::read(&nginx.settings().file).expect("the file");
    nginx.stop().await;
    let error = router.route(&[one.address]).await.expect_err("it is gone");
    assert!(matches!(error, RouterError::Unavailable { .. }), "{error}");
    assert_eq!(std::fs::read(&nginx.settings().file).expect("the file"), first);

    // One that comes back in time is found without asking again.
    let mut settings = nginx.settings();
    settings.patience = Duration::from_secs(20);
    let router = NginxRouter::new(settings).expect("settings");
    let backends = [one.address];
    let (routed, ()) = tokio::join!(router.route(&backends), async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        nginx.run().await;
    });
    routed.expect("in effect");
    assert_eq!(answering(&nginx, 10).await, ["one"]);
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn changes_under_load_lose_no_request_of_a_client_that_closes() {
    let nginx = Nginx::start().await;
    let mut settings = nginx.settings();
    settings.interval_min = Duration::from_millis(50);
    let router = NginxRouter::new(settings).expect("settings");
    let backends = [Backend::start("one").await, Backend::start("two").await];
    let both = backends.each_ref().map(|backend| backend.address);
    router.route(&both).await.expect("in effect");
    let http = nginx.http;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let (mut asked, mut failed) = (0_u32, Vec::new());
                while !*stopped.borrow() {
                    asked += 1;
                    match get(http, "/").await {
                        Ok((200, _, _)) => {}
                        other => failed.push(format!("{other:?}")),
                    }
                }
                (asked, failed)
            })
        })
        .collect();
    for change in 0..changes() {
        let backends = if change % 2 == 0 { &both[..1] } else { &both[..] };
        router.route(backends).await.expect("in effect");
    }
    stop.send(true).expect("the clients are there");
    let (mut asked, mut failed) = (0, Vec::new());
    for client in clients {
        let (more, wrong) = client.await.expect("no panic");
        asked += more;
        failed.extend(wrong);
    }
    assert!(asked > 500, "only {asked} requests");
    assert!(failed.is_empty(), "{} of {asked} failed: {:?}", failed.len(), failed.first());
    println!("{asked} requests through {} reloads, none failed", router.reloads());
}

/// How often the membership changes under load: `PLANNER_NGINX_CHANGES`, 30 by default.
fn changes() -> u32 {
    let told = std::env::var("PLANNER_NGINX_CHANGES").ok();
    told.map_or(30, |told| told.parse().expect("PLANNER_NGINX_CHANGES is a number"))
}

/// nginx before 1.27.4 closes idle connections when it reloads, maybe while a request is on its
/// way. What a client can count on: it happens to a connection that was used before, no byte of an
/// answer was sent, and whoever tries once more on a fresh connection loses nothing.
#[tokio::test]
#[ignore = "needs nginx"]
async fn a_client_that_keeps_its_connection_loses_nothing_when_it_tries_once_more() {
    let nginx = Nginx::start().await;
    let mut settings = nginx.settings();
    settings.interval_min = Duration::from_millis(50);
    let router = NginxRouter::new(settings).expect("settings");
    let backends = [Backend::start("one").await, Backend::start("two").await];
    let both = backends.each_ref().map(|backend| backend.address);
    router.route(&both).await.expect("in effect");
    let http = nginx.http;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let (mut client, mut asked) = (Keeper::new(http), 0_u32);
                while !*stopped.borrow() {
                    asked += 1;
                    client.ask().await;
                }
                (asked, client.again)
            })
        })
        .collect();
    for change in 0..changes() {
        let backends = if change % 2 == 0 { &both[..1] } else { &both[..] };
        router.route(backends).await.expect("in effect");
    }
    stop.send(true).expect("the clients are there");
    let (mut asked, mut again) = (0, 0);
    for client in clients {
        let (more, retried) = client.await.expect("no request was lost");
        (asked, again) = (asked + more, again + retried);
    }
    assert!(asked > 500, "only {asked} requests");
    let reloads = router.reloads();
    println!("{asked} requests through {reloads} reloads, {again} tried once more, none lost");
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn connections_to_backends_are_kept() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    let one = Backend::start("one").await;
    router.route(&[one.address]).await.expect("in effect");
    for _ in 0..50 {
        get(nginx.http, "/").await.expect("an answer");
    }
    let connections = one.connections();
    assert!(connections <= 8, "{connections} connections for 50 requests");
}

/// A source of windows of half a second and a router that share an nginx.
async fn measured(nginx: &Nginx) -> (NginxTraffic, NginxRouter) {
    let mut settings = nginx.settings();
    let window = Duration::from_millis(500);
    let timeline = Timeline::begin();
    let traffic = NginxTraffic::new(&mut settings, timeline, None, window).await.expect("settings");
    (traffic, NginxRouter::new(settings).expect("settings"))
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn users_are_seen_each_once_with_how_they_fared() {
    let nginx = Nginx::start().await;
    let (mut traffic, router) = measured(&nginx).await;
    let one = Backend::start("one").await;
    router.route(&[one.address]).await.expect("in effect");
    let _rates_begin_with_the_second = traffic.next_window().await.expect("a window");
    for _ in 0..40 {
        get(nginx.http, "/").await.expect("an answer");
    }
    let window = traffic.next_window().await.expect("a window");
    assert_eq!((window.samples(), window.failures(), window.timeouts()), (40, 0, 0));
    assert_eq!(window.coverage(), Some(1.0));
    let p95_ms = window.latencies().expect("latencies").p95().as_millis();
    assert!(p95_ms < 100.0, "{p95_ms}");
    let seconds = window.length().as_secs_f64();
    let rate = window.traffic().expect("traffic").arrivals_per_s();
    assert!((rate * seconds - 40.0).abs() < 1e-6, "{} arrivals", rate * seconds);

    // Without a backend they are refused, which is a failure and no idleness.
    router.route(&[]).await.expect("in effect");
    let _of_the_change = traffic.next_window().await.expect("a window");
    for _ in 0..10 {
        let (status, _, _) = get(nginx.http, "/").await.expect("an answer");
        assert_eq!(status, 503);
    }
    let window = traffic.next_window().await.expect("a window");
    assert_eq!((window.samples(), window.failures()), (10, 10));
    assert_eq!((window.latencies(), window.coverage()), (None, Some(1.0)));
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn requests_under_way_are_seen_before_they_are_over() {
    let nginx = Nginx::start().await;
    let (mut traffic, router) = measured(&nginx).await;
    let one = Backend::start("one").await;
    router.route(&[one.address]).await.expect("in effect");
    let _rates_begin_with_the_second = traffic.next_window().await.expect("a window");
    let slow: Vec<_> = (0..7).map(|_| tokio::spawn(get(nginx.http, "/slow"))).collect();
    // All seven are sent before a second window is over.
    let (first, second) = (traffic.next_window().await, traffic.next_window().await);
    let seen = [first.expect("a window"), second.expect("a window")];
    let told = seen.each_ref().map(|window| window.traffic().expect("traffic"));
    assert_eq!(told[1].in_flight(), Some(7), "{seen:?}");
    assert!(seen.iter().all(|window| window.samples() == 0), "{seen:?}");
    assert!(told[0].arrivals_per_s() > 0.0, "{seen:?}");
    for answer in slow {
        answer.await.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
#[ignore = "needs nginx"]
async fn an_nginx_that_is_gone_gives_no_window_of_zeros() {
    let mut nginx = Nginx::start().await;
    let (mut traffic, router) = measured(&nginx).await;
    router.route(&[]).await.expect("in effect");
    let _seen = traffic.next_window().await.expect("a window");
    nginx.stop().await;
    let error = traffic.next_window().await.expect_err("nobody to ask");
    assert!(error.to_string().starts_with("nginx gave no telemetry: 127.0.0.1:"), "{error}");
}

struct Rig {
    nginx: Nginx,
    router: NginxRouter,
}

impl RouterRig for Rig {
    fn router(&self) -> &dyn Router {
        &self.router
    }

    fn front(&self) -> SocketAddr {
        self.nginx.http
    }
}

#[tokio::test]
#[ignore = "needs a real nginx"]
async fn the_contract_of_every_router_is_kept() {
    let nginx = Nginx::start().await;
    let router = NginxRouter::new(nginx.settings()).expect("settings");
    router_keeps_its_contract(&Rig { nginx, router }).await;
}
