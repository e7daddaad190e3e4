//! P18: Redis is gone under load. Users do not notice, no replica is stopped, no order that is
//! still valid is lost and none is obeyed twice.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::rounds;
use crate::support_stack::{Stack, Traffic, served};

/// How long everything may take to go on once Redis is back.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// The number of the last order that the executor accepted.
fn accepted(stack: &Stack) -> u64 {
    let text = std::fs::read(stack.rig.path("state/executor.json")).unwrap_or_default();
    let stored: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    stored["fence"]["seq_last"].as_u64().unwrap_or(0)
}

/// Waits until the order was accepted; how long it took.
async fn is_accepted(stack: &Stack, seq: u64) -> Duration {
    let began = Instant::now();
    while accepted(stack) < seq {
        assert!(
            began.elapsed() < BACK_WITHIN,
            "{seq} is not accepted: {}",
            stack.rig.log("executor")
        );
        sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// How Redis goes away.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Stopped,
    Killed,
    Paused,
    Full,
    Flushed,
}

/// Lets it go away for `length` with an order just given, and come back.
async fn strike(stack: &mut Stack, outage: Outage, length: Duration) {
    match outage {
        Outage::Stopped => {
            let redis = stack.rig.server.as_ref().expect("a server");
            redis.signal(Signal::STOP);
            sleep(length).await;
            redis.signal(Signal::CONT);
        }
        Outage::Killed => {
            stack.kill_redis().await;
            sleep(length).await;
            stack.start_redis().await;
        }
        Outage::Paused => {
            let length_ms = length.as_millis().to_string();
            stack.rig.ask(&["CLIENT", "PAUSE", &length_ms, "ALL"]).await;
            sleep(length).await;
        }
        Outage::Full => {
            stack.rig.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
            sleep(length).await;
            stack.rig.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
        }
        Outage::Flushed => {
            stack.rig.ask(&["FLUSHALL"]).await;
            sleep(length).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p18_redis_is_away_and_users_lose_nothing_and_no_order_is_lost_or_obeyed_twice() {
    let mut stack = Stack::start().await;
    stack.rig.set("min_replicas", 1);
    let _watcher = stack.rig.run("watcher", &[]);
    let _executor = stack.rig.run("executor", &[]);
    let _monitor = stack.rig.run("monitor", &[]);
    served(&stack).await;
    let traffic = Traffic::start(stack.http, "/work?ms=100");
    let mut seq = 0;
    let short = Duration::from_secs(u64::from(rounds(10, 60)));
    for (outage, length) in [
        (Outage::Stopped, Duration::from_secs(60)),
        (Outage::Killed, short),
        (Outage::Paused, short),
        (Outage::Full, short),
        (Outage::Flushed, Duration::from_secs(2)),
    ] {
        // Given at the last moment: it is carried out now, or when Redis is back.
        seq += 1;
        stack.order(1, seq, 2 + u32::try_from(seq % 2).expect("small"), None).await;
        let before = stack.ids().await;
        let went = Instant::now();
        strike(&mut stack, outage, length).await;
        let away = went.elapsed();
        let carried_out = is_accepted(&stack, seq).await;
        let wanted = 2 + usize::try_from(seq % 2).expect("small");
        stack.settles_at(wanted).await;
        // And it goes on with the next, which comes by the same way.
        seq += 1;
        let asked = Instant::now();
        stack.order(1, seq, 4, None).await;
        let obeyed = is_accepted(&stack, seq).await;
        stack.settles_at(4).await;
        let after = stack.ids().await;
        let kept = before.iter().filter(|id| after.contains(id)).count();
        println!(
            "{outage:?} for {:.0} s: the order of before accepted {:.2} s after the return, the next \
             {:.2} s after it was given; {kept} of {} replicas as before",
            away.as_secs_f64(),
            carried_out.as_secs_f64(),
            obeyed.as_secs_f64(),
            before.len(),
        );
        assert!(asked.elapsed() > Duration::ZERO && kept >= before.len().min(wanted));
    }
    let (sent, failures) = traffic.end().await;
    println!("{sent} requests, {} failed", failures.len());
    assert_eq!(failures.len(), 0, "{:?}", failures.first());
    let accepted = stack.rig.log("executor").matches(" accepted ").count();
    assert_eq!(u64::try_from(accepted).expect("a count"), seq, "each order once");
    stack.end().await;
}
