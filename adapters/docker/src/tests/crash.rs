//! P9: whatever point an executor is killed at, the next one finishes exactly.

use super::fake::Fuse;
use super::*;

/// Kills an executor at one point of the way from `from` to `to`; whether it came so far.
async fn killed_at(point: u32, seed: u64, from: u32, to: u32) -> bool {
    let fake = Fake::new(seed);
    drop(with(&fake, from).await);
    let doomed = fake.again(Fuse::at(point));
    let fuse = Arc::clone(&doomed.fuse);
    let first = executor(&doomed);
    first.scale_to(to).await.expect("accepted");
    let is_killed = tokio::select! {
        () = fuse.blown.notified() => true,
        () = reached(&doomed, to as usize) => false,
    };
    drop(first);
    let next = executor(&fake.again(Fuse::default()));
    next.scale_to(to).await.expect("accepted");
    within(MINUTE, &format!("{from} to {to} killed at {point}"), &fake, || {
        is_exactly(&fake, to as usize) && ready(&next) == to
    })
    .await;
    sleep(MINUTE).await;
    assert!(is_exactly(&fake, to as usize), "{from} to {to} killed at {point}: it did not stay");
    nothing_wrong(&fake);
    let world = fake.world();
    if from > 0 && to > 0 {
        assert_eq!(world.emptied, 0, "{from} to {to} killed at {point}: nobody was routed");
    }
    assert!(world.most <= from.max(to) as usize, "{from} to {to} killed at {point}: too many");
    is_killed
}

#[tokio::test(start_paused = true)]
async fn an_executor_killed_at_any_call_is_finished_exactly_by_the_next() {
    let mut points = 0;
    let seeds = rounds(50, 5_000);
    for seed in 0..seeds {
        let random = Fake::new(seed + 1_000);
        let from = u32::try_from(random.world().random(6)).expect("small");
        let by = 1 + u32::try_from(random.world().random(5)).expect("small");
        let to = (from + by) % 6;
        let mut point = 1;
        while killed_at(point, seed, from, to).await {
            point += 1;
        }
        points += point;
    }
    println!("{seeds} seeds, killed at {points} points, exactly as many as wanted after each");
    assert!(points > 500, "only {points} points were tried");
}

#[tokio::test(start_paused = true)]
async fn two_executors_that_want_the_same_make_it_once() {
    let fake = Fake::new(7);
    let one = executor(&fake);
    let two = executor(&fake.again(Fuse::default()));
    let rounds = rounds(20, 200);
    for round in 0..rounds {
        let (replicas, before, made) = {
            let mut world = fake.world();
            world.most = world.running();
            let replicas = u32::try_from(world.random(7)).expect("small");
            (replicas, world.most, world.made.len())
        };
        one.scale_to(replicas).await.expect("accepted");
        two.scale_to(replicas).await.expect("accepted");
        reached(&fake, replicas as usize).await;
        sleep(MINUTE).await;
        assert!(is_exactly(&fake, replicas as usize), "round {round}: it did not stay");
        let world = fake.world();
        let most = before.max(replicas as usize);
        assert!(world.most <= most, "round {round}: {} ran, of {most}", world.most);
        let missing = (replicas as usize).saturating_sub(before);
        assert_eq!(world.made.len() - made, missing, "round {round}: made more than was missing");
    }
    println!("{rounds} targets of two executors, each met once");
}
