//! Between a window and its alert.

use planner_core::{Latencies, Latency, ServiceId, Traffic, Window};

use super::{Alert, Clock, Detail, DetailLatencies, DetailTraffic, WireError};

pub(super) fn to_alert(
    window: &Window,
    clock: &Clock,
    service: &ServiceId,
    endpoint: String,
) -> Alert {
    let latencies = window.latencies();
    let millis = |latency: Option<Latency>| latency.map(Latency::as_millis);
    let end_ts = clock.wall(window.end());
    let window_s = window.length().as_secs_f64();
    let idle = window.samples() == 0 && window.is_census();
    // High enough that nobody takes a window without an answer for an idle one.
    let substitute_ms = if idle { 0.0 } else { (window_s * 1e3).min(Latency::MAX_MS) };
    let share = window.error_share().map_or(1.0, |errors| 1.0 - errors);
    Alert {
        endpoint,
        window_s,
        requests: window.samples(),
        success_rate: (share * 1e3).round() / 1e3,
        avg_ms: millis(latencies.and_then(|all| all.avg())),
        p95_ms: Some(latencies.map_or(substitute_ms, |all| all.p95().as_millis())),
        replicas: window.ready().map(|ready| ready.max(1)),
        ts: end_ts,
        detail: Some(Detail {
            service: service.clone(),
            seq: window.seq(),
            start_ts: end_ts - window_s,
            end_ts,
            samples: window.samples(),
            timeouts: window.timeouts(),
            failures: window.failures(),
            coverage: window.coverage(),
            latencies: latencies.map(|all| DetailLatencies {
                p50_ms: millis(all.p50()),
                p95_low_ms: millis(all.p95_low()),
                p95_high_ms: millis(all.p95_high()),
            }),
            ready: window.ready(),
            starting: window.starting(),
            traffic: window.traffic().map(|traffic| DetailTraffic {
                rps: traffic.arrivals_per_s(),
                completions_rps: traffic.completions_per_s(),
                in_flight: traffic.in_flight(),
                queued: traffic.queued(),
            }),
            cpu_share: window.cpu_share(),
        }),
    }
}

pub(super) fn of_alert(alert: &Alert, clock: &Clock) -> Result<Window, WireError> {
    match &alert.detail {
        Some(detail) => of_ours(alert, detail, clock),
        None => of_old(alert, clock),
    }
}

fn of_ours(alert: &Alert, detail: &Detail, clock: &Clock) -> Result<Window, WireError> {
    let length_s = detail.end_ts - detail.start_ts;
    if !(0.0..=super::WINDOW_MAX_S).contains(&length_s) {
        let rule = "a time up to a day before end_ts";
        return Err(WireError::field("start_ts", &format!("{}", detail.start_ts), rule));
    }
    let end = clock.timestamp(detail.end_ts)?;
    let length = std::time::Duration::try_from_secs_f64(length_s).unwrap_or_default();
    let mut builder = Window::builder(detail.seq, end.saturating_sub(length), end).outcomes(
        detail.samples,
        detail.timeouts,
        detail.failures,
    );
    if let (Some(more), Some(p95_ms)) = (detail.latencies, alert.p95_ms) {
        let latency = |millis: Option<f64>| millis.map(Latency::try_from).transpose();
        builder = builder.latencies(
            Latencies::from_p95(Latency::try_from(p95_ms)?)
                .with_p95_interval(latency(more.p95_low_ms)?, latency(more.p95_high_ms)?)
                .with_p50_and_avg(latency(more.p50_ms)?, latency(alert.avg_ms)?),
        );
    }
    if let Some(coverage) = detail.coverage {
        builder = builder.coverage(coverage);
    }
    if let Some(ready) = detail.ready {
        builder = builder.ready(ready);
    }
    if let Some(starting) = detail.starting {
        builder = builder.starting(starting);
    }
    if let Some(share) = detail.cpu_share {
        builder = builder.cpu_share(share);
    }
    if let Some(traffic) = detail.traffic {
        builder = builder.traffic(of_traffic(traffic)?);
    }
    Ok(builder.build()?)
}

