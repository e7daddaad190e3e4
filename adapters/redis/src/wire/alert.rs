//! What the monitor saw: one window.

mod window;

use planner_core::{ServiceId, Window};

use super::fields::{Fields, NAME_MAX, need};
use super::write::Writer;
use super::{Clock, Heard, VERSION, WireError};

/// The only kind of alert there is.
const KIND: &str = "latency_metrics";
/// Longest window in seconds.
const WINDOW_MAX_S: f64 = 86_400.0;

/// A window as it is sent: the proof of concept's fields, and in [`Alert::detail`] ours.
///
/// Numbers of our own are not rounded, apart from the share of successes. A window of ours in
/// which nothing succeeded has no latency; since the proof of concept's planner reads an absent
/// one as idleness, `p95_ms` then holds the length of the window, and `has_latencies` says that it
/// is none. Only where every request was counted and there was none at all, it holds 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// What was probed, as a URL.
    pub endpoint: String,
    /// Length of the window, seconds.
    pub window_s: f64,
    /// Requests with an outcome.
    pub requests: u32,
    /// Share of them that succeeded, rounded to three decimals.
    pub success_rate: f64,
    /// Mean latency, milliseconds.
    pub avg_ms: Option<f64>,
    /// 95th percentile of the latency, milliseconds.
    pub p95_ms: Option<f64>,
    /// Replicas that serve, at least 1.
    pub replicas: Option<u32>,
    /// End of the window, seconds since 1970.
    pub ts: f64,
    /// What ours adds; absent in the proof of concept's alerts.
    pub detail: Option<Detail>,
}

/// What ours adds to an alert.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detail {
    /// Whose window it is.
    pub service: ServiceId,
    /// Number of the window.
    pub seq: u64,
    /// Begin of the window, seconds since 1970.
    pub start_ts: f64,
    /// End of the window, seconds since 1970.
    pub end_ts: f64,
    /// Requests with an outcome.
    pub samples: u32,
    /// Of these, how many ran into their deadline.
    pub timeouts: u32,
    /// Of these, how many failed otherwise.
    pub failures: u32,
    /// Share of what should have been measured, where it is known.
    pub coverage: Option<f64>,
    /// Latencies beside mean and 95th percentile; absent when nothing succeeded.
    pub latencies: Option<DetailLatencies>,
    /// Replicas that serve.
    pub ready: Option<u32>,
    /// Replicas on their way to serve.
    pub starting: Option<u32>,
    /// Real traffic, where it is known.
    pub traffic: Option<DetailTraffic>,
    /// CPU use as a share of what the ready replicas may use.
    pub cpu_share: Option<f64>,
}

/// Latencies that only ours tells, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DetailLatencies {
    /// Median.
    pub p50_ms: Option<f64>,
    /// Lower end of the 95th percentile's confidence interval.
    pub p95_low_ms: Option<f64>,
    /// Upper end of it.
    pub p95_high_ms: Option<f64>,
}

/// Real traffic as it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetailTraffic {
    /// Requests that arrived, per second.
    pub rps: f64,
    /// Requests that were answered, per second.
    pub completions_rps: Option<f64>,
    /// Requests under way at the end of the window.
    pub in_flight: Option<u32>,
    /// Of these, those that wait.
    pub queued: Option<u32>,
}

impl Alert {
    /// The alert of a window, whose times are told by `clock`.
    pub fn of_window(
        window: &Window,
        clock: &Clock,
        service: &ServiceId,
        endpoint: impl Into<String>,
    ) -> Self {
        window::to_alert(window, clock, service, endpoint.into())
    }

    /// The window of the alert. One of the proof of concept's has no confidence interval, its
    /// number is its time in milliseconds, and where something failed it has no latency, since the
    /// failures' are mixed in.
    ///
    /// # Errors
    ///
    /// [`WireError`] when the window is ahead of this machine's clock, or contradicts itself.
    pub fn to_window(&self, clock: &Clock) -> Result<Window, WireError> {
        window::of_alert(self, clock)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`WireError`] names the field, its value and the rule.
    pub fn parse(bytes: &[u8]) -> Result<Heard<Self>, WireError> {
        let fields = Fields::parse(bytes)?;
        match fields.text("kind", NAME_MAX)?.as_deref() {
            Some(KIND) => Ok(Heard::Message(Self::read(&fields)?)),
            Some("error") => Ok(Heard::Fault(super::Fault::read(&fields)?)),
            _ => Ok(Heard::Unknown),
        }
    }

