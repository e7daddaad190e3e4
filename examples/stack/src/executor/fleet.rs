//! The replicas of one service, whatever runs them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use planner_docker::{DockerExecutor, SwarmExecutor};
use planner_ports::{Executor, ExecutorError, Member, ReplicaCounts, ReplicaState, Router};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How often a Swarm is asked for its tasks: it tells nobody when one becomes ready.
const ASK: Duration = Duration::from_millis(250);

/// What carries targets out, and knows the replicas one by one.
pub(super) trait Fleet: Executor {
    /// The replicas as they change.
    fn members(&self) -> watch::Receiver<Vec<Member>>;

    /// What went wrong last; `None` when that works again.
    fn last_error(&self) -> Option<String>;
}

impl Fleet for DockerExecutor {
    fn members(&self) -> watch::Receiver<Vec<Member>> {
        Self::members(self)
    }

    fn last_error(&self) -> Option<String> {
        Self::last_error(self)
    }
}

/// The tasks of a Swarm's service, which the Swarm itself starts, ends and replaces.
pub(super) struct SwarmFleet {
    swarm: SwarmExecutor,
    members: watch::Receiver<Vec<Member>>,
    last_error: Arc<Mutex<Option<String>>>,
    tasks: [JoinHandle<()>; 2],
}

impl SwarmFleet {
    /// Asks for the tasks again and again, each at `port` of its address on `network`, and routes
    /// to those that run.
    pub(super) fn watch(
        swarm: SwarmExecutor,
        network: String,
        port: u16,
        router: Arc<dyn Router>,
    ) -> Self {
        let (told, members) = watch::channel(Vec::new());
        let last_error = Arc::new(Mutex::new(None));
        let (asked, error) = (swarm.clone(), Arc::clone(&last_error));
        let asking = tokio::spawn(async move {
            loop {
                let found = asked.members(&network, port).await;
                let what = found.as_ref().err().map(ToString::to_string);
                if let Ok(members) = found {
                    told.send_if_modified(|known| {
                        let is_new = *known != members;
                        *known = members;
                        is_new
                    });
                }
                note(&error, what);
                sleep(ASK).await;
            }
        });
        let routing = tokio::spawn(route(members.clone(), router));
        Self { swarm, members, last_error, tasks: [asking, routing] }
    }
}

/// Routes to what runs, the newest list first. Nothing before the first list: what is routed from
/// before a restart is nearer to the truth than that nobody runs.
async fn route(mut members: watch::Receiver<Vec<Member>>, router: Arc<dyn Router>) {
    if members.changed().await.is_err() {
        return;
    }
    loop {
        let ready: Vec<SocketAddr> = members
            .borrow_and_update()
            .iter()
            .filter(|member| member.state == ReplicaState::Ready)
            .filter_map(|member| member.address)
            .collect();
        let routed = async {
            if let Err(error) = router.route(&ready).await {
                tracing::warn!(%error, "not routed");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            changed = members.changed() => if changed.is_err() { return },
            () = routed => {}
        }
    }
}

/// Remembers what went wrong, and says it once.
fn note(last_error: &Mutex<Option<String>>, what: Option<String>) {
    let mut known = last_error.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = &what
        && *known != what
    {
        tracing::warn!(%error, "the tasks are not known");
    }
    *known = what;
}

impl Drop for SwarmFleet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[async_trait]
impl Executor for SwarmFleet {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        self.swarm.scale_to(replicas).await
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        self.swarm.counts().await
    }
}

impl Fleet for SwarmFleet {
    fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.clone()
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
