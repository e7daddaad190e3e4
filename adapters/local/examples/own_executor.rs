//! An executor of your own: here, threads that serve from one shared queue.
//!
//! `scale_to` accepts an absolute target and returns; what it starts counts as ready when it
//! serves. Everything else, the load balancer included, stays as it is.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use planner_ports::{Executor, ExecutorError, ReplicaCounts};

/// Each replica is a thread that runs until its lifeline is dropped.
#[derive(Default)]
struct Threads(Mutex<Vec<(Sender<()>, JoinHandle<()>)>>);

#[async_trait]
impl Executor for Threads {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        if replicas > 32 {
            let rule = String::from("at most 32 threads; ask for fewer");
            return Err(ExecutorError::Refused { replicas, rule });
        }
        let mut threads = self.0.lock().map_err(|_| ExecutorError::ShuttingDown)?;
        while threads.len() < replicas as usize {
            let (lifeline, ended) = channel::<()>();
            let serve = move || while ended.recv().is_ok() {};
            threads.push((lifeline, thread::spawn(serve)));
        }
        for (lifeline, replica) in threads.split_off(replicas as usize) {
            drop(lifeline); // no new work; what it has is finished
            let _it_cannot_panic = replica.join();
        }
        Ok(())
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        let threads = self.0.lock().map_err(|_| ExecutorError::ShuttingDown)?;
        let ready = u32::try_from(threads.len()).unwrap_or(u32::MAX);
        Ok(ReplicaCounts { ready, ..ReplicaCounts::default() })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = Threads::default();
    for target in [1, 5, 2] {
        threads.scale_to(target).await?;
        println!("target {target}: {:?}", threads.counts().await?);
        assert_eq!(threads.counts().await?.ready, target);
    }
    println!("{}", threads.scale_to(99).await.expect_err("too many"));
    Ok(())
}