    /// As it is sent.
    pub fn write(&self) -> String {
        let mut writer = Writer::new();
        writer.put("kind", KIND);
        writer.put("endpoint", &self.endpoint);
        writer.put("window_sec", &self.window_s);
        writer.put("requests", &self.requests);
        writer.put("success_rate", &self.success_rate);
        writer.put_some("avg_ms", self.avg_ms);
        writer.put_some("p95_ms", self.p95_ms);
        writer.put_some("replicas", self.replicas);
        writer.put("ts", &self.ts);
        if let Some(detail) = &self.detail {
            detail.write(&mut writer);
        }
        writer.end()
    }

    fn read(fields: &Fields) -> Result<Self, WireError> {
        let rule = "a number of seconds from 0 to 86400";
        let window_s = fields.number("window_sec", 0.0..=WINDOW_MAX_S, rule)?;
        Ok(Self {
            endpoint: fields.text("endpoint", super::fields::TEXT_MAX)?.unwrap_or_default(),
            window_s: need("window_sec", window_s)?,
            requests: need("requests", fields.count("requests")?)?,
            success_rate: need("success_rate", fields.share("success_rate")?)?,
            avg_ms: fields.millis("avg_ms")?,
            p95_ms: fields.millis("p95_ms")?,
            replicas: fields.replicas("replicas")?,
            ts: need("ts", fields.wall("ts")?)?,
            detail: Detail::read(fields)?,
        })
    }
}

impl Detail {
    fn write(&self, writer: &mut Writer) {
        writer.put("v", &VERSION);
        writer.put("service", self.service.as_str());
        writer.put("seq", &self.seq);
        writer.put("start_ts", &self.start_ts);
        writer.put("end_ts", &self.end_ts);
        writer.put("samples", &self.samples);
        writer.put("timeouts", &self.timeouts);
        writer.put("failures", &self.failures);
        writer.put_some("coverage", self.coverage);
        writer.put("has_latencies", &self.latencies.is_some());
        if let Some(latencies) = self.latencies {
            writer.put_some("p50_ms", latencies.p50_ms);
            writer.put_some("p95_low_ms", latencies.p95_low_ms);
            writer.put_some("p95_high_ms", latencies.p95_high_ms);
        }
        writer.put_some("ready", self.ready);
        writer.put_some("starting", self.starting);
        if let Some(traffic) = self.traffic {
            writer.put("rps", &traffic.rps);
            writer.put_some("completions_rps", traffic.completions_rps);
            writer.put_some("in_flight", traffic.in_flight);
            writer.put_some("queued", traffic.queued);
        }
        writer.put_some("cpu_share", self.cpu_share);
    }

    /// What ours adds; `None` where neither version nor number is there.
    fn read(fields: &Fields) -> Result<Option<Self>, WireError> {
        let (version, seq) = (fields.version()?, fields.window_number("seq")?);
        if version.is_none() && seq.is_none() {
            return Ok(None);
        }
        let latencies = need("has_latencies", fields.flag("has_latencies")?)?;
        let latencies = if latencies { Some(DetailLatencies::read(fields)?) } else { None };
        Ok(Some(Self {
            service: need("service", fields.service()?)?,
            seq: need("seq", seq)?,
            start_ts: need("start_ts", fields.wall("start_ts")?)?,
            end_ts: need("end_ts", fields.wall("end_ts")?)?,
            samples: need("samples", fields.count("samples")?)?,
            timeouts: need("timeouts", fields.count("timeouts")?)?,
            failures: need("failures", fields.count("failures")?)?,
            coverage: fields.share("coverage")?,
            latencies,
            ready: fields.replicas("ready")?,
            starting: fields.replicas("starting")?,
            traffic: DetailTraffic::read(fields)?,
            cpu_share: fields.number("cpu_share", 0.0..=100.0, "a share from 0 to 100")?,
        }))
    }
}

impl DetailLatencies {
    fn read(fields: &Fields) -> Result<Self, WireError> {
        need("p95_ms", fields.millis("p95_ms")?)?;
        Ok(Self {
            p50_ms: fields.millis("p50_ms")?,
            p95_low_ms: fields.millis("p95_low_ms")?,
            p95_high_ms: fields.millis("p95_high_ms")?,
        })
    }
}

impl DetailTraffic {
    fn read(fields: &Fields) -> Result<Option<Self>, WireError> {
        let rate = |field| fields.number(field, 0.0..=1e9, "a finite rate from 0 to 1e9 a second");
        let Some(rps) = rate("rps")? else { return Ok(None) };
        Ok(Some(Self {
            rps,
            completions_rps: rate("completions_rps")?,
            in_flight: fields.count("in_flight")?,
            queued: fields.count("queued")?,
        }))
    }
}
