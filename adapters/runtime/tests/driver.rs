//! The loop's unhappy paths: ports that fail, refuse and hang.
//!
//! Method: mocks for what fails, a scripted source for windows, real time in tens of milliseconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use planner_core::journal::Record;
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Config, Constraint, Consultation, Event,
    Heuristic, Idle, Latencies, Latency, Mode, Operation, Outcome, Planner, Receipt, ReplicaBounds,
    ServiceId, Step, Timestamp, Verdict, Window,
};
use planner_ports::{
    Advised, Advisor, Executor, ExecutorError, MockExecutor, MockTelemetrySource, ReplicaCounts,
    TelemetryError, TelemetrySource, Timeline,
};
use planner_runtime::{Driver, Fault, Flow, Observer, Ports, SnapshotFile};

/// Windows with these p95, one each 20 ms, then silence.
struct Script {
    timeline: Timeline,
    p95_ms: VecDeque<f64>,
    seq: u64,
}

impl Script {
    fn new(timeline: Timeline, p95_ms: impl IntoIterator<Item = f64>) -> Self {
        Self { timeline, p95_ms: p95_ms.into_iter().collect(), seq: 0 }
    }
}

#[async_trait]
impl TelemetrySource for Script {
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some(p95_ms) = self.p95_ms.pop_front() else {
            return Err(TelemetryError::Ended);
        };
        self.seq += 1;
        Ok(window(self.seq, self.timeline, p95_ms))
    }
}

fn window(seq: u64, timeline: Timeline, p95_ms: f64) -> Window {
    let end = timeline.now();
    let start = Timestamp::from_nanos(end.as_nanos().saturating_sub(1_000_000));
    Window::builder(seq, start, end)
        .outcomes(40, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95_ms).expect("a latency")))
        .ready(2)
        .starting(0)
        .build()
        .expect("a window")
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(seconds))
}

/// Keeps everything; ends the loop after so many records.
#[derive(Default)]
struct Keep {
    records: Vec<Record>,
    faults: Vec<Fault>,
    most: Option<usize>,
}

impl<B, G> Observer<Heuristic, B, G> for Keep {
    fn on_record(&mut self, record: &Record, _: &Planner<Heuristic, B, G>) -> Flow {
        self.records.push(record.clone());
        if self.most == Some(self.records.len()) { Flow::Break } else { Flow::Continue }
    }

    fn on_fault(&mut self, fault: &Fault) {
        self.faults.push(fault.clone());
    }
}

impl Keep {
    fn scalings(&self) -> usize {
        let scales = |record: &&Record| match &record.step {
            Step::Decide(decision) => decision.target().is_some(),
            _ => false,
        };
        self.records.iter().filter(scales).count()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |record: &Record| match &record.step {
            Step::Decide(decision) => decision.derivation.advice.clone(),
            _ => None,
        };
        self.records.iter().filter_map(verdict).collect()
    }
}

fn config(advised: bool) -> Config {
    let bounds = ReplicaBounds::new(1, 8).expect("bounds");
    let builder = Config::builder(bounds)
        .warmup_windows(3)
        .cooldown_out(Duration::from_secs(60))
        .stabilisation_in(Duration::ZERO)
        .cooldown_in(Duration::ZERO);
    let timeout = Duration::from_millis(100);
    let advice = AdviceConfig { timeout, ..AdviceConfig::default() };
    let builder = if advised { builder.advice(advice) } else { builder };
    builder.build().expect("settings")
}

fn obedient() -> MockExecutor {
    let mut executor = MockExecutor::new();
    executor.expect_scale_to().returning(|_| Ok(()));
    executor.expect_counts().returning(|| Ok(ReplicaCounts::default()));
    executor
}

async fn run(
    advised: bool,
    telemetry: impl TelemetrySource + 'static,
    executor: Arc<dyn Executor>,
    advisor: Option<Arc<dyn Advisor>>,
    timeline: Timeline,
) -> Keep {
    let mut keep = Keep::default();
    let ports = Ports { telemetry: Box::new(telemetry), executor, advisor };
    let driver = Driver::new(Planner::new(config(advised), Heuristic), timeline);
    let stop = tokio::time::sleep(Duration::from_secs(20));
    driver.run(ports, &mut keep, stop).await;
    assert!(timeline.now() < at(20), "the loop did not end by itself");
    keep
}

#[tokio::test]
async fn telemetry_that_cannot_be_read_is_told_and_read_again() {
    let timeline = Timeline::begin();
    let mut calls = 0;
    let mut source = MockTelemetrySource::new();
    source.expect_next_window().returning(move || {
        calls += 1;
        match calls {
            1 | 3 => {
                let cause = String::from("connection refused");
                Err(TelemetryError::Unavailable { origin: "the meter", cause })
            }
            2 => Ok(window(1, timeline, 40.0)),
            _ => Err(TelemetryError::Ended),
        }
    });
    let keep = run(false, source, Arc::new(obedient()), None, timeline).await;
    assert_eq!(keep.records.len(), 1, "one window was read");
    let told: Vec<String> = keep.faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["the meter gave no telemetry: connection refused; it is asked again"; 2]);
}

