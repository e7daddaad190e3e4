//! The loop: clock, ports, planner. The only place that sleeps.

use std::sync::Arc;
use std::time::Duration;

use planner_core::journal::Record;
use planner_core::{
    Advice, AdviceGate, AdvisorFault, Baseline, Consultation, ConsultationId, Decision, DecisionId,
    Event, Gateway, Heuristic, Operation, Outcome, Planner, Policy, QuarantinedBaseline, Receipt,
    Step, Timestamp, Window,
};
use planner_ports::{Advisor, Executor, ExecutorError, TelemetryError, TelemetrySource, Timeline};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::keeper::{Keeper, Writing};
use crate::{SnapshotFile, SnapshotFileError};

/// Windows and answers that may wait for the loop; it never leaves them waiting long.
const QUEUE: usize = 64;
/// First wait after a telemetry source could not be read; doubles up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries of a telemetry source.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// The outside of one planner.
#[expect(clippy::exhaustive_structs, reason = "built by every user; a new port is a new need")]
pub struct Ports {
    /// Where windows come from. Its times are those of the driver's timeline.
    pub telemetry: Box<dyn TelemetrySource>,
    /// What carries targets out.
    pub executor: Arc<dyn Executor>,
    /// Who is asked for a second opinion, if anybody.
    pub advisor: Option<Arc<dyn Advisor>>,
}

/// Sees everything that happens in the loop of a [`Planner`] of the same parameters: writes the
/// journal, draws the view.
pub trait Observer<P: Policy = Heuristic, B = QuarantinedBaseline, G = Gateway> {
    /// An event and the step it led to, and the planner after it. Breaking ends the loop.
    fn on_record(&mut self, record: &Record<P::Signal>, planner: &Planner<P, B, G>) -> Flow;

