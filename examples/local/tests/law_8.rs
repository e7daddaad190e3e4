//! Law 8 in the running loop: whatever a provider does, the loop keeps its pace.
//!
//! A service in unrest raises a question whenever one may be asked, and a provider hangs, drips,
//! sends everybody away or is not there. Told is how late each window reached a decision or the
//! open question that decides for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use planner_core::journal::Record;
use planner_core::{
    AdviceConfig, Config, Decision, Event, Heuristic, Idle, Planner, ReplicaBounds, Step,
    Timestamp, Window,
};
use planner_llm::{LlmAdvisor, LlmSettings, Provider};
use planner_ports::{
    Executor, ExecutorError, ReplicaCounts, TelemetryError, TelemetrySource, Timeline,
};
use planner_runtime::{Driver, Flow, Observer, Ports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Length of a window.
const PERIOD: Duration = Duration::from_secs(1);
/// Windows of a run.
const WINDOWS: u32 = 30;
/// Windows after which the service is in unrest.
const CALM: u32 = 10;

/// What a provider does.
#[derive(Clone, Copy, Debug)]
enum Provides {
    Drip,
    Hang,
    Storm,
}

/// A provider on loopback, and how often it was asked.
async fn provider(provides: Provides) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(behave(stream, provides));
        }
    });
    (address, asked)
}

async fn behave(mut stream: TcpStream, provides: Provides) {
    let mut request = [0; 16_384];
    if stream.read(&mut request).await.is_err() {
        return;
    }
    let head = match provides {
        Provides::Hang => return sleep(Duration::from_secs(120)).await,
        Provides::Drip => "HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n",
        Provides::Storm => "HTTP/1.1 429 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    };
    let _gone = stream.write_all(head.as_bytes()).await;
    while matches!(provides, Provides::Drip) && stream.write_all(b" ").await.is_ok() {
        sleep(Duration::from_millis(200)).await;
    }
}

/// A window each period, on the second, calm and then in unrest.
struct Steady {
    timeline: Timeline,
    number: u32,
}

#[async_trait]
impl TelemetrySource for Steady {
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        if self.number == WINDOWS {
            return Err(TelemetryError::Ended);
        }
        let at = |number: u32| Timestamp::from_origin(PERIOD * number);
        let (start, end) = (at(self.number), at(self.number + 1));
        if let Some(due) = self.timeline.instant(end) {
            tokio::time::sleep_until(due.into()).await;
        }
        self.number += 1;
        // Each window is a little slower, so that there is always something new to ask.
        let slower_ms = f64::from(self.number.saturating_sub(CALM)) * 1.5;
        let rise_ms = if self.number > CALM { 20.0 + slower_ms } else { 0.0 };
        Ok(Window::probes(start, end, &[20.0 + rise_ms; 40], 0, 3)?)
    }
}

/// Carries nothing out, so that there is always something to decide.
struct Idler;

#[async_trait]
impl Executor for Idler {
    async fn scale_to(&self, _: u32) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        Ok(ReplicaCounts { ready: 3, starting: 0, draining: 0 })
    }
}

#[derive(Default)]
struct Keep(Vec<Record>);

impl Observer for Keep {
    fn on_record(&mut self, record: &Record, _: &Planner) -> Flow {
        self.0.push(record.clone());
        Flow::Continue
    }
}

fn config() -> Config {
    let advice = AdviceConfig {
        period: Duration::from_millis(100),
        heartbeat: Duration::from_millis(100),
        timeout: Duration::from_millis(2_500),
        backoff: Duration::from_millis(500)..=Duration::from_secs(2),
        ..AdviceConfig::default()
    };
    let bounds = ReplicaBounds::new(1, 8).expect("bounds");
    Config::builder(bounds).warmup_windows(4).advice(advice).build().expect("settings")
}

/// A run with this provider: its records, and how often it was asked.
async fn run(provides: Provides) -> (Vec<Record>, u32) {
    let (address, asked) = provider(provides).await;
    let config = config();
    let mut llm = LlmSettings::new(Provider::OpenAi, "m", config.thresholds());
    llm.url = format!("http://{address}/v1");
    let advisor = LlmAdvisor::new(llm).expect("settings");
    let timeline = Timeline::begin();
    let ports = Ports {
        telemetry: Box::new(Steady { timeline, number: 0 }),
        executor: Arc::new(Idler),
        advisor: Some(Arc::new(advisor)),
    };
    let mut keep = Keep::default();
    let driver = Driver::new(Planner::new(config, Heuristic), timeline);
    driver.run(ports, &mut keep, std::future::pending()).await;
    (keep.0, asked.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_drips_or_storms_slips_no_period_and_lets_no_queue_grow() {
    let [hang, drip, storm] = [Provides::Hang, Provides::Drip, Provides::Storm];
    let (hanging, dripping, storming) = tokio::join!(run(hang), run(drip), run(storm));
    for (provides, (records, asked)) in [(hang, hanging), (drip, dripping), (storm, storming)] {
        let mut windows = 0;
        let mut worst = Duration::ZERO;
        let mut decisions: Vec<&Decision> = Vec::new();
        for record in &records {
            if let Event::Observe(window) = &record.event {
                windows += 1;
                worst = worst.max(record.at.saturating_since(window.end()));
                let is_awaited = matches!(record.step, Step::Idle(Idle::Await(_)));
                let is_answered = matches!(record.step, Step::Decide(_) | Step::Consult(_));
                assert!(is_awaited || is_answered, "{provides:?}: {:?}", record.step);
            }
            if let Step::Decide(decision) = &record.step {
                decisions.push(decision);
            }
        }
        assert_eq!(windows, WINDOWS, "{provides:?}: a window was lost");
        assert!(worst <= PERIOD / 10, "{provides:?}: a window waited {worst:?} for the loop");
        // No longer without a decision than a question may be open.
        for pair in decisions.windows(2) {
            let between = pair[1].at.saturating_since(pair[0].at);
            let most = PERIOD + Duration::from_millis(2_500) + PERIOD / 10;
            assert!(between <= most, "{provides:?}: {between:?} without a decision");
        }
        assert!(asked >= 2, "{provides:?} was asked {asked} times");
        println!(
            "{provides:?}: {WINDOWS} windows, {} decisions, asked {asked} times, the latest window \
             {} ms late, 10 % are {} ms",
            decisions.len(),
            worst.as_millis(),
            (PERIOD / 10).as_millis()
        );
    }
}
