//! Everything against a real Redis: `cargo test -p planner-redis -- --ignored`.

mod support;
#[path = "redis/tls.rs"]
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use planner_core::{Planner, ReplicaBounds, Timestamp, Window};
use planner_ports::{
    Executor as _, ExecutorError, Member, ReplicaCounts, ReplicaState, Router as _, RouterError,
    TelemetrySource as _, Timeline,
};
use planner_redis::wire::{Action, Alert, Clock, MacKey, Membership, Routing, seal, wall_now};
use planner_redis::{
    Bus, BusError, Channel, Fence, Lease, LeaseHold, MembershipReader, Mode, Order, OrderError,
    Orders, OrdersSettings, Reader, Received, RedisExecutor, RedisExecutorSettings, RedisRouter,
    RedisRouterSettings, RedisSettings, RedisTelemetry, Refusal, Step,
};
use support::{Redis, eventually, shop};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(15);
const TTL: Duration = Duration::from_secs(3);

/// A lease once it is held.
async fn held(bus: &Bus, holder: &str, ttl: Duration) -> LeaseHold {
    let hold = Lease::hold(bus, holder, ttl).expect("a time to live");
    eventually(|| hold.epoch()).await;
    hold
}

async fn executor(bus: &Bus, settings: RedisExecutorSettings) -> RedisExecutor {
    RedisExecutor::new(bus, held(bus, "planner", TTL).await, settings).expect("settings")
}

async fn next_order(orders: &mut Orders) -> Order {
    match timeout(SOON, orders.next()).await.expect("in time").expect("an order") {
        Received::Order(order) => order,
        other => panic!("{other:?}"),
    }
}

/// The next message of a reader; losses on the way are counted.
async fn next_text(reader: &mut Reader, losses: &mut u32) -> (String, String) {
    loop {
        match timeout(SOON, reader.next()).await.expect("in time") {
            Ok(entry) => return (entry.id, String::from_utf8(entry.bytes).expect("text")),
            Err(BusError::Unavailable { .. }) => *losses += 1,
            Err(other) => panic!("{other}"),
        }
    }
}

async fn is_silent(reader: &mut Reader) -> bool {
    timeout(Duration::from_millis(700), reader.next()).await.is_err()
}

fn group(bus: &Bus, consumer: &str, idle_ms: u64) -> Reader {
    let idle = Duration::from_millis(idle_ms);
    Reader::group(bus, Channel::Results, "group", consumer, idle).expect("settings")
}

