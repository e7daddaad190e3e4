//! Windows from the channel of alerts.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use planner_core::Window;
use planner_ports::{TelemetryError, TelemetrySource, Timeline};

use crate::wire::{Alert, Clock, Heard, WireError, wall_now};
use crate::{Bus, BusError, Channel, Reader};

/// What is asked, as errors name it.
const ORIGIN: &str = "the channel of alerts";
/// Age in seconds beyond which what a stream holds at the start is left out.
const HISTORY_MAX_S: f64 = 60.0;
/// Least time between two reports of refused alerts.
const REPORT: Duration = Duration::from_secs(60);

/// A monitor's windows, ours or the proof of concept's.
#[derive(Debug)]
pub struct RedisTelemetry {
    reader: Reader,
    bus: Bus,
    clock: Clock,
    /// Whether nothing has come yet.
    first: bool,
    /// By what the last alert is known again.
    last: Option<(Option<u64>, f64)>,
    refused: u64,
    reported: Option<Instant>,
}

impl RedisTelemetry {
    /// Follows the alerts, beginning with the newest one if it is not over a minute old. To be
    /// called within a tokio runtime.
    pub fn new(bus: &Bus, timeline: Timeline) -> Self {
        Self {
            reader: Reader::follow(bus, Channel::Alerts, 1),
            bus: bus.clone(),
            clock: Clock::new(timeline),
            first: true,
            last: None,
            refused: 0,
            reported: None,
        }
    }

    /// How many alerts were refused since the start.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The window of an alert; `None` when it is nothing to us.
    fn judge(&mut self, bytes: &[u8]) -> Result<Option<Window>, WireError> {
        let Heard::Message(alert) = Alert::parse(bytes)? else { return Ok(None) };
        let first = std::mem::take(&mut self.first);
        let seq = alert.detail.as_ref().map(|detail| detail.seq);
        let ours = alert.detail.as_ref().is_none_or(|detail| detail.service == *self.bus.service());
        if !ours || self.last == Some((seq, alert.ts)) {
            return Ok(None);
        }
        if first && wall_now() - alert.ts > HISTORY_MAX_S {
            return Ok(None);
        }
        let window = alert.to_window(&self.clock)?;
        self.last = Some((seq, alert.ts));
        Ok(Some(window))
    }
}

#[async_trait]
impl TelemetrySource for RedisTelemetry {
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        loop {
            let entry = self.reader.next().await.map_err(|error| match error {
                BusError::Ended => TelemetryError::Ended,
                other => unavailable(&other),
            })?;
            match self.judge(&entry.bytes) {
                Ok(Some(window)) => return Ok(window),
                Ok(None) => {}
                Err(error) => {
                    self.refused += 1;
                    if self.reported.is_none_or(|at| at.elapsed() >= REPORT) {
                        self.reported = Some(Instant::now());
                        return Err(unavailable(&error));
                    }
                }
            }
        }
    }
}

fn unavailable(cause: &dyn std::error::Error) -> TelemetryError {
    TelemetryError::Unavailable { origin: ORIGIN, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use planner_core::{ServiceId, Timestamp};

    use super::*;
    use crate::RedisSettings;

    async fn telemetry() -> RedisTelemetry {
        let shop = ServiceId::new("shop").expect("a name");
        let bus = Bus::open(RedisSettings::new("redis://127.0.0.1:1/", shop)).await;
        RedisTelemetry::new(&bus.expect("settings"), Timeline::begin())
    }

    fn old(ts: f64) -> Vec<u8> {
        format!(
            "{{\"kind\":\"latency_metrics\",\"window_sec\":3,\"requests\":40,\
             \"success_rate\":1.0,\"p95_ms\":51.1,\"replicas\":2,\"ts\":{ts}}}"
        )
        .into_bytes()
    }

    #[tokio::test]
    async fn an_alert_that_is_repeated_or_another_services_is_left_out() {
        let mut telemetry = telemetry().await;
        let now = wall_now();
        assert!(telemetry.judge(&old(now)).expect("legal").is_some());
        assert_eq!(telemetry.judge(&old(now)), Ok(None));
        assert!(telemetry.judge(&old(now + 1.0)).expect("legal").is_some());
        let window = Window::builder(7, Timestamp::ORIGIN, Timestamp::ORIGIN).build();
        let window = window.expect("a window");
        let clock = telemetry.clock;
        let mut of = |service: &str| {
            let service = ServiceId::new(service).expect("a name");
            let text = Alert::of_window(&window, &clock, &service, "").write();
            telemetry.judge(text.as_bytes()).expect("legal").is_some()
        };
        assert!(!of("search"));
        assert!(of("shop"));
    }

    #[tokio::test]
    async fn only_at_the_start_an_old_alert_is_left_out() {
        let mut telemetry = telemetry().await;
        assert_eq!(telemetry.judge(&old(wall_now() - 61.0)), Ok(None));
        assert!(telemetry.judge(&old(wall_now() - 60.5)).expect("legal").is_some());
    }

    #[tokio::test]
    async fn an_alert_from_the_future_is_refused() {
        assert!(telemetry().await.judge(&old(wall_now() + 60.0)).is_err());
    }
}