fn of_traffic(sent: DetailTraffic) -> Result<Traffic, WireError> {
    let mut traffic = Traffic::arriving(sent.rps)?;
    if let Some(completions) = sent.completions_rps {
        traffic = traffic.with_completions(completions)?;
    }
    if let Some(in_flight) = sent.in_flight {
        traffic = traffic.with_in_flight(in_flight);
    }
    if let Some(queued) = sent.queued {
        traffic = traffic.with_queued(queued);
    }
    Ok(traffic)
}

fn of_old(alert: &Alert, clock: &Clock) -> Result<Window, WireError> {
    let end = clock.timestamp(alert.ts)?;
    let length = std::time::Duration::try_from_secs_f64(alert.window_s).unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that was read is from 0 to 1e10 s; a cast of anything else saturates"
    )]
    let seq = (alert.ts * 1e3) as u64;
    let failed = failed(alert);
    let mut builder =
        Window::builder(seq, end.saturating_sub(length), end).outcomes(alert.requests, 0, failed);
    if let Some(p95_ms) = alert.p95_ms
        && failed == 0
        && alert.requests > 0
    {
        let avg = alert.avg_ms.map(Latency::try_from).transpose()?;
        builder = builder
            .latencies(Latencies::from_p95(Latency::try_from(p95_ms)?).with_p50_and_avg(None, avg));
    }
    if let Some(replicas) = alert.replicas {
        builder = builder.ready(replicas);
    }
    Ok(builder.build()?)
}