    /// Something outside went wrong; the loop goes on.
    fn on_fault(&mut self, _fault: &Fault) {}
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it does or it does not")]
pub enum Flow {
    /// End the loop.
    Break,
    /// Go on.
    Continue,
}

/// What went wrong outside. The loop goes on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A target was not accepted; the planner is told, and decides anew on the next window.
    #[error("decision {0} was not carried out: {1}")]
    Execution(DecisionId, ExecutorError),
    /// The planner's memory was not saved; a restart goes on from the one saved before.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// There was no window.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

/// Runs one planner on real time.
///
/// The loop waits for nobody: telemetry, execution and advice run in tasks of their own, and a
/// hanging advisor or executor delays no decision. A newer target replaces one that is still
/// being handed over.
///
/// With [`Driver::saving_to`] the planner's memory is kept on disk, and a restart goes on from it:
/// see [`SnapshotFile`].
pub struct Driver<P: Policy, B, G> {
    planner: Planner<P, B, G>,
    timeline: Timeline,
    keeper: Option<Keeper<P::State, B>>,
    operations: Option<watch::Receiver<Operation>>,
}

/// What the tasks around the loop report.
enum Report {
    Answer(ConsultationId, Result<Advice, AdvisorFault>),
    Receipt(ConsultationId, Receipt),
    Execution(DecisionId, Result<(), ExecutorError>),
    Saved(SnapshotFileError),
    Telemetry(Result<Window, TelemetryError>),
}

impl<P, B, G> Driver<P, B, G>
where
    P: Policy,
    P::Signal: Clone,
    B: Baseline,
    G: AdviceGate,
{
    /// Drives `planner` on the times of `timeline`, which its telemetry shares.
    pub const fn new(planner: Planner<P, B, G>, timeline: Timeline) -> Self {
        Self { planner, timeline, keeper: None, operations: None }
    }

    /// Takes every change of what the operator allows from `operations`: pause, shadow, holds. What
    /// the planner was restored with stands until the first change.
    #[must_use]
    pub fn operated_by(mut self, operations: watch::Receiver<Operation>) -> Self {
        self.operations = Some(operations);
        self
    }

    /// Keeps the planner's memory in `file`: at once when replicas were scaled or an advisor asked,
    /// otherwise each `period`, and when the loop ends. Writing delays no decision; a kill loses
    /// what was learned since the last time, and no cooldown that was written.
    #[must_use]
    pub fn saving_to(mut self, file: SnapshotFile, period: Duration) -> Self
    where
        P::State: Serialize,
        B: Serialize,
    {
        self.keeper = Some(Keeper::new(file, period));
        self
    }

    /// Runs until `stop` completes, the telemetry ends or the observer breaks. Gives the planner
    /// back, so that a snapshot can be taken or the loop continued.
    ///
    /// Must be called within a tokio runtime with time enabled. The tasks it started end with it;
    /// replicas are left as they are.
    pub async fn run(
        mut self,
        ports: Ports,
        observer: &mut dyn Observer<P, B, G>,
        stop: impl Future<Output = ()>,
    ) -> Planner<P, B, G> {
        let (reports, mut inbox) = mpsc::channel(QUEUE);
        let (orders, order) = watch::channel(None);
        let tasks = Tasks(vec![
            spawn_telemetry(ports.telemetry, reports.clone()),
            spawn_executor(ports.executor, order, reports.clone()),
        ]);
        let writing = self.start_writing(&reports);
        let mut asking: Option<AbortHandle> = None;
        tokio::pin!(stop);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut stop => break,
                operation = changed(&mut self.operations) => Event::Operate(operation),
                report = inbox.recv() => match report {
                    None | Some(Report::Telemetry(Err(TelemetryError::Ended))) => break,
                    Some(report) => match self.take(report, observer) {
                        Some(event) => event,
                        None => continue,
                    },
                },
                () = sleep_until(self.timeline, self.planner.next_wake()) => Event::Wake,
            };
            let at = self.timeline.now();
            let step = self.planner.step(at, event.clone());
            match &step {
                Step::Decide(decision) if decision.target().is_some() => {
                    orders.send_replace(Some(decision.clone()));
                }
                Step::Consult(consultation) => {
                    if let Some(earlier) = asking.take() {
                        earlier.abort();
                    }
                    let advisor = ports.advisor.as_ref();
                    asking = Some(spawn_advisor(advisor, consultation, at, &reports));
                }
                _ => {}
            }
            self.keep(at, Some((&event, &step)), writing.as_ref(), observer);
            if observer.on_record(&Record { at, event, step }, &self.planner) == Flow::Break {
                break;
            }
        }
        if let Some(asking) = asking {
            asking.abort();
        }
        drop(tasks);
        self.end_writing(writing, &mut inbox, observer).await;
        self.planner
    }

    /// Starts the task that keeps the planner on disk, if somebody wants that.
    fn start_writing(&self, reports: &mpsc::Sender<Report>) -> Option<Writing> {
        let keeper = self.keeper.as_ref()?;
        let reports = reports.clone();
        Some(keeper.start(move |error| {
            let reports = reports.clone();
            async move { drop(reports.send(Report::Saved(error)).await) }
        }))
    }

    /// Saves a last time, and tells what could not be saved.
    async fn end_writing(
        &mut self,
        writing: Option<Writing>,
        inbox: &mut mpsc::Receiver<Report>,
        observer: &mut dyn Observer<P, B, G>,
    ) {
        self.keep(self.timeline.now(), None, writing.as_ref(), observer);
        let Some(writing) = writing else { return };
        let finish = writing.finish();
        tokio::pin!(finish);
        loop {
            tokio::select! {
                biased;
                Some(report) = inbox.recv() => drop(self.take(report, observer)),
                () = &mut finish => break,
            }
        }
        while let Ok(report) = inbox.try_recv() {
            drop(self.take(report, observer));
        }
    }

    /// Turns a report into an event, or tells the observer of a fault.
    fn take(
        &mut self,
        report: Report,
        observer: &mut dyn Observer<P, B, G>,
    ) -> Option<Event<P::Signal>> {
        match report {
            Report::Telemetry(Ok(window)) => Some(Event::Observe(window)),
            Report::Telemetry(Err(error)) => {
                observer.on_fault(&Fault::Telemetry(error));
                None
            }
            Report::Saved(error) => {
                observer.on_fault(&Fault::Snapshot(error));
                if let Some(keeper) = &mut self.keeper {
                    keeper.failed();
                }
                None
            }
            Report::Answer(id, answer) => Some(Event::Advise(id, answer)),
            Report::Receipt(id, receipt) => Some(Event::Attest(id, receipt)),
            Report::Execution(id, Ok(())) => Some(Event::Settle(id, Outcome::Apply)),
            Report::Execution(id, Err(error)) => {
                observer.on_fault(&Fault::Execution(id, error));
                Some(Event::Settle(id, Outcome::Refuse))
            }
        }
    }

    /// Hands the planner's memory over to be written when it is time to, or when the loop ends.
    fn keep(
        &mut self,
        at: Timestamp,
        taken: Option<(&Event<P::Signal>, &Step)>,
        writing: Option<&Writing>,
        observer: &mut dyn Observer<P, B, G>,
    ) {
        let (Some(keeper), Some(writing)) = (&mut self.keeper, writing) else { return };
        if taken.is_some_and(|(event, step)| !keeper.is_due(at, event, step)) {
            return;
        }
        match keeper.render(at, &self.planner.snapshot()) {
            Ok(text) => writing.write(text),
            Err(error) => observer.on_fault(&Fault::Snapshot(error)),
        }
    }
}

