//! P11: what is not ours is never touched.

use super::fake::{Container, slot};
use super::*;
use crate::engine::BASE;

const RUNNING: State = State::Running { healthy: None };

fn foreign(fake: &Fake) -> Vec<Container> {
    fake.world().containers.values().filter(|it| it.is_foreign).cloned().collect()
}

/// Containers of strangers, some of them named as our slots or as the service.
fn add_strangers(fake: &Fake) {
    let mut world = fake.world();
    let mut names: Vec<String> =
        ["app-dup-", "app-dup-x", "app-dup-01", "apps", "app-dup-9-dup-1"].map(String::from).into();
    for number in 1..=9 {
        if world.random(3) == 0 {
            names.push(format!("app-dup-{number}"));
        }
    }
    for name in names {
        let states = [State::Created, State::Ended, RUNNING, State::Unsettled];
        let which = usize::try_from(world.random(4)).expect("small");
        world.put(&name, true, states[which]);
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_are_never_touched_and_the_target_is_met_in_other_slots() {
    let seeds = rounds(50, 1_000);
    for seed in 0..seeds {
        let fake = Fake::new(seed);
        add_strangers(&fake);
        let before = foreign(&fake);
        let executor = executor(&fake);
        for _ in 0..3 {
            let replicas = u32::try_from(fake.world().random(6)).expect("small");
            executor.scale_to(replicas).await.expect("accepted");
            reached(&fake, replicas as usize).await;
        }
        assert!(executor.shutdown(MINUTE).await, "seed {seed}: something was left");
        nothing_wrong(&fake);
        assert_eq!(foreign(&fake), before, "seed {seed}");
        assert_eq!(fake.world().ours().count(), 0, "seed {seed}");
    }
    println!("{seeds} mixes of strangers, none touched");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_renamed_is_somebody_elses_from_then_on() {
    let fake = Fake::new(1);
    let _executor = with(&fake, 3).await;
    {
        let mut world = fake.world();
        let it = world.containers.values_mut().find(|it| slot(it) == Some(2)).expect("slot 2");
        (it.name, it.is_foreign) = (String::from("kept-by-hand"), true);
    }
    fake.tell();
    within(MINUTE, "another is made", &fake, || is_exactly(&fake, 3)).await;
    nothing_wrong(&fake);
    assert_eq!(foreign(&fake).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_renamed_to_another_slot_counts_once() {
    let fake = Fake::new(1);
    let _executor = with(&fake, 3).await;
    {
        let mut world = fake.world();
        let it = world.containers.values_mut().find(|it| slot(it) == Some(2)).expect("slot 2");
        it.name = String::from("app-dup-7");
    }
    fake.tell();
    sleep(MINUTE).await;
    assert!(is_exactly(&fake, 3));
    assert_eq!(fake.world().made.len(), 3, "none was missing");
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn the_base_counts_as_one_and_is_never_stopped() {
    let fake = Fake::new(1);
    let base = fake.world().put("app", true, RUNNING);
    let executor = executor(&fake);
    executor.scale_to(3).await.expect("accepted");
    reached(&fake, 3).await;
    assert_eq!(fake.world().ours().count(), 2, "the base is one of three");
    executor.scale_to(0).await.expect("accepted");
    reached(&fake, 1).await;
    executor.scale_to(1).await.expect("accepted");
    sleep(MINUTE).await;
    assert!(is_exactly(&fake, 1), "the base alone is one");
    // While it is down, another does its work; it is left for whom it belongs to.
    fake.world().die(&base);
    fake.tell();
    within(MINUTE, "a copy does its work", &fake, || is_exactly(&fake, 1)).await;
    assert_eq!(fake.world().ours().count(), 1);
    assert!(executor.shutdown(MINUTE).await, "something was left");
    nothing_wrong(&fake);
    let world = fake.world();
    assert_eq!(world.containers.get(&base).map(|it| it.state), Some(State::Ended));
    assert_eq!(slot(&world.containers[&base]), Some(BASE));
}

#[tokio::test(start_paused = true)]
async fn a_base_that_was_never_started_is_not_started() {
    let fake = Fake::new(1);
    fake.world().put("app", true, State::Created);
    let executor = executor(&fake);
    executor.scale_to(2).await.expect("accepted");
    reached(&fake, 2).await;
    nothing_wrong(&fake);
}

#[tokio::test(start_paused = true)]
async fn a_base_that_runs_but_does_not_answer_is_made_up_for() {
    let fake = Fake::new(1);
    let base = fake.world().put("app", true, RUNNING);
    fake.world().containers.get_mut(&base).expect("the base").is_sick = true;
    let mut settings = settings();
    settings.start_concurrency = NonZeroU32::MIN;
    let executor = executor_with(&fake, settings);
    executor.scale_to(2).await.expect("accepted");
    within(MINUTE, "a copy is made beside it", &fake, || ready(&executor) == 1).await;
    within(2 * MINUTE, "another does its work", &fake, || ready(&executor) == 2).await;
    fake.world().containers.get_mut(&base).expect("the base").is_sick = false;
    within(MINUTE, "it is back", &fake, || is_exactly(&fake, 2)).await;
    nothing_wrong(&fake);
}