/// How many requests of an old alert failed; at least one where not all succeeded.
fn failed(alert: &Alert) -> u32 {
    if alert.success_rate >= 1.0 {
        return 0;
    }
    let failed = ((1.0 - alert.success_rate) * f64::from(alert.requests)).round().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a 32-bit count; a cast of anything else saturates"
    )]
    let failed = failed as u32;
    failed.min(alert.requests)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use planner_core::Timestamp;
    use planner_ports::Timeline;

    use super::super::super::wall_now;
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn clock() -> Clock {
        Clock::new(Timeline::resume(at(1_000), SystemTime::now()))
    }

    fn shop() -> ServiceId {
        ServiceId::new("shop").expect("a name")
    }

    fn there_and_back(window: &Window) -> Window {
        let clock = clock();
        let text = Alert::of_window(window, &clock, &shop(), "http://lb/").write();
        let alert = Alert::parse(text.as_bytes()).expect("legal").message().expect("an alert");
        alert.to_window(&clock).expect("a window")
    }

    fn old(text: &str) -> Window {
        let alert = Alert::parse(text.as_bytes()).expect("legal").message().expect("an alert");
        assert_eq!(alert.detail, None);
        alert.to_window(&clock()).expect("a window")
    }

    #[test]
    fn a_window_comes_back_with_every_number_exact() {
        let latency = |millis| Latency::from_millis(millis);
        let latencies = Latencies::from_p95(latency(51.123_456_789).expect("one"))
            .with_p95_interval(latency(48.1), latency(77.7))
            .with_p50_and_avg(latency(20.000_000_1), latency(26.1));
        let traffic = Traffic::arriving(12.34)
            .and_then(|traffic| traffic.with_completions(11.98))
            .expect("rates")
            .with_in_flight(7)
            .with_queued(2);
        let window = Window::builder(77, at(990), at(993))
            .outcomes(40, 1, 2)
            .latencies(latencies)
            .coverage(0.875)
            .ready(0)
            .starting(3)
            .traffic(traffic)
            .cpu_share(0.25)
            .build()
            .expect("a window");
        let back = there_and_back(&window);
        assert_eq!(back.latencies(), window.latencies());
        assert_eq!(back.traffic(), window.traffic());
        assert_eq!((back.seq(), back.samples(), back.timeouts(), back.failures()), (77, 40, 1, 2));
        assert_eq!((back.ready(), back.starting()), (Some(0), Some(3)));
        assert_eq!((back.coverage(), back.cpu_share()), (Some(0.875), Some(0.25)));
        let off = back.end().saturating_since(at(993)).max(at(993).saturating_since(back.end()));
        assert!(off < Duration::from_millis(50), "{off:?}");
        let length = back.length().as_secs_f64();
        assert!((length - 3.0).abs() < 1e-5, "{length}");
    }

    #[test]
    fn a_window_without_a_success_is_high_for_old_readers_and_has_no_latency_for_ours() {
        let window = Window::builder(1, at(990), at(993)).outcomes(40, 30, 10).ready(2).build();
        let window = window.expect("a window");
        let alert = Alert::of_window(&window, &clock(), &shop(), "");
        assert_eq!(alert.p95_ms, Some(3_000.0));
        assert_eq!(alert.success_rate, 0.0);
        let back = there_and_back(&window);
        assert_eq!(back.latencies(), None);
        assert_eq!((back.timeouts(), back.failures()), (30, 10));
    }

    #[test]
    fn only_a_counted_silence_is_idle_for_old_readers() {
        let silent = Window::builder(1, at(990), at(993)).ready(2);
        let unseen = silent.clone().build().expect("a window");
        let p95_ms = |window| Alert::of_window(window, &clock(), &shop(), "").p95_ms;
        assert_eq!(p95_ms(&unseen), Some(3_000.0));
        let traffic = Traffic::arriving(0.0).expect("a rate");
        let counted = silent.coverage(1.0).traffic(traffic).build().expect("a window");
        assert_eq!(p95_ms(&counted), Some(0.0));
    }

    #[test]
    fn an_old_window_with_failures_keeps_their_share_and_has_no_latency() {
        let ts = wall_now().floor();
        let window = old(&format!(
            "{{\"kind\":\"latency_metrics\",\"endpoint\":\"http://lb/\",\"window_sec\":3.0,\
             \"requests\":40,\"success_rate\":0.8,\"avg_ms\":44.0,\"p95_ms\":46.9,\"replicas\":2,\
             \"ts\":{ts}}}"
        ));
        assert_eq!((window.samples(), window.failures()), (40, 8));
        assert_eq!((window.latencies(), window.ready()), (None, Some(2)));
        assert_eq!(window.seq().to_string(), format!("{ts}000"));
        assert_eq!(window.length(), Duration::from_secs(3));
    }

    #[test]
    fn an_old_window_without_failures_keeps_its_latencies() {
        let window = old(&format!(
            "{{\"kind\":\"latency_metrics\",\"window_sec\":3,\"requests\":40,\
             \"success_rate\":1.0,\"avg_ms\":26.1,\"p95_ms\":51.1,\"ts\":{}}}",
            wall_now()
        ));
        let latencies = window.latencies().expect("latencies");
        assert_eq!(latencies.p95().as_millis(), 51.1);
        assert_eq!(latencies.avg().map(Latency::as_millis), Some(26.1));
        assert_eq!((latencies.p95_low(), window.ready(), window.starting()), (None, None, None));
    }

    #[test]
    fn an_alert_that_contradicts_itself_is_no_window() {
        let now = wall_now();
        let text = |samples: u32, start_ts: f64| {
            format!(
                "{{\"kind\":\"latency_metrics\",\"window_sec\":3,\"requests\":1,\"success_rate\":1,\
                 \"p95_ms\":1.0,\"ts\":{now},\"v\":1,\"service\":\"shop\",\"seq\":1,\
                 \"start_ts\":{start_ts},\"end_ts\":{now},\"samples\":{samples},\"timeouts\":2,\
                 \"failures\":0,\"has_latencies\":false}}"
            )
        };
        let refused = |text: String| {
            let alert = Alert::parse(text.as_bytes()).expect("legal").message().expect("an alert");
            alert.to_window(&clock()).expect_err("refused").to_string()
        };
        assert!(refused(text(1, now)).contains("fewer than the 2 errors"));
        let reversed = refused(text(2, now + 1.0));
        assert!(reversed.ends_with("is not a time up to a day before end_ts; fix its sender"));
    }
}
