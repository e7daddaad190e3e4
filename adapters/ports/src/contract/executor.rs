//! Nine cases for whoever carries targets out.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::{Executor, ExecutorError, ReplicaCounts};

/// How often the counts are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long nothing may change where nothing has to.
const CALM: Duration = Duration::from_millis(500);

/// An executor, and what happens behind its back. It has to take three replicas.
#[async_trait]
pub trait ExecutorRig: Send + Sync {
    /// The executor of now.
    fn executor(&self) -> &dyn Executor;

    /// Most replicas that it takes.
    fn max_replicas(&self) -> u32;

    /// How long a target may take to be met; half a minute unless it is said.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Ends one running replica as a crash does.
    async fn kill_one(&mut self);

    /// Ends the executor as a crash does, and makes another over what it left. Whether its
    /// replicas go on without it.
    async fn restart(&mut self) -> bool;
}

/// Runs every case, from no replica to none.
///
/// # Panics
///
/// With the case that does not hold, and what was found in its place.
pub async fn executor_keeps_its_contract(rig: &mut dyn ExecutorRig) {
    let max = rig.max_replicas();
    assert!(max >= 3, "the suite needs three replicas, this executor takes {max}");
    let case = "a target is met, and nothing else is there";
    order(rig, case, 1).await;
    meets(rig, case, 1).await;
    let case = "there are never more than are wanted on the way up";
    order(rig, case, 3).await;
    meets_steadily(rig, case, 3, 3).await;
    let case = "a target that is met changes nothing";
    order(rig, case, 3).await;
    stays(rig, case, 3).await;
    let case = "more than it takes is refused with the number, and what is there stays";
    let refused = rig.executor().scale_to(max + 1).await;
    assert!(
        matches!(&refused, Err(ExecutorError::Refused { replicas, .. }) if *replicas == max + 1),
        "{case}: {refused:?}"
    );
    stays(rig, case, 3).await;
    let case = "there are never fewer than are wanted on the way down";
    order(rig, case, 2).await;
    meets_steadily(rig, case, 2, 3).await;
    newest(rig).await;
    let case = "one that dies is replaced";
    rig.kill_one().await;
    leaves(rig, case, 2).await;
    meets(rig, case, 2).await;
    let case = "a new executor over what an old one left goes on with its replicas";
    let go_on = rig.restart().await;
    order(rig, case, 2).await;
    meets_steadily(rig, case, 2, if go_on { 2 } else { max }).await;
    let case = "none is a target too";
    order(rig, case, 0).await;
    meets(rig, case, 0).await;
}

/// Targets that come faster than they can be met.
async fn newest(rig: &dyn ExecutorRig) {
    let case = "of targets that come fast the newest is met";
    for replicas in [3, 1, 2] {
        order(rig, case, replicas).await;
    }
    meets(rig, case, 2).await;
    let case = "of two targets at the same time one is met";
    let (executor, mut looks) = (rig.executor(), 0);
    let (one, other) = tokio::join!(executor.scale_to(3), executor.scale_to(2));
    assert!(one.is_ok() && other.is_ok(), "{case}: {one:?}, {other:?}");
    let end = Instant::now() + rig.patience();
    while looks < 10 {
        let counts = counts(rig).await;
        let is_met = counts.is_some_and(|it| (2..=3).contains(&it.ready) && is_only_ready(it));
        looks = if is_met { looks + 1 } else { 0 };
        assert!(Instant::now() < end, "{case}: {counts:?}");
        sleep(LOOK).await;
    }
    order(rig, case, 2).await;
    meets(rig, case, 2).await;
}

async fn order(rig: &dyn ExecutorRig, case: &str, replicas: u32) {
    let accepted = rig.executor().scale_to(replicas).await;
    assert_eq!(accepted, Ok(()), "{case}: {replicas} not accepted");
}

/// The counts, where they are known.
async fn counts(rig: &dyn ExecutorRig) -> Option<ReplicaCounts> {
    match rig.executor().counts().await {
        Ok(counts) => Some(counts),
        Err(ExecutorError::Unavailable { .. }) => None,
        Err(error) => panic!("the counts: {error}"),
    }
}

const fn is_only_ready(counts: ReplicaCounts) -> bool {
    counts.starting == 0 && counts.draining == 0
}

/// Waits for the target.
async fn meets(rig: &dyn ExecutorRig, case: &str, replicas: u32) {
    let end = Instant::now() + rig.patience();
    while counts(rig).await != Some(ReplicaCounts { ready: replicas, ..<_>::default() }) {
        let counts = rig.executor().counts().await;
        assert!(Instant::now() < end, "{case}: {replicas} wanted, there are {counts:?}");
        sleep(LOOK).await;
    }
}

/// Waits for the target; on the way there are never more than `most` in traffic or on their way
/// in, and never fewer in traffic than there were before, or are wanted.
async fn meets_steadily(rig: &dyn ExecutorRig, case: &str, replicas: u32, most: u32) {
    let (end, mut before) = (Instant::now() + rig.patience(), 0);
    loop {
        let counts = counts(rig).await;
        if let Some(now) = counts {
            let wanted = now.ready + now.starting;
            assert!(wanted <= most, "{case}: {wanted} of at most {most}: {now:?}");
            let least = before.min(replicas);
            assert!(now.ready >= least, "{case}: {least} served before: {now:?}");
            before = now.ready;
            if now.ready == replicas && is_only_ready(now) {
                return;
            }
        }
        assert!(Instant::now() < end, "{case}: {replicas} wanted, there are {counts:?}");
        sleep(LOOK).await;
    }
}

/// Nothing changes for a while.
async fn stays(rig: &dyn ExecutorRig, case: &str, replicas: u32) {
    let end = Instant::now() + CALM;
    while Instant::now() < end {
        if let Some(now) = counts(rig).await {
            assert!(now.ready == replicas && is_only_ready(now), "{case}: {now:?}");
        }
        sleep(LOOK).await;
    }
}

/// Waits until it is seen that not all of `replicas` serve.
async fn leaves(rig: &dyn ExecutorRig, case: &str, replicas: u32) {
    let end = Instant::now() + rig.patience();
    while counts(rig).await.is_none_or(|now| now.ready >= replicas) {
        assert!(Instant::now() < end, "{case}: it is not missed");
        sleep(LOOK / 4).await;
    }
}
