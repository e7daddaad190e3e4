//! P16 and P17: images that do not come up, engines that are slow, fail or lie.

use super::fake::Image;
use super::*;

/// Pauses between one container that was made and the next.
fn pauses(fake: &Fake, skip: usize) -> Vec<Duration> {
    let made = fake.world().made.clone();
    made[skip..].windows(2).map(|pair| pair[1] - pair[0]).collect()
}

async fn comes_never_up(image: Image) {
    let fake = Fake::new(1);
    drop(with(&fake, 2).await);
    let old = fake.world().containers.clone();
    fake.world().image = image;
    let mut settings = settings();
    settings.ready_deadline = Duration::from_secs(5);
    let executor = executor_with(&fake, settings);
    executor.scale_to(3).await.expect("accepted");
    within(MINUTE, "the old ones are ready", &fake, || ready(&executor) == 2).await;
    let rounds = executor.rounds();
    for _ in 0..1_800 {
        sleep(Duration::from_secs(1)).await;
        let counts = executor.counts().await.expect("known");
        assert!(counts.ready == 2 && counts.starting <= 1, "{counts:?}");
        assert_eq!(fake.world().routed.len(), 2);
    }
    for (id, container) in old {
        let now = fake.world().containers.get(&id).map(|it| (it.state, it.ip));
        assert_eq!(now, Some((container.state, container.ip)), "an old one was touched");
    }
    let pauses = pauses(&fake, 2);
    assert!((20..60).contains(&pauses.len()), "{pauses:?}");
    assert!(pauses.iter().rev().take(10).all(|pause| *pause >= MINUTE), "{pauses:?}");
    assert!(executor.last_error().is_some_and(|error| error.contains("slot 3")));
    let rounds = executor.rounds() - rounds;
    assert!(rounds < 1_800 * 6, "{rounds} rounds in half an hour");
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_never_ready_is_never_routed_and_tried_ever_less_often() {
    comes_never_up(Image::NeverReady).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_that_crashes_is_tried_ever_less_often() {
    comes_never_up(Image::CrashesAfter(Duration::from_millis(800))).await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_takes_half_a_minute_per_call_makes_each_container_once() {
    let fake = Fake::new(1);
    {
        let mut world = fake.world();
        (world.latency, world.list_takes) = (Duration::from_secs(30), Duration::from_secs(30));
    }
    let executor = executor(&fake);
    executor.scale_to(6).await.expect("accepted");
    within(10 * MINUTE, "six run", &fake, || is_exactly(&fake, 6)).await;
    assert_eq!(fake.world().made.len(), 6, "none was made twice");
    executor.scale_to(1).await.expect("accepted");
    within(10 * MINUTE, "one runs", &fake, || is_exactly(&fake, 1)).await;
    sleep(10 * MINUTE).await;
    assert_eq!(fake.world().made.len(), 6, "none was made again");
    assert_eq!(fake.world().emptied, 0);
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_older_than_what_was_done_since_undoes_nothing() {
    let fake = Fake::new(1);
    let executor = with(&fake, 1).await;
    fake.world().list_takes = Duration::from_secs(2);
    for (replicas, made) in [(4, 4), (1, 4), (3, 6), (0, 6), (5, 11)] {
        // A list is on its way back while all of it happens.
        fake.tell();
        sleep(Duration::from_millis(100)).await;
        executor.scale_to(replicas).await.expect("accepted");
        let end = Instant::now() + MINUTE;
        while Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
            assert_eq!(executor.last_error(), None, "of {replicas}");
        }
        assert!(is_exactly(&fake, replicas as usize), "of {replicas}");
        assert_eq!(fake.world().made.len(), made, "of {replicas}");
    }
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_fails_every_third_call_still_gets_there() {
    for seed in 0..50 {
        let fake = Fake::new(seed);
        fake.world().error_percent = 33;
        let executor = executor(&fake);
        for replicas in [4, 1, 3] {
            executor.scale_to(replicas).await.expect("accepted");
            let is = || is_exactly(&fake, replicas as usize);
            within(30 * MINUTE, &format!("seed {seed}: {replicas} run"), &fake, is).await;
        }
        assert!(fake.world().most <= 5, "{} ran", fake.world().most);
        nothing_wrong(&fake);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_suddenly_empty_once_changes_nothing() {
    for replicas in 1..=4 {
        let fake = Fake::new(1);
        let executor = with(&fake, replicas).await;
        let before = fake.world().containers.clone();
        fake.world().empty_lists = 1;
        fake.tell();
        for _ in 0..100 {
            sleep(Duration::from_millis(50)).await;
            assert_eq!(ready(&executor), replicas);
            assert_eq!(fake.world().routed.len(), replicas as usize);
        }
        assert_eq!(fake.world().empty_lists, 0, "it was asked");
        assert_eq!(fake.world().containers.len(), before.len());
        assert_eq!(fake.world().made.len(), replicas as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_event_tells_is_found_at_the_next_list() {
    let fake = Fake::new(1);
    let _executor = with(&fake, 3).await;
    fake.world().loses_events = true;
    let id = fake.world().containers.keys().next().cloned().expect("one");
    fake.world().die(&id);
    let is = || is_exactly(&fake, 3);
    within(Duration::from_secs(20), "it is replaced", &fake, is).await;
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn counts_of_an_engine_that_is_away_for_long_are_unknown() {
    let fake = Fake::new(1);
    let executor = with(&fake, 2).await;
    fake.world().error_percent = 100;
    sleep(MINUTE).await;
    assert_eq!(executor.counts().await.expect("still known").ready, 2);
    sleep(MINUTE).await;
    let told = executor.counts().await.expect_err("unknown").to_string();
    assert!(told.contains("listing containers: status 500: out of order"), "{told}");
    assert!(is_exactly(&fake, 2), "what runs goes on");
    fake.world().error_percent = 0;
    sleep(MINUTE).await;
    assert_eq!(executor.counts().await.expect("known again").ready, 2);
    assert_eq!(fake.world().made.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn mass_illness_takes_nobody_out_of_the_route() {
    for replicas in 1..=8 {
        let fake = Fake::new(1);
        let _executor = with(&fake, replicas).await;
        fake.world().network_is_down = true;
        for _ in 0..180 {
            sleep(Duration::from_secs(1)).await;
            let routed = fake.world().routed.len();
            assert_eq!(routed, replicas as usize, "of {replicas}");
        }
        fake.world().network_is_down = false;
        sleep(MINUTE).await;
        assert_eq!(fake.world().made.len(), replicas as usize, "none was replaced");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_ill_is_out_of_the_route_until_it_answers_and_replaced_when_it_does_not() {
    let fake = Fake::new(1);
    let _executor = with(&fake, 3).await;
    let id = fake.world().containers.keys().next().cloned().expect("one");
    let make_sick = |is_sick| {
        fake.world().containers.get_mut(&id).expect("it is there").is_sick = is_sick;
    };
    make_sick(true);
    let routed = || fake.world().routed.len();
    within(MINUTE, "it is out of the route", &fake, || routed() == 2).await;
    make_sick(false);
    within(MINUTE, "it is back", &fake, || routed() == 3).await;
    assert_eq!(fake.world().made.len(), 3);
    make_sick(true);
    sleep(2 * MINUTE).await;
    assert!(is_exactly(&fake, 3), "another is in its place");
    assert!(!fake.world().containers.contains_key(&id));
    nothing_wrong(&fake);
}