/// The next change of what the operator allows; never, when nobody can change it any more.
async fn changed(operations: &mut Option<watch::Receiver<Operation>>) -> Operation {
    if let Some(receiver) = operations
        && receiver.changed().await.is_ok()
    {
        return *receiver.borrow_and_update();
    }
    std::future::pending().await
}

/// Tasks that end with the loop, however it ends.
struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Sleeps until `wake`; for ever without one.
async fn sleep_until(timeline: Timeline, wake: Option<Timestamp>) {
    match wake.and_then(|wake| timeline.instant(wake)) {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Reads windows and hands them over; waits a little longer after each failure.
fn spawn_telemetry(
    mut source: Box<dyn TelemetrySource>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut guard = Mourner(Some(reports.clone()));
        let mut wait = RETRY_WAIT;
        loop {
            let window = source.next_window().await;
            let (failed, ended) = (window.is_err(), matches!(window, Err(TelemetryError::Ended)));
            if reports.send(Report::Telemetry(window)).await.is_err() || ended {
                guard.0 = None;
                return;
            }
            if failed {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_WAIT_MAX);
            } else {
                wait = RETRY_WAIT;
            }
        }
    })
}

/// Reports the end of a telemetry source that panics; the loop would wait for it for ever.
struct Mourner(Option<mpsc::Sender<Report>>);

impl Drop for Mourner {
    fn drop(&mut self) {
        // A task that is ended with its loop is no panic.
        if let Some(reports) = self.0.take().filter(|_| std::thread::panicking()) {
            let cause = String::from("it panicked");
            let fault = TelemetryError::Unavailable { origin: "the telemetry source", cause };
            for report in [fault, TelemetryError::Ended] {
                let _a_full_queue_ends_the_loop_later =
                    reports.try_send(Report::Telemetry(Err(report)));
            }
        }
    }
}

/// Hands the newest target to the executor, one at a time. A panic of it is a fault like another.
fn spawn_executor(
    executor: Arc<dyn Executor>,
    mut order: watch::Receiver<Option<Decision>>,
    reports: mpsc::Sender<Report>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        while order.changed().await.is_ok() {
            let newest = order.borrow_and_update().clone();
            let Some(decision) = newest else { continue };
            let (id, executor) = (decision.id, Arc::clone(&executor));
            let carried_out = tokio::spawn(async move { executor.carry_out(&decision).await });
            let outcome = carried_out.await.unwrap_or_else(|error| {
                let cause = error.to_string();
                Err(ExecutorError::Unavailable { engine: "the executor", cause })
            });
            if reports.send(Report::Execution(id, outcome)).await.is_err() {
                return;
            }
        }
    })
}

/// Asks the advisor; its answer, its fault or the deadline comes back as a report.
fn spawn_advisor(
    advisor: Option<&Arc<dyn Advisor>>,
    consultation: &Consultation,
    now: Timestamp,
    reports: &mpsc::Sender<Report>,
) -> AbortHandle {
    let (advisor, reports) = (advisor.cloned(), reports.clone());
    let consultation = consultation.clone();
    let left = consultation.deadline.saturating_since(now);
    let task = tokio::spawn(async move {
        let answer = match advisor {
            Some(advisor) => tokio::time::timeout(left, advisor.advise(&consultation))
                .await
                .unwrap_or_else(|_| Err(AdvisorFault::Timeout).into()),
            None => Err(AdvisorFault::Unreachable).into(),
        };
        if let Some(receipt) = answer.receipt {
            let _ = reports.send(Report::Receipt(consultation.id, receipt)).await;
        }
        // The loop may be gone; then nobody waits for the answer.
        let _ = reports.send(Report::Answer(consultation.id, answer.outcome)).await;
    });
    task.abort_handle()
}