#[tokio::test]
async fn a_refused_target_starts_no_cooldown() {
    let timeline = Timeline::begin();
    let mut executor = MockExecutor::new();
    executor.expect_scale_to().returning(|replicas| {
        Err(ExecutorError::Refused { replicas, rule: String::from("not today") })
    });
    let windows = [40.0; 4].into_iter().chain([900.0; 6]);
    let keep = run(false, Script::new(timeline, windows), Arc::new(executor), None, timeline).await;
    assert!(keep.scalings() >= 2, "the cooldown of a minute was kept for a refused target");
    let refused = |record: &&Record| matches!(record.event, Event::Settle(_, Outcome::Refuse));
    assert_eq!(keep.records.iter().filter(refused).count(), keep.faults.len());
    assert!(keep.faults[0].to_string().ends_with("refused: not today"), "{}", keep.faults[0]);
}

/// An executor that never comes back.
struct Hangs;

#[async_trait]
impl Executor for Hangs {
    async fn scale_to(&self, _: u32) -> Result<(), ExecutorError> {
        std::future::pending().await
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Advisor for Hangs {
    async fn advise(&self, _: &Consultation) -> Advised {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_executor_that_hangs_delays_no_decision() {
    let timeline = Timeline::begin();
    let windows = [40.0; 4].into_iter().chain([900.0; 10]);
    let keep = run(false, Script::new(timeline, windows), Arc::new(Hangs), None, timeline).await;
    assert_eq!(keep.records.len(), 14, "a decision for every window");
    assert_eq!(keep.scalings(), 1);
}

#[tokio::test]
async fn an_advisor_that_hangs_delays_no_window_and_is_given_up_at_its_deadline() {
    let timeline = Timeline::begin();
    let executor = Arc::new(obedient());
    let telemetry = Script::new(timeline, [40.0; 20]);
    let keep = run(true, telemetry, executor, Some(Arc::new(Hangs)), timeline).await;
    let observed = |record: &&Record| matches!(record.event, Event::Observe(_));
    assert_eq!(keep.records.iter().filter(observed).count(), 20, "every window was taken");
    let waited = |record: &&Record| matches!(record.step, Step::Idle(Idle::Await(_)));
    assert!(keep.records.iter().filter(waited).count() >= 2, "it was never asked");
    assert_eq!(keep.verdicts(), [Verdict::Missed(AdvisorFault::Timeout)]);
}

/// An advisor that wants no scale-in.
struct Keeps;

#[async_trait]
impl Advisor for Keeps {
    async fn advise(&self, _: &Consultation) -> Advised {
        Ok(Advice::new(AdvisedAction::Noop, "keep it")).into()
    }
}

#[tokio::test]
async fn advice_reaches_the_decision() {
    let timeline = Timeline::begin();
    let executor = Arc::new(obedient());
    let telemetry = Script::new(timeline, [40.0; 10]);
    let keep = run(true, telemetry, executor, Some(Arc::new(Keeps)), timeline).await;
    let reason = String::from("keep it");
    assert_eq!(keep.verdicts().first(), Some(&Verdict::Taken { taken: 2, reason }));
}

/// An advisor that says what its call was.
struct Accounts;

#[async_trait]
impl Advisor for Accounts {
    async fn advise(&self, _: &Consultation) -> Advised {
        let receipt = Receipt {
            provider: String::from("test"),
            model: Some(String::from("m-1")),
            request_sha256: "0".repeat(64),
            prompt_sha256: "0".repeat(64),
            reply: Some(String::from("\u{1b}[31m{\"action\":\"noop\"}")),
            verdict: String::from("accepted"),
            tokens: Some(7),
            took_ms: 12,
        };
        let outcome = Ok(Advice::new(AdvisedAction::Noop, "keep it"));
        Advised { outcome, receipt: Some(receipt) }
    }
}

#[tokio::test]
async fn the_receipt_of_a_call_is_on_record_and_replays_to_nothing() {
    let timeline = Timeline::begin();
    let telemetry = Script::new(timeline, [40.0; 10]);
    let advisor = Some(Arc::new(Accounts) as Arc<dyn Advisor>);
    let keep = run(true, telemetry, Arc::new(obedient()), advisor, timeline).await;
    let attested: Vec<&Record> =
        keep.records.iter().filter(|it| matches!(it.event, Event::Attest(..))).collect();
    assert!(!attested.is_empty(), "no receipt");
    for record in attested {
        assert_eq!(record.step, Step::Idle(Idle::Note));
        let text = serde_json::to_string(record).expect("text");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("a record"), *record);
    }
    let reason = String::from("keep it");
    assert_eq!(keep.verdicts().first(), Some(&Verdict::Taken { taken: 2, reason }));
}

#[tokio::test]
async fn a_question_without_an_advisor_is_answered_by_the_policy() {
    let timeline = Timeline::begin();
    let telemetry = Script::new(timeline, [40.0; 10]);
    let keep = run(true, telemetry, Arc::new(obedient()), None, timeline).await;
    assert_eq!(keep.verdicts().first(), Some(&Verdict::Missed(AdvisorFault::Unreachable)));
}

#[tokio::test]
async fn the_observer_can_end_the_loop() {
    let timeline = Timeline::begin();
    let mut keep = Keep { most: Some(3), ..Keep::default() };
    let telemetry = Script::new(timeline, [40.0; 100]);
    let ports =
        Ports { telemetry: Box::new(telemetry), executor: Arc::new(obedient()), advisor: None };
    let driver = Driver::new(Planner::new(config(false), Heuristic), timeline);
    let planner = driver.run(ports, &mut keep, std::future::pending()).await;
    assert_eq!(keep.records.len(), 3);
    assert!(planner.estimate().is_some(), "the planner comes back with what it learned");
}

#[tokio::test]
async fn a_loop_that_is_stopped_ends_at_once() {
    let timeline = Timeline::begin();
    let mut keep = Keep::default();
    let telemetry = Script::new(timeline, vec![40.0; 10_000]);
    let ports =
        Ports { telemetry: Box::new(telemetry), executor: Arc::new(obedient()), advisor: None };
    let driver = Driver::new(Planner::new(config(false), Heuristic), timeline);
    driver.run(ports, &mut keep, tokio::time::sleep(Duration::from_millis(100))).await;
    assert!(timeline.now() < at(10));
}

/// A planner that goes on from what is in `file`, and its timeline.
fn resumed(file: &SnapshotFile) -> (Planner, Timeline) {
    let stored = file.load().expect("good").expect("saved");
    let timeline = stored.timeline();
    let planner = Planner::restore(config(false), Heuristic, stored.snapshot).expect("its own");
    (planner, timeline)
}

/// What a loop saw that keeps its memory: calm, and then a breach.
struct Driving {
    loop_: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    /// The targets that it ordered.
    ordered: tokio::sync::mpsc::UnboundedReceiver<u32>,
}

/// A folder with the file of a loop that ended as `end` makes it, and what that found.
async fn saved<T>(end: impl AsyncFnOnce(Driving) -> T) -> (tempfile::TempDir, SnapshotFile, T) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.snapshot");
    let file = SnapshotFile::new(path, ServiceId::new("shop").expect("a name"));
    let timeline = Timeline::begin();
    let telemetry = Script::new(timeline, [40.0; 4].into_iter().chain([900.0; 8]));
    let (orders, ordered) = tokio::sync::mpsc::unbounded_channel();
    let mut executor = MockExecutor::new();
    executor.expect_scale_to().returning(move |replicas| {
        orders.send(replicas).expect("somebody waits");
        Ok(())
    });
    let executor = Arc::new(executor);
    let ports = Ports { telemetry: Box::new(telemetry), executor, advisor: None };
    let driver = Driver::new(Planner::new(config(false), Heuristic), timeline)
        .saving_to(file.clone(), Duration::from_secs(3_600));
    let loop_ = Box::pin(async move {
        driver.run(ports, &mut Keep::default(), std::future::pending()).await;
    });
    let found = end(Driving { loop_, ordered }).await;
    (folder, file, found)
}

#[tokio::test]
async fn a_loop_that_is_killed_after_a_scale_out_remembers_the_order() {
    let kill = async |mut driving: Driving| {
        let ordered = tokio::select! {
            ordered = driving.ordered.recv() => ordered.expect("an order"),
            () = &mut driving.loop_ => panic!("no order was given"),
        };
        // Dropped in the middle, which is all that a kill leaves of it.
        drop(driving.loop_);
        tokio::time::sleep(Duration::from_millis(300)).await;
        ordered
    };
    let (_folder, file, ordered) = saved(kill).await;
    let (mut planner, timeline) = resumed(&file);
    let decision = planner.decide(timeline.now(), &window(99, timeline, 900.0));
    assert_eq!(decision.derivation.current, Some(ordered), "{decision}");
}

#[tokio::test]
async fn a_loop_that_ends_saves_what_it_learned_last() {
    let (_folder, file, ()) = saved(async |driving: Driving| driving.loop_.await).await;
    let (planner, timeline) = resumed(&file);
    assert!(planner.estimate().is_some(), "the baseline was lost");
    // Twelve windows of 20 ms each were seen before, and its time goes on from there.
    assert!(timeline.now() >= Timestamp::from_origin(Duration::from_millis(240)));
}

#[tokio::test]
async fn a_resumed_loop_hears_a_source_that_counts_anew() {
    let (_folder, file, ()) = saved(async |driving: Driving| driving.loop_.await).await;
    let (planner, timeline) = resumed(&file);
    let ports = Ports {
        telemetry: Box::new(Script::new(timeline, [40.0; 3])),
        executor: Arc::new(obedient()),
        advisor: None,
    };
    let mut keep = Keep::default();
    Driver::new(planner, timeline).run(ports, &mut keep, std::future::pending()).await;
    let stale = |record: &&Record| record.step == Step::Idle(Idle::Stale);
    assert_eq!(keep.records.iter().filter(stale).count(), 0, "of {}", keep.records.len());
}

#[tokio::test]
async fn a_memory_that_cannot_be_saved_is_told_and_the_loop_goes_on() {
    let nowhere = std::path::Path::new("/proc/no-such-folder/shop.snapshot");
    let file = SnapshotFile::new(nowhere, ServiceId::new("shop").expect("a name"));
    let timeline = Timeline::begin();
    let ports = Ports {
        telemetry: Box::new(Script::new(timeline, [40.0; 6])),
        executor: Arc::new(obedient()),
        advisor: None,
    };
    let mut keep = Keep::default();
    Driver::new(Planner::new(config(false), Heuristic), timeline)
        .saving_to(file, Duration::ZERO)
        .run(ports, &mut keep, std::future::pending())
        .await;
    let observed = |record: &&Record| matches!(record.event, Event::Observe(_));
    assert_eq!(keep.records.iter().filter(observed).count(), 6, "every window was taken");
    let told = keep.faults.first().expect("a fault").to_string();
    assert!(told.starts_with("/proc/no-such-folder/shop.snapshot: the snapshot was not saved"));
}

#[tokio::test]
async fn a_loop_that_is_stopped_takes_the_end_of_its_telemetry_for_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.snapshot");
    let file = SnapshotFile::new(path, ServiceId::new("shop").expect("a name"));
    let timeline = Timeline::begin();
    let telemetry = Script::new(timeline, vec![40.0; 10_000]);
    let ports =
        Ports { telemetry: Box::new(telemetry), executor: Arc::new(obedient()), advisor: None };
    let mut keep = Keep::default();
    Driver::new(Planner::new(config(false), Heuristic), timeline)
        .saving_to(file, Duration::from_secs(3_600))
        .run(ports, &mut keep, tokio::time::sleep(Duration::from_millis(100)))
        .await;
    assert_eq!(keep.faults, []);
}

#[tokio::test]
async fn a_pause_stops_the_loop_s_hands_and_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.snapshot");
    let file = SnapshotFile::new(path, ServiceId::new("shop").expect("a name"));
    let timeline = Timeline::begin();
    let telemetry = Script::new(timeline, [40.0; 4].into_iter().chain([900.0; 400]));
    let (operator, operations) = tokio::sync::watch::channel(Operation::default());
    let mut executor = MockExecutor::new();
    executor.expect_scale_to().never();
    let executor = Arc::new(executor);
    let ports = Ports { telemetry: Box::new(telemetry), executor, advisor: None };
    let mut keep = Keep::default();
    let paused = Operation::of(Mode::Pause);
    operator.send(paused).expect("the loop will listen");
    let driver = Driver::new(Planner::new(config(false), Heuristic), timeline)
        .operated_by(operations)
        .saving_to(file.clone(), Duration::from_secs(3_600));
    let driving = driver.run(ports, &mut keep, std::future::pending());
    let _killed = tokio::time::timeout(Duration::from_millis(400), driving).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let would = |record: &&Record| match &record.step {
        Step::Decide(decision) => decision.derivation.binding == Constraint::Paused,
        _ => false,
    };
    assert!(keep.records.iter().filter(would).count() > 0, "nothing was held");
    assert_eq!(resumed(&file).0.operation(), paused);
}

#[tokio::test]
async fn a_last_memory_that_cannot_be_saved_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).expect("a folder");
    let file = SnapshotFile::new(gone.join("s"), ServiceId::new("shop").expect("a name"));
    let timeline = Timeline::begin();
    let ports = Ports {
        telemetry: Box::new(Script::new(timeline, [40.0; 3])),
        executor: Arc::new(obedient()),
        advisor: None,
    };
    let mut keep = Keep::default();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        std::fs::remove_dir_all(&gone).expect("it was there");
    };
    Driver::new(Planner::new(config(false), Heuristic), timeline)
        .saving_to(file, Duration::from_secs(3_600))
        .run(ports, &mut keep, stop)
        .await;
    let told: Vec<String> = keep.faults.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|fault| fault.contains("the snapshot was not saved")), "{told:?}");
}