fn key() -> MacKey {
    MacKey::new(b"sixteen bytes or more").expect("long enough")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_order_reaches_the_executor_once_and_the_newest_wins() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let executor = executor(&bus, RedisExecutorSettings::default()).await;
    // Given while nobody listens: the state is there when somebody does.
    executor.scale_to(2).await.expect("accepted");
    executor.scale_to(3).await.expect("accepted");
    let mut orders = Orders::new(&bus, OrdersSettings::default()).expect("settings");
    let order = next_order(&mut orders).await;
    assert_eq!((order.replicas, order.epoch, order.seq), (3, 1, 2));
    let again = timeout(Duration::from_secs(1), orders.next()).await;
    assert!(again.is_err(), "{again:?}");

    let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
    let mut planner = Planner::heuristic(ReplicaBounds::new(4, 8).expect("bounds"));
    let window = Window::probes(at(0), at(3), &[21.0; 40], 0, 3).expect("a window");
    let decision = planner.decide(at(3), &window);
    executor.carry_out(&decision).await.expect("accepted");
    let order = next_order(&mut orders).await;
    assert_eq!((order.replicas, order.seq, order.id), (4, 3, Some(decision.id.get())));
    assert_eq!(Fence::default().judge(&order, wall_now()), Ok(()));
    let kept: String = redis.ask(&["HGET", "planner:shop:desired", "message"]);
    assert!(kept.contains("binding"), "the argument travels: {kept}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn nothing_is_lost_or_twice_when_redis_crashes_under_a_reader() {
    let mut redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let mut reader = group(&bus, "one", 5_000);
    let mut follower = Reader::follow(&bus, Channel::Results, 0);
    let (mut seen, mut followed) = (Vec::new(), Vec::new());
    let (mut losses, mut follower_losses) = (0, 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for number in 0..30 {
        if number == 10 || number == 20 {
            redis.kill();
            redis.run();
        }
        let text = format!("{{\"n\":{number}}}");
        while bus.publish(Channel::Results, &text).await.is_err() {
            let stored: u64 = redis.ask(&["XLEN", "planner:shop:results"]);
            if stored > number {
                break;
            }
        }
        let (id, text) = next_text(&mut reader, &mut losses).await;
        // Every second one is acknowledged late, after a crash or two.
        if number % 2 == 0 {
            reader.ack(&id).await;
        }
        seen.push((text, id));
        followed.push(next_text(&mut follower, &mut follower_losses).await.1);
    }
    let expected: Vec<String> = (0..30).map(|number| format!("{{\"n\":{number}}}")).collect();
    assert_eq!(seen.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(followed, expected);
    assert!(losses >= 1, "a loss is told");
    assert!(is_silent(&mut reader).await && is_silent(&mut follower).await);
    for (_, id) in &seen {
        reader.ack(id).await;
    }
    let pending: redis::Value = redis.ask(&["XPENDING", "planner:shop:results", "group"]);
    assert!(matches!(&pending, redis::Value::Array(parts) if parts[0] == redis::Value::Int(0)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn what_was_not_acknowledged_comes_again_after_a_restart_and_nothing_else() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let mut losses = 0;
    let mut reader = group(&bus, "one", 60_000);
    for text in ["{\"n\":1}", "{\"n\":2}"] {
        bus.publish(Channel::Results, text).await.expect("sent");
    }
    let (first, _) = next_text(&mut reader, &mut losses).await;
    reader.ack(&first).await;
    next_text(&mut reader, &mut losses).await;
    drop(reader);
    let mut reader = group(&bus, "one", 60_000);
    assert_eq!(next_text(&mut reader, &mut losses).await.1, "{\"n\":2}");
    assert!(is_silent(&mut reader).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_pause_of_redis_is_told_and_survived() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let hold = held(&bus, "planner", Duration::from_secs(1)).await;
    let before = hold.epoch().expect("held");
    let mut reader = group(&bus, "one", 60_000);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _: String = redis.ask(&["CLIENT", "PAUSE", "4000", "ALL"]);
    eventually(|| hold.epoch().is_none().then_some(())).await;
    let mut losses = 0;
    let sending = bus.clone();
    let sender = tokio::spawn(async move {
        while sending.publish(Channel::Results, "{\"n\":1}").await.is_err() {}
    });
    assert_eq!(next_text(&mut reader, &mut losses).await.1, "{\"n\":1}");
    assert!(losses <= 3, "told {losses} times");
    sender.await.expect("sent");
    let after = eventually(|| hold.epoch()).await;
    assert!(after >= before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn readers_go_on_after_everything_was_deleted() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let hold = held(&bus, "planner", Duration::from_secs(1)).await;
    let before = hold.epoch().expect("held");
    let mut losses = 0;
    let mut reader = group(&bus, "one", 60_000);
    let mut follower = Reader::follow(&bus, Channel::Results, 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    bus.publish(Channel::Results, "{\"n\":1}").await.expect("sent");
    assert_eq!(next_text(&mut reader, &mut losses).await.1, "{\"n\":1}");
    assert_eq!(next_text(&mut follower, &mut losses).await.1, "{\"n\":1}");
    let _: String = redis.ask(&["FLUSHALL"]);
    bus.publish(Channel::Results, "{\"n\":2}").await.expect("sent");
    assert_eq!(next_text(&mut reader, &mut losses).await.1, "{\"n\":2}");
    assert_eq!(next_text(&mut follower, &mut losses).await.1, "{\"n\":2}");
    assert!(is_silent(&mut reader).await && is_silent(&mut follower).await);
    let after = eventually(|| hold.epoch().filter(|epoch| *epoch != before)).await;
    assert!(after > before, "the epoch went from {before} to {after}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn the_entry_of_a_dead_consumer_is_claimed() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let mut losses = 0;
    let mut dead = group(&bus, "dead", 500);
    bus.publish(Channel::Results, "{\"n\":1}").await.expect("sent");
    next_text(&mut dead, &mut losses).await;
    drop(dead);
    let mut heir = group(&bus, "heir", 500);
    let (id, text) = next_text(&mut heir, &mut losses).await;
    assert_eq!(text, "{\"n\":1}");
    assert!(is_silent(&mut heir).await, "it is claimed once");
    heir.ack(&id).await;
    assert!(is_silent(&mut heir).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_entry_that_was_trimmed_while_pending_does_not_block() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let mut losses = 0;
    let mut reader = group(&bus, "one", 60_000);
    bus.publish(Channel::Results, "{\"n\":1}").await.expect("sent");
    next_text(&mut reader, &mut losses).await;
    drop(reader);
    let _: u64 = redis.ask(&["XTRIM", "planner:shop:results", "MAXLEN", "0"]);
    bus.publish(Channel::Results, "{\"n\":2}").await.expect("sent");
    let mut reader = group(&bus, "one", 60_000);
    let (id, text) = next_text(&mut reader, &mut losses).await;
    assert_eq!(text, "{\"n\":2}");
    reader.ack(&id).await;
    let pending: redis::Value = redis.ask(&["XPENDING", "planner:shop:results", "group"]);
    assert!(matches!(&pending, redis::Value::Array(parts) if parts[0] == redis::Value::Int(0)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn of_two_holders_one_leads_and_the_next_one_has_a_higher_epoch() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    // The same name twice: they are told apart all the same.
    let one = held(&bus, "planner", Duration::from_millis(900)).await;
    let two = Lease::hold(&bus, "planner", Duration::from_millis(900)).expect("a time to live");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!((one.epoch(), two.epoch()), (Some(1), None));
    }
    let mut watched = two.watch();
    one.release().await.expect("released");
    let taken = timeout(SOON, watched.wait_for(Option::is_some)).await.expect("in time");
    assert_eq!(*taken.expect("it is watched"), Some(2));
    assert_eq!((one.epoch(), two.epoch()), (None, Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_holder_that_was_stopped_too_long_is_over() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let ttl = Duration::from_millis(400);
    let stopped = Lease::new(&bus, "one", ttl).expect("a time to live");
    let other = Lease::new(&bus, "two", ttl).expect("a time to live");
    let (epoch, _) = stopped.acquire().await.expect("an answer").expect("it is free");
    assert_eq!(other.acquire().await.expect("an answer"), None);
    tokio::time::sleep(ttl).await;
    let (higher, _) = other.acquire().await.expect("an answer").expect("it is free again");
    assert!(higher > epoch);
    assert_eq!(stopped.renew(epoch).await.expect("an answer"), None);
    stopped.release().await.expect("an answer");
    assert!(other.renew(higher).await.expect("an answer").is_some(), "not another's to release");

    // One that holds in the background sees None once another one has it.
    tokio::time::sleep(ttl).await;
    let hold = held(&bus, "three", Duration::from_millis(600)).await;
    let _: String = redis.ask(&["SET", "planner:shop:lease", "a stranger"]);
    eventually(|| hold.epoch().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn the_order_of_an_older_epoch_is_refused_by_redis_itself() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let executor = executor(&bus, RedisExecutorSettings::default()).await;
    executor.scale_to(2).await.expect("accepted");
    let _: String = redis.ask(&["SET", "planner:shop:epoch", "5"]);
    let refused = executor.scale_to(3).await.expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "replicas: 3 refused: a planner of epoch 5 leads; leave it to that one"
    );
    let replicas: u32 = redis.ask(&["HGET", "planner:shop:desired", "replicas"]);
    assert_eq!(replicas, 2);
    // It leads again with a higher epoch, and its numbers begin anew.
    for _ in 0..200 {
        if executor.scale_to(4).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let desired: Vec<u64> =
        redis.ask(&["HMGET", "planner:shop:desired", "epoch", "seq", "replicas"]);
    assert_eq!(desired, [6, 1, 4]);
    // Another planner that still believes in its epoch is refused by the desired state.
    let mut fence = Fence::default();
    let mut orders = Orders::new(&bus, OrdersSettings::default()).expect("settings");
    let newest = next_order(&mut orders).await;
    assert_eq!(fence.judge(&newest, wall_now()), Ok(()));
    let stale = Order { epoch: 1, ..newest };
    assert!(matches!(fence.judge(&stale, wall_now()), Err(Refusal::StaleEpoch { .. })));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn without_the_lease_nothing_is_ordered() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let _leader = held(&bus, "leader", TTL).await;
    let waiting = Lease::hold(&bus, "waiting", TTL).expect("a time to live");
    let executor = RedisExecutor::new(&bus, waiting, RedisExecutorSettings::default());
    let refused = executor.expect("settings").scale_to(3).await.expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "replicas: 3 refused: this planner does not hold the lease; leave it to the one that does"
    );
    let keys: Vec<String> = redis.ask(&["KEYS", "*desired"]);
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_forged_order_is_refused_and_a_sealed_one_obeyed() {
    let redis = Redis::start(&[]);
    let bus = redis.sealed_bus(key()).await;
    let mut orders = Orders::new(&bus, OrdersSettings::default()).expect("settings");
    let executor = executor(&bus, RedisExecutorSettings::default()).await;
    executor.scale_to(3).await.expect("accepted");
    assert_eq!(next_order(&mut orders).await.replicas, 3);
    let sealed: String = redis.ask(&["HGET", "planner:shop:desired", "message"]);
    let forged = sealed.replace("\"replicas\":3", "\"replicas\":9");
    let _: u64 = redis.ask(&["HSET", "planner:shop:desired", "message", &forged]);
    bus.publish(Channel::Actions, &forged).await.expect("sent");
    let refused = timeout(SOON, orders.next()).await.expect("in time").expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "an order was refused: mac: does not match the message; give sender and reader the same \
         key file"
    );
    executor.scale_to(4).await.expect("accepted");
    assert_eq!(next_order(&mut orders).await.replicas, 4);
    assert_eq!(orders.refused(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn old_programs_and_ours_understand_each_other() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::PubSub).await;
    let mut settings = OrdersSettings::default();
    settings.accept_old_actions = true;
    let mut orders = Orders::new(&bus, settings).expect("settings");
    let mut telemetry = RedisTelemetry::new(&bus, Timeline::begin());
    let mut old_executor = Reader::follow(&bus, Channel::Actions, 0);
    let heard = |channel: &str| redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", channel]).1;
    eventually(|| (heard("actions") == 2 && heard("alerts") == 1).then_some(())).await;

    // Theirs to ours.
    let alert = format!(
        "{{\"kind\": \"latency_metrics\", \"endpoint\": \"http://lb/\", \"window_sec\": 3.0, \
         \"requests\": 40, \"success_rate\": 1.0, \"avg_ms\": 44.0, \"p95_ms\": 46.9, \
         \"replicas\": 2, \"ts\": {}}}",
        wall_now()
    );
    let _: u64 = redis.ask(&["PUBLISH", "alerts", &alert]);
    let window = timeout(SOON, telemetry.next_window()).await.expect("in time").expect("one");
    assert_eq!((window.samples(), window.ready()), (40, Some(2)));
    let plan = "{\"ts\": 1700000030.0, \"kind\": \"plan\", \"container\": \"app\", \"decision\": \
                {\"action\": \"scale_up\", \"target\": \"app\", \"reason\": \"2.8x baseline\"}}";
    let _: u64 = redis.ask(&["PUBLISH", "actions", plan]);
    let step = timeout(SOON, orders.next()).await.expect("in time");
    assert_eq!(step, Ok(Received::OldStep(Step::Up)));
    assert!(old_executor.next().await.is_ok(), "their own");

    // Ours to theirs: steps until the count is right.
    let mut settings = RedisExecutorSettings::default();
    settings.step_pause = Duration::from_millis(300);
    let executor = executor(&bus, settings).await;
    let counts = |ready| ReplicaCounts { ready, starting: 0, draining: 0 };
    executor.note_counts(counts(2));
    executor.scale_to(4).await.expect("accepted");
    let mut ready = 2;
    let mut losses = 0;
    while ready < 4 {
        let (_, text) = next_text(&mut old_executor, &mut losses).await;
        let action = Action::parse(text.as_bytes()).expect("legal").message().expect("one");
        assert!(text.contains("\"action\":\"scale_up\""), "{text}");
        assert_eq!((action.container.as_str(), action.target.as_str()), ("app", "app"));
        ready += 1;
        executor.note_counts(counts(ready));
    }
    assert!(is_silent(&mut old_executor).await, "the count is right");
    assert_eq!(executor.counts().await, Ok(counts(4)));
    // Ours hears the same order as one, with its number.
    assert_eq!(next_order(&mut orders).await.replicas, 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_subscription_goes_on_after_a_crash() {
    let mut redis = Redis::start(&[]);
    let bus = redis.bus(Mode::PubSub).await;
    let mut reader = Reader::follow(&bus, Channel::Alerts, 0);
    let subscribed =
        |redis: &Redis| redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", "alerts"]).1 == 1;
    eventually(|| subscribed(&redis).then_some(())).await;
    redis.kill();
    redis.run();
    assert!(timeout(SOON, reader.next()).await.expect("in time").is_err(), "a loss is told");
    eventually(|| subscribed(&redis).then_some(())).await;
    bus.publish(Channel::Alerts, "{}")
        .await
        .or(Err(()))
        .or_else(|()| {
            // The first command after a crash may fail.
            let _: u64 = redis.ask(&["PUBLISH", "alerts", "{}"]);
            Ok::<(), ()>(())
        })
        .expect("sent");
    assert_eq!(timeout(SOON, reader.next()).await.expect("in time").expect("one").bytes, b"{}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn windows_travel_by_streams_with_every_number() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let timeline = Timeline::begin();
    let clock = Clock::new(timeline);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let window = Window::probes(Timestamp::ORIGIN, timeline.now(), &[21.0, 22.5, 80.125], 1, 2);
    let window = window.expect("a window");
    let text = Alert::of_window(&window, &clock, bus.service(), "http://lb/").write();
    bus.publish(Channel::Alerts, "{\"kind\":\"latency_metrics\",\"ts\":\"now\"}").await.expect("");
    let mut telemetry = RedisTelemetry::new(&bus, timeline);
    let refused = timeout(SOON, telemetry.next_window()).await.expect("in time");
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "the channel of alerts gave no telemetry: window_sec: absent, but needed; fix its sender; \
         it is asked again"
    );
    bus.publish(Channel::Alerts, &text).await.expect("sent");
    bus.publish(Channel::Alerts, &text).await.expect("sent");
    let back = timeout(SOON, telemetry.next_window()).await.expect("in time").expect("a window");
    assert_eq!((back.seq(), back.latencies()), (window.seq(), window.latencies()));
    assert_eq!((back.failures(), telemetry.refused()), (1, 1));
    let again = timeout(Duration::from_millis(500), telemetry.next_window()).await;
    assert!(again.is_err(), "a repetition is no window");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn routing_is_done_when_the_watcher_says_so() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let mut settings = RedisRouterSettings::default();
    settings.deadline = Duration::from_millis(500);
    settings.heartbeat = Duration::from_millis(300);
    let router = RedisRouter::new(&bus, &settings).expect("settings");
    router.set_epoch(7);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let member = |slot: &str, port| Member {
        slot: String::from(slot),
        address: Some(address(port)),
        state: ReplicaState::Starting,
    };
    router.tell(vec![member("a", 1), member("b", 2)]).await.expect("told");
    let late = router.route(&[address(1)]).await.expect_err("nobody is there");
    assert_eq!(
        late.to_string(),
        "the load balancer did not answer: no routing of these backends within 500ms; it is asked \
         again"
    );
    let watcher = tokio::spawn(watch(bus.clone()));
    timeout(SOON, async { while router.route(&[address(1), address(2)]).await.is_err() {} })
        .await
        .expect("routed");
    timeout(SOON, async { while router.route(&[address(2)]).await.is_err() {} })
        .await
        .expect("routed");
    assert_eq!(router.drained(address(1), SOON).await, Ok(true));
    assert_eq!(router.drained(address(2), Duration::from_millis(300)).await, Ok(false));

    // The planner counts what is said.
    let executor = executor(&bus, RedisExecutorSettings::default()).await;
    let counts = executor.counts().await.expect("known");
    assert_eq!(counts, ReplicaCounts { ready: 1, starting: 1, draining: 0 });
    let kept: String = redis.ask(&["GET", "planner:shop:members"]);
    let membership = Membership::parse(kept.as_bytes()).expect("legal");
    assert_eq!(membership.epoch, 7);
    drop(router);
    watcher.abort();
    let old = Membership::new(shop(), 7, 1, wall_now() - 20.0, membership.replicas);
    let _: String = redis.ask(&["SET", "planner:shop:members", &old.write()]);
    let unknown = executor.counts().await.expect_err("too old");
    assert!(matches!(unknown, ExecutorError::Unavailable { .. }), "{unknown}");
    assert!(unknown.to_string().contains("its counts are 20."), "{unknown}");
}

/// A watcher that does what it is told at once.
async fn watch(bus: Bus) {
    let mut reader = MembershipReader::new(&bus);
    loop {
        let Ok(membership) = reader.next().await else { continue };
        let ready: BTreeSet<_> = membership.ready().collect();
        let routing = Routing::new(bus.service().clone(), "aF", ready, wall_now());
        let routing = routing.answering(membership.seq);
        bus.publish_routing(&routing).await.expect("sent");
        tokio::time::sleep(Duration::from_millis(100)).await;
        bus.publish_routing(&routing.drained(wall_now())).await.expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_password_is_in_no_error() {
    let redis = Redis::start(&["--requirepass", "right-hunter2"]);
    for login in ["", ":wrong-hunter2@", "nobody:wrong-hunter2@"] {
        let bus = Bus::open(RedisSettings::new(redis.url(login), shop())).await.expect("settings");
        let error = bus.publish(Channel::Alerts, "{}").await.expect_err("refused");
        let mut reader = group(&bus, "one", 60_000);
        let told = timeout(SOON, reader.next()).await.expect("in time").expect_err("refused");
        let mut orders = Orders::new(&bus, OrdersSettings::default()).expect("settings");
        let refused = timeout(SOON, orders.next()).await.expect("in time").expect_err("refused");
        assert!(matches!(refused, OrderError::Bus(_)));
        let shown = format!("{error} {error:?} {told} {told:?} {refused:?} {bus:?} {reader:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let right = RedisSettings::new(redis.url(":right-hunter2@"), shop());
    let bus = Bus::open(right).await.expect("settings");
    bus.publish(Channel::Alerts, "{}").await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn with_a_key_nobody_else_says_where_requests_go_or_that_they_do() {
    let redis = Redis::start(&[]);
    let bus = redis.sealed_bus(key()).await;
    let mut settings = RedisRouterSettings::default();
    settings.deadline = Duration::from_millis(800);
    let router = RedisRouter::new(&bus, &settings).expect("settings");
    let mut members = MembershipReader::new(&bus);
    let address: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let stranger = redis.bus(Mode::Streams).await;
    let lie = async {
        let told = timeout(SOON, members.next()).await.expect("in time").expect("told");
        let routing = Routing::new(shop(), "1", told.ready(), wall_now()).answering(told.seq);
        stranger.publish_routing(&routing).await.expect("sent");
        (told, routing)
    };
    let backends = [address];
    let (routed, (told, routing)) = tokio::join!(router.route(&backends), lie);
    assert!(matches!(routed, Err(RouterError::Unavailable { .. })), "{routed:?}");
    // Another set of replicas, by somebody without the key.
    let elsewhere = Membership::new(shop(), 9, told.seq + 9, wall_now(), Vec::new()).write();
    let _: String = redis.ask(&["SET", "planner:shop:members", &elsewhere]);
    stranger.publish(Channel::Membership, &elsewhere).await.expect("sent");
    timeout(Duration::from_millis(500), members.next()).await.expect_err("nothing is believed");
    assert!(members.refused() > 0);
    bus.publish_routing(&routing).await.expect("sent");
    router.route(&backends).await.expect("said with the key");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_order_sealed_for_another_service_is_refused() {
    let redis = Redis::start(&[]);
    let bus = redis.bus(Mode::Streams).await;
    let executor = executor(&bus, RedisExecutorSettings::default()).await;
    executor.scale_to(3).await.expect("accepted");
    let text: String = redis.ask(&["HGET", "planner:shop:desired", "message"]);
    let other = seal(&text.replace("\"service\":\"shop\"", "\"service\":\"search\""), &key());
    let _: u64 = redis.ask(&["HSET", "planner:shop:desired", "message", &other]);
    let sealed = redis.sealed_bus(key()).await;
    let mut orders = Orders::new(&sealed, OrdersSettings::default()).expect("settings");
    let refused = timeout(SOON, orders.next()).await.expect("in time").expect_err("refused");
    assert!(refused.to_string().contains("is not this executor's service"), "{refused}");
}
