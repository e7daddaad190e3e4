//! P19: of many planners only the newest is obeyed, whoever sleeps and whatever Redis forgets.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use planner_examples_stack::demo::servers::Process;
use planner_redis::{Bus, Channel, Mode, Reader};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::rounds;
use crate::support::{Rig, old_alert};
use crate::support_stack::Stack;

/// How long the lease of the test is kept without its holder.
const LEASE: Duration = Duration::from_millis(400);

/// What a history proves: every order that was obeyed is newer than those before it.
fn check(history: &[(u64, u64)]) -> Result<(), String> {
    match history.iter().zip(history.iter().skip(1)).position(|(one, next)| one >= next) {
        Some(at) => Err(format!("order {at}: {:?} then {:?}", history[at], history[at + 1])),
        None => Ok(()),
    }
}

#[test]
fn a_history_with_an_older_order_after_a_newer_one_is_found_out() {
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[(1, 1), (1, 2), (3, 1)]), Ok(()));
    for wrong in [[(1, 1), (1, 1)], [(1, 2), (1, 1)], [(2, 1), (1, 9)]] {
        check(&wrong).expect_err("wrong");
    }
}

/// Epoch and number of every order that the executor accepted, in its order.
fn history(log: &str) -> Vec<(u64, u64)> {
    let field = |line: &str, name: &str| {
        let (_, after) = line.split_once(name)?;
        after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    let order = |line| Some((field(line, "epoch=")?, field(line, "seq=")?));
    log.lines().filter(|line| line.contains(" accepted ")).filter_map(order).collect()
}

/// Load that comes and goes, so that there is always something to order. The executor's ledger
/// says how many replicas there are.
async fn feed(bus: Bus, ledger: PathBuf) {
    for window in 0_u32.. {
        let p95_ms = if window % 40 < 25 { 50.0 + f64::from(window % 3) } else { 2_500.0 };
        let stored = std::fs::read(&ledger).unwrap_or_default();
        let stored: Value = serde_json::from_slice(&stored).unwrap_or_default();
        let target = stored["target"].as_u64().and_then(|target| target.try_into().ok());
        let alert = old_alert(p95_ms, target.unwrap_or(1));
        let _redis_may_be_gone = bus.publish(Channel::Alerts, &alert).await;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Counts what the executor refuses as an older planner's.
async fn count_stale(bus: Bus, count: Arc<AtomicU64>) {
    let mut results = Reader::follow(&bus, Channel::Results, 0);
    loop {
        let Ok(entry) = results.next().await else { continue };
        let result: Value = serde_json::from_slice(&entry.bytes).unwrap_or_default();
        if result["cause"] == "stale_epoch" {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Which of the planners Redis says holds the lease.
async fn leader(stack: &Stack, planners: &[Process]) -> usize {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let holder = stack.rig.text("planner:app:lease").await.unwrap_or_default();
        let is_its = |planner: &Process| {
            planner.id().is_some_and(|id| holder.starts_with(&format!("planner-{id}-")))
        };
        if let Some(found) = planners.iter().position(is_its) {
            return found;
        }
        assert!(Instant::now() < end, "nobody leads");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Redis dies, and comes back with what it knew some time ago.
async fn lose_the_last_seconds(stack: &mut Stack) {
    let (data, before) = (stack.rig.path("redis"), stack.rig.path("redis-before"));
    copy(&data, &before);
    sleep(Duration::from_secs(2)).await;
    stack.kill_redis().await;
    std::fs::remove_dir_all(&data).expect("removed");
    copy(&before, &data);
    std::fs::remove_dir_all(&before).expect("removed");
    stack.start_redis().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let (path, to) = entry.map(|it| (it.path(), to.join(it.file_name()))).expect("an entry");
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}

/// Three planners that decide fast, with memories of their own.
fn planners(rig: &mut Rig) -> Vec<Process> {
    for (name, value) in [
        ("warmup_windows", "6"),
        ("sample_interval", "0.5"),
        ("cooldown_sec", "0.5"),
        ("cooldown_in_sec", "0.5"),
        ("stabilisation_sec", "1"),
        ("step_out_period_sec", "1"),
        ("step_in_period_sec", "1"),
        ("startup_allowance_sec", "5"),
        // Nothing but the lease is to hold an order back, for as long as it takes.
        ("flap_budget_per_hour", "3600"),
        ("efficacy_attempts", "1000"),
    ] {
        rig.set(name, value);
    }
    rig.set("lease_sec", LEASE.as_secs_f64());
    let own = rig.setting("state_dir");
    let planners = ["one", "two", "three"].map(|name| {
        rig.set("state_dir", format!("{:?}", rig.path(name).display().to_string()));
        rig.run_as("planner", name, &[])
    });
    rig.set("state_dir", format!("{own:?}"));
    planners.into()
}

/// One round after the other: the leader sleeps past its lease while another leads, and is woken.
/// Now and then Redis dies and has lost the last seconds, or everything.
async fn argue(stack: &mut Stack, planners: &[Process], rounds: u32) {
    for round in 0..rounds {
        let asleep = leader(stack, planners).await;
        planners[asleep].signal(Signal::STOP);
        match round % 10 {
            4 => lose_the_last_seconds(stack).await,
            9 => stack.rig.ask(&["FLUSHALL"]).await,
            _ => {}
        }
        let end = Instant::now() + Duration::from_secs(10);
        while leader(stack, planners).await == asleep {
            assert!(Instant::now() < end, "round {round}: nobody took over");
            sleep(Duration::from_millis(20)).await;
        }
        // Between nothing and four leases; 7 has no divisor in common with 31.
        sleep(LEASE * (round * 7 % 31) / 8).await;
        planners[asleep].signal(Signal::CONT);
        // An order that was on its way for long: of an epoch that is over.
        stack.order(1, u64::from(round), 6, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p19_leaders_sleep_and_redis_forgets_and_the_obeyed_orders_only_get_newer() {
    let mut stack = Stack::start().await;
    let planners = planners(&mut stack.rig);
    let _watcher = stack.rig.run("watcher", &[]);
    let _executor = stack.rig.run("executor", &[]);
    let rounds = rounds(50, 1_000);
    let bus = stack.rig.bus(Mode::Streams).await;
    let stale = Arc::new(AtomicU64::new(0));
    let background = [
        tokio::spawn(feed(bus.clone(), stack.rig.path("state/executor.json"))),
        tokio::spawn(count_stale(bus, Arc::clone(&stale))),
    ];
    argue(&mut stack, &planners, rounds).await;
    sleep(Duration::from_secs(1)).await;
    for task in background {
        task.abort();
    }
    let history = history(&stack.rig.log("executor"));
    let stale = stale.load(Ordering::SeqCst);
    let epochs: BTreeSet<_> = history.iter().map(|(epoch, _)| *epoch).collect();
    println!(
        "{rounds} sleeping leaders, {} orders obeyed of {} epochs, {stale} stale ones refused",
        history.len(),
        epochs.len()
    );
    check(&history).expect("only newer ones");
    // Over hours the planners learn what does not help, and order less often.
    assert!(epochs.len() * 3 > rounds.min(300) as usize, "hardly anybody gave an order");
    assert!(stale * 2 > u64::from(rounds), "stale orders were not refused as such");
    drop(planners);
    stack.end().await;
}
