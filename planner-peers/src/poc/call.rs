//! How it asks a model: what with, how often, and how long not.

use super::assessment::Assessment;
use super::settings::Settings;
use super::value::Value;

/// What it asked of the model's sampling.
pub const TEMPERATURE: f64 = 0.05;
/// The most tokens of an answer; those of thinking count too.
pub const MAX_OUTPUT_TOKENS: u32 = 128;
/// The form of an answer that it asked for.
pub const RESPONSE_MIME_TYPE: &str = "application/json";

/// The first wait is doubled this often at most.
const BACKOFF_POWER_MAX: u32 = 4;

/// What goes to the model beside the prompt.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed fields of a fixed request")]
pub struct Request {
    /// What it found.
    pub assessment: Assessment,
    /// Its settings, of which it sends some.
    pub settings: Settings,
}

impl From<&Request> for Value {
    /// The request as it is on the wire.
    fn from(Request { assessment, settings }: &Request) -> Self {
        let ratio = assessment.p95_ms / assessment.baseline_ms;
        let ratio = if assessment.baseline_ms > 0.0 { Self::Float(ratio) } else { Self::Null };
        Self::map([
            ("p95_ms", Self::Float(assessment.p95_ms)),
            ("baseline_ms", Self::Float(assessment.baseline_ms)),
            ("sigma_ms", Self::Float(assessment.sigma_ms)),
            ("pct_of_baseline", ratio),
            ("low_windows", assessment.low_windows.as_slice().into()),
            ("replicas", Self::Int(assessment.replicas)),
            ("min_replicas", Self::Int(settings.min_replicas)),
            ("max_replicas", Self::Int(settings.max_replicas)),
            ("cooldown_ok", Self::Bool(assessment.cooldown_ok)),
            ("have_baseline", Self::Bool(assessment.have_baseline)),
            (
                "params",
                Self::map([
                    ("ALPHA_UP", Self::Float(settings.alpha_up)),
                    ("BETA_DOWN", Self::Float(settings.beta_down)),
                    ("K_SIGMA", Self::Float(settings.k_sigma)),
                    ("LOW_NEED_N", count(settings.low_need_n)),
                    ("WARMUP_WINDOWS", count(settings.warmup_windows)),
                ]),
            ),
        ])
    }
}

/// A count as a number.
fn count(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed outcomes of a fixed program")]
pub enum Reply {
    /// Nobody was there.
    ConnectionError,
    /// A response of any status.
    Response {
        /// HTTP status.
        status: u16,
        /// The header `Retry-After`.
        retry_after: Option<String>,
        /// The body.
        body: String,
    },
    /// It waited in vain, for 20 s.
    Timeout,
}

/// A reply, and how long it took.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed fields of a fixed exchange")]
pub struct Exchange {
    /// Seconds for which the call blocked.
    pub latency_s: f64,
    /// What came of it.
    pub reply: Reply,
}

/// A token for each call, refilled evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "the fixed state of a fixed program")]
pub struct Bucket {
    /// Tokens at the last look.
    pub tokens: f64,
    /// The last look, in Unix seconds.
    pub updated_s: f64,
}

impl Bucket {
    /// Takes a token if there is a whole one. Asking alone refills.
    pub(super) fn take(&mut self, now_s: f64, per_minute: f64) -> bool {
        let minutes = (now_s - self.updated_s) / 60.0;
        self.tokens = least(per_minute, self.tokens + per_minute * minutes);
        self.updated_s = now_s;
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

/// How long it does not ask after a status 429.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "the fixed state of a fixed program")]
pub struct Backoff {
    /// How often the next wait is doubled, 0 to 4. An answer makes it 0, but leaves the time.
    pub power: u32,
    /// Until when, in Unix seconds.
    pub until_s: f64,
}

impl Backoff {
    /// Waits as told, in seconds of any sign, or else for the next longer time.
    pub(super) fn wait(&mut self, now_s: f64, retry_after: Option<&str>, settings: &Settings) {
        let told = retry_after.and_then(|text| super::python::float(&text.into()));
        let doubled = settings.llm_backoff_base_sec * f64::from(1_u32 << self.power.min(31));
        self.until_s = now_s + least(told.unwrap_or(doubled), settings.llm_backoff_max_sec);
        self.power = (self.power + 1).min(BACKOFF_POWER_MAX);
    }
}

/// The lesser of two; the first where they cannot be compared.
fn least(first: f64, second: f64) -> f64 {
    if second < first { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_one_call_a_minute_is_none_ever() {
        let mut bucket = Bucket { tokens: 0.5, updated_s: 0.0 };
        assert!(!bucket.take(1e9, 0.5));
        assert_eq!(bucket, Bucket { tokens: 0.5, updated_s: 1e9 });
    }

    #[test]
    fn a_bucket_holds_a_minutes_calls_and_refills_evenly() {
        let mut bucket = Bucket { tokens: 2.0, updated_s: 0.0 };
        assert_eq!([bucket.take(0.0, 2.0), bucket.take(0.0, 2.0)], [true, true]);
        assert!(!bucket.take(29.0, 2.0));
        assert!(bucket.take(30.0, 2.0));
    }

    #[test]
    fn what_is_no_number_of_seconds_doubles_the_wait_up_to_sixteen_times() {
        let settings = Settings { llm_backoff_base_sec: 2.0, ..Settings::default() };
        let mut backoff = Backoff::default();
        let odd = [None, Some(""), Some("abc"), Some("Wed, 21 Oct 2015 07:28:00 GMT"), None, None];
        let waits = odd.map(|retry_after| {
            backoff.wait(100.0, retry_after, &settings);
            backoff.until_s - 100.0
        });
        assert_eq!(waits, [2.0, 4.0, 8.0, 16.0, 32.0, 32.0]);
    }

    #[test]
    fn it_waits_as_told_up_to_its_longest_wait_and_back_into_the_past() {
        let waits = ["7", " 45.5 ", "0", "100000", "-5"].map(|told| {
            let mut backoff = Backoff::default();
            backoff.wait(100.0, Some(told), &Settings::default());
            assert_eq!(backoff.power, 1);
            backoff.until_s - 100.0
        });
        assert_eq!(waits, [7.0, 45.5, 0.0, 300.0, -5.0]);
    }
}
