//! What an executor does with what it finds, and what it leaves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use planner_ports::{ExecutorError, Router, RouterError};

use super::fake::Fuse;
use super::*;

const RUNNING: State = State::Running { healthy: None };

fn serving_is_routed(fake: &Fake) -> bool {
    let world = fake.world();
    world.routed == world.addresses()
}

#[tokio::test(start_paused = true)]
async fn without_a_target_everything_is_left_as_it_is() {
    let fake = Fake::new(1);
    {
        let mut world = fake.world();
        world.put("app-dup-1", false, RUNNING);
        world.put("app-dup-2", false, State::Created);
        world.put("app-dup-3", false, State::Ended);
    }
    let states = || fake.world().ours().map(|it| it.state).collect::<Vec<_>>();
    let before = states();
    let executor = executor(&fake);
    sleep(5 * MINUTE).await;
    assert_eq!(states(), before);
    assert!(serving_is_routed(&fake));
    executor.scale_to(2).await.expect("accepted");
    reached(&fake, 2).await;
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn a_target_before_the_first_list_waits_for_it() {
    let fake = Fake::new(1);
    drop(with(&fake, 3).await);
    fake.world().latency = Duration::from_secs(20);
    let executor = executor(&fake.again(Fuse::default()));
    executor.scale_to(3).await.expect("accepted");
    let told = executor.counts().await.expect_err("nothing is known yet");
    assert!(matches!(told, ExecutorError::Unavailable { .. }), "{told}");
    within(MINUTE, "they are adopted", &fake, || ready(&executor) == 3).await;
    assert_eq!(fake.world().made.len(), 3, "none was made anew");
    assert_eq!(executor.counts().await.expect("known").ready, 3);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_runs_is_adopted_without_a_gap_in_the_route() {
    for slow_to_answer in [0, 1_000, 10_000] {
        let fake = Fake::new(1);
        drop(with(&fake, 3).await);
        // A container that was restarted by hand answers only after a while.
        let now = Instant::now();
        for it in fake.world().containers.values_mut() {
            it.image = fake::Image::ReadyAfter(Duration::from_millis(slow_to_answer));
            it.started = Some(now);
        }
        let executor = executor(&fake.again(Fuse::default()));
        executor.scale_to(3).await.expect("accepted");
        within(MINUTE, "they are adopted", &fake, || ready(&executor) == 3).await;
        sleep(MINUTE).await;
        let world = fake.world();
        assert_eq!((world.emptied, world.made.len()), (0, 3), "{slow_to_answer} ms");
        assert!(world.violations.is_empty(), "{:?}", world.violations);
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_routed_is_out_of_the_route_before_it_is_stopped() {
    for slow_to_answer in [2_000, 20_000] {
        let fake = Fake::new(1);
        drop(with(&fake, 3).await);
        let now = Instant::now();
        for it in fake.world().containers.values_mut() {
            it.image = fake::Image::ReadyAfter(Duration::from_millis(slow_to_answer));
            it.started = Some(now);
        }
        let executor = executor(&fake.again(Fuse::default()));
        executor.scale_to(1).await.expect("accepted");
        reached(&fake, 1).await;
        nothing_wrong(&fake);
        assert_eq!(fake.world().emptied, 0, "{slow_to_answer} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_removes_all_of_ours_and_no_target_is_accepted_any_more() {
    let fake = Fake::new(1);
    let executor = with(&fake, 4).await;
    fake.world().empty_lists = 1;
    fake.tell();
    assert!(executor.shutdown(MINUTE).await);
    nothing_wrong(&fake);
    assert_eq!(fake.world().containers.len(), 0);
    assert!(fake.world().routed.is_empty());
    assert_eq!(executor.scale_to(2).await, Err(ExecutorError::ShuttingDown));
    assert_eq!(executor.counts().await, Ok(ReplicaCounts::default()));
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_is_out_of_the_route_at_once_and_replaced() {
    let fake = Fake::new(1);
    let _executor = with(&fake, 3).await;
    let id = fake.world().containers.keys().next().cloned().expect("one");
    fake.world().die(&id);
    fake.tell();
    let is_out = || serving_is_routed(&fake);
    within(Duration::from_millis(200), "it is out of the route", &fake, is_out).await;
    within(Duration::from_secs(4), "it is replaced", &fake, || is_exactly(&fake, 3)).await;
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_until_a_router_that_fails_has_taken_it_out() {
    let fake = Fake::new(1);
    let executor = with(&fake, 3).await;
    fake.world().route_fails = true;
    executor.scale_to(1).await.expect("accepted");
    let rounds = executor.rounds();
    sleep(5 * MINUTE).await;
    assert_eq!(fake.world().running(), 3, "they are in the route");
    assert!(executor.last_error().is_some_and(|error| error.contains("it is away")));
    let rounds = executor.rounds() - rounds;
    assert!(rounds < 300 * 10, "{rounds} rounds in five minutes");
    fake.world().route_fails = false;
    reached(&fake, 1).await;
    within(MINUTE, "the error is over", &fake, || executor.last_error().is_none()).await;
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn an_idle_executor_hardly_wakes() {
    for replicas in [0, 3] {
        let fake = Fake::new(1);
        let executor = with(&fake, replicas).await;
        sleep(MINUTE).await;
        let (rounds, lists) = (executor.rounds(), fake.world().lists);
        sleep(10 * MINUTE).await;
        let (rounds, lists) = (executor.rounds() - rounds, fake.world().lists - lists);
        // Two rounds a probe or list: it is asked, and it is answered.
        let most = 2 * (600 / 2 * u64::from(replicas) + 600 / 15) + 10;
        assert!(rounds <= most, "{rounds} rounds with {replicas} replicas");
        assert!(lists <= 41, "{lists} lists");
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_change_faster_than_they_can_be_met_end_at_the_last() {
    for seed in 0..20 {
        let fake = Fake::new(seed);
        let executor = executor(&fake);
        for _ in 0..40 {
            let replicas = u32::try_from(fake.world().random(9)).expect("small");
            let pause = fake.world().random(900);
            executor.scale_to(replicas).await.expect("accepted");
            sleep(Duration::from_millis(pause)).await;
        }
        executor.scale_to(2).await.expect("accepted");
        reached(&fake, 2).await;
        assert!(fake.world().most <= 16, "at most twice the maximum");
        nothing_wrong(&fake);
    }
}

/// A router that is asked `calls` times before it works: it panics, or takes the set and does not
/// say so, by turns. It never says that a backend is idle.
struct Faulty {
    fake: Fake,
    calls: AtomicU32,
}

#[async_trait]
impl Router for Faulty {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        let less = |left: u32| left.checked_sub(1);
        match self.calls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(left) if left % 2 == 0 => panic!("a router with a fault"),
            Ok(_) => {
                self.fake.route(backends).await?;
                std::future::pending().await
            }
            Err(_) => self.fake.route(backends).await,
        }
    }

    async fn drained(&self, backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError> {
        self.fake.drained(backend, deadline).await?;
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_panics_or_does_not_answer_is_asked_again_and_nothing_is_cut() {
    for seed in 0..20 {
        let fake = Fake::new(seed);
        let router = Arc::new(Faulty { fake: fake.clone(), calls: AtomicU32::new(0) });
        let engine = Arc::new(fake.clone());
        let executor =
            DockerExecutor::on(engine, router.clone(), settings()).expect("within a runtime");
        for _ in 0..6 {
            router.calls.store(4, Ordering::SeqCst);
            let (replicas, next, pause) = {
                let mut world = fake.world();
                (world.random(6), world.random(6), world.random(40_000))
            };
            executor.scale_to(u32::try_from(replicas).expect("small")).await.expect("accepted");
            sleep(Duration::from_millis(pause)).await;
            executor.scale_to(u32::try_from(next).expect("small")).await.expect("accepted");
            let is = || is_exactly(&fake, usize::try_from(next).expect("small"));
            within(10 * MINUTE, &format!("seed {seed}: {next} run"), &fake, is).await;
        }
        nothing_wrong(&fake);
    }
}
