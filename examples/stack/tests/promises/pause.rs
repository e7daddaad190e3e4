//! P24: a file, a signal or a key pauses everything; the file wins, and outlives every restart.

use std::time::Duration;

use planner_examples_stack::demo::servers::Process;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::support_stack::{Stack, served};

/// How long nothing may move.
const STILL: Duration = Duration::from_secs(2);

/// How somebody pauses, and ends it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    File,
    Signal,
    Key,
}

/// The executor, and what moved it.
struct Paused {
    stack: Stack,
    executor: Option<Process>,
    seq: u64,
}

impl Paused {
    async fn pause(&self, by: Means) {
        match by {
            Means::File => std::fs::write(self.stack.rig.path("pause"), "").expect("written"),
            Means::Signal => self.signal(Signal::USR1),
            Means::Key => self.stack.rig.ask(&["SET", "planner:app:pause", "maintenance"]).await,
        }
        // A look, and one more.
        sleep(Duration::from_millis(600)).await;
    }

    async fn go_on(&self, by: Means) {
        match by {
            Means::File => std::fs::remove_file(self.stack.rig.path("pause")).expect("removed"),
            Means::Signal => self.signal(Signal::USR2),
            Means::Key => self.stack.rig.ask(&["DEL", "planner:app:pause"]).await,
        }
    }

    fn signal(&self, signal: Signal) {
        self.executor.as_ref().expect("it runs").signal(signal);
    }

    async fn restart(&mut self) {
        let executor = self.executor.take().expect("it runs");
        executor.signal(Signal::KILL);
        executor.end().await;
        self.executor = Some(self.stack.rig.run("executor", &[]));
        self.stack.rig.has_said("executor", " obeying ").await;
    }

    fn log(&self) -> String {
        self.stack.rig.log("executor")
    }

    /// Gives an order, which is not carried out.
    async fn nothing_moves(&mut self, why: &str) {
        let before = self.stack.ids().await;
        self.seq += 1;
        self.stack.order(1, self.seq, 4, None).await;
        sleep(STILL).await;
        assert_eq!(self.stack.ids().await, before, "{why}: {}", self.log());
    }

    /// What was ordered meanwhile is carried out, and so is what is ordered now.
    async fn moves_again(&mut self) {
        self.stack.settles_at(4).await;
        self.seq += 1;
        self.stack.order(1, self.seq, 2, None).await;
        self.stack.settles_at(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p24_while_anybody_pauses_nothing_moves_and_the_file_wins() {
    let mut stack = Stack::start().await;
    let pause = stack.rig.path("pause");
    stack.rig.set("pause_file", format!("{:?}", pause.display().to_string()));
    stack.rig.set("min_replicas", 2);
    let _watcher = stack.rig.run("watcher", &[]);
    let executor = Some(stack.rig.run("executor", &[]));
    served(&stack).await;
    stack.settles_at(2).await;
    let mut paused = Paused { stack, executor, seq: 0 };
    for by in [Means::File, Means::Signal, Means::Key] {
        paused.pause(by).await;
        paused.nothing_moves(&format!("{by:?}")).await;
        if by == Means::File {
            paused.go_on(Means::Signal).await;
            paused.go_on(Means::Key).await;
            paused.nothing_moves("the others say go on").await;
        }
        if by == Means::Key {
            paused.stack.restart_redis().await;
            paused.nothing_moves("Redis died and is back").await;
        }
        if by != Means::Signal {
            paused.restart().await;
            paused.nothing_moves(&format!("{by:?}, after a restart")).await;
        }
        paused.go_on(by).await;
        paused.moves_again().await;
    }
    println!("file, signal and key: nothing moved, through restarts and a Redis that died");
    let Paused { stack, executor, .. } = paused;
    drop(executor);
    stack.end().await;
}
