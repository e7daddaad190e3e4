//! Keeps a loop's planner on disk while the loop goes on. When and what is decided here; how a file
//! is written safely is [`SnapshotFile`]'s business.

use std::time::Duration;

use planner_core::{Event, Snapshot, Step, Timestamp};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{SnapshotFile, SnapshotFileError};

type Render<S, B> =
    fn(&SnapshotFile, Timestamp, &Snapshot<S, B>) -> Result<Vec<u8>, SnapshotFileError>;

/// Decides when a planner's memory is saved.
pub(crate) struct Keeper<S, B> {
    file: SnapshotFile,
    period: Duration,
    saved: Option<Timestamp>,
    /// [`SnapshotFile::render`], chosen where it was known that the memory can be written.
    render: Render<S, B>,
}

/// The task that writes; a newer memory replaces one that is still waiting.
pub(crate) struct Writing {
    newest: watch::Sender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl<S, B> Keeper<S, B> {
    /// A keeper that saves what cannot wait at once, and the rest each `period`.
    pub(crate) fn new(file: SnapshotFile, period: Duration) -> Self
    where
        S: Serialize,
        B: Serialize,
    {
        Self { file, period, saved: None, render: SnapshotFile::render }
    }

    /// Whether the memory must be saved after this step: what bounds later actions (cooldowns,
    /// budgets, the operator's word) at once, what was merely learned each period.
    pub(crate) fn is_due<E>(&mut self, now: Timestamp, event: &Event<E>, step: &Step) -> bool {
        let binds = match (event, step) {
            // An answer, or its absence, moves budget, back-off and thresholds.
            (Event::Advise(..) | Event::Operate(_) | Event::Settle(..), _)
            | (_, Step::Consult(_))
            | (Event::Wake, Step::Decide(_)) => true,
            (_, Step::Decide(decision)) => decision.target().is_some(),
            _ => false,
        };
        let over = self.saved.is_none_or(|saved| now.saturating_since(saved) >= self.period);
        if binds || over {
            self.saved = Some(now);
        }
        binds || over
    }

    /// The last memory was not written: the next step tries again.
    pub(crate) fn failed(&mut self) {
        self.saved = None;
    }

    /// The memory as it is written.
    pub(crate) fn render(
        &self,
        at: Timestamp,
        snapshot: &Snapshot<S, B>,
    ) -> Result<Vec<u8>, SnapshotFileError> {
        (self.render)(&self.file, at, snapshot)
    }

    /// Starts the task that writes; `report` is told of what was not written.
    pub(crate) fn start<R, F>(&self, report: R) -> Writing
    where
        R: Fn(SnapshotFileError) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let (newest, mut waiting) = watch::channel(Vec::new());
        let file = self.file.clone();
        let task = tokio::spawn(async move {
            while waiting.changed().await.is_ok() {
                let text = waiting.borrow_and_update().clone();
                let file = file.clone();
                // A disk may take its time; it has a thread of its own.
                let written = tokio::task::spawn_blocking(move || file.write(&text)).await;
                if let Ok(Err(error)) = written {
                    report(error).await;
                }
            }
        });
        Writing { newest, task }
    }
}

impl Writing {
    /// Writes `text` as soon as the one before it is written.
    pub(crate) fn write(&self, text: Vec<u8>) {
        self.newest.send_replace(text);
    }

    /// Writes what is still waiting, and ends.
    pub(crate) async fn finish(self) {
        drop(self.newest);
        let _a_panic_of_the_task_was_told_by_its_hook = self.task.await;
    }
}
