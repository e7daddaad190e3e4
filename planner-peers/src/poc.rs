//! The proof of concept's planner, whole: a reference to compare with, not one to use.
//!
//! A deterministic state machine from the text of an alert to what is published. [`Planner`] holds
//! the settings by their names and the state; time, the heartbeat's jitter and the model's replies
//! are arguments. [`Executor`] is its counterpart on the other side of the bus, over a list of
//! container names.
//!
//! Kept as it was, defects included:
//!
//! - The baseline is the median of the last `HIST_WINDOWS` p95s, the present one and every breach
//!   included; σ is 1.4826 MAD. A p95 is remembered before a bad `replicas` is refused, and a
//!   missing p95 is 0. `IDLE_HINT_MS` stands in for a baseline of 0 until it is warm.
//! - Rules and bands are those of [`PocSettings`](planner_core::policy::PocSettings).
//! - One cooldown for every action, from the moment of publishing; the result is never read.
//! - The model is asked when the band, the count or the near windows changed, or at a heartbeat
//!   that only successes move; a change whose call is skipped is forgotten. The bucket holds
//!   `LLM_RPM` tokens, so below one a minute there is never a call. A call blocks: the clock goes
//!   on by its latency, and alerts wait.
//! - Status 429 backs off by `Retry-After` in seconds, negative ones included, or by doubling up to
//!   16 times the base; any other failure does not. A reply without text, without an action or
//!   with an unknown one is a `noop` that silences the heuristic; bounds and warm-up are not
//!   applied to what a model says.
//! - Values are converted as its language does: `true` is 1, `" 2 "` is 2, `"2.9"` is no count.
//!
//! Different: the texts of errors and failures are ours. Integers beyond 64 bits are taken for the
//! nearest number that fits, half a surrogate pair becomes U+FFFD, and what is nested more than 500
//! deep is no JSON. With a NaN among the p95s its median depended on the order of arrival; here NaN
//! sorts by its sign, beyond infinity. The prompt's text is left out: [`Request`] has the numbers
//! that went with it.
//!
//! [`planner_core::policy::Poc`] is the same heuristic as a policy that can be run: live, in shadow
//! or in the lab. It keeps the rules but not what made them dangerous: the baseline is the core's
//! (breaches are quarantined, the present window is left out), near windows count only once there
//! are `LOW_NEED_N` of them, cooldowns, bounds and steps are the guards', and a model is asked
//! through the gateway. [`Whole`] is this planner as a policy, without a model and behind the same
//! guards, for whoever wants to see in the lab what the difference is worth.
//!
//! ```
//! use planner_peers::poc::{Action, Arrival, Message, Planner, Settings};
//!
//! let settings = Settings { warmup_windows: 3, ..Settings::default() };
//! let mut planner = Planner::new(settings, 1_700_000_000.0);
//! let mut last = None;
//! for (window, p95_ms) in [40.0, 40.1, 40.0, 46.2].into_iter().enumerate() {
//!     let alert = format!(r#"{{"kind":"latency_metrics","p95_ms":{p95_ms},"replicas":2}}"#);
//!     let arrival = Arrival::at(1_700_000_003.0 + 3.0 * window as f64);
//!     last = planner.take_alone(arrival, &alert).published;
//! }
//! // Six milliseconds more than usual, and it scales out.
//! let Some(Message::Plan(plan)) = last else { panic!("a plan") };
//! assert_eq!(plan.decision.action, Action::ScaleUp);
//! assert_eq!(plan.decision.reason, "1.2x baseline (no_llm_key)");
//! ```

mod answer;
mod assessment;
mod call;
mod executor;
mod message;
mod planner;
mod python;
mod settings;
mod value;
mod whole;

pub use assessment::{Assessment, Band, StateKey};
pub use call::{
    Backoff, Bucket, Exchange, MAX_OUTPUT_TOKENS, RESPONSE_MIME_TYPE, Reply, Request, TEMPERATURE,
};
pub use executor::{Executor, Outcome, Status};
pub use message::{Action, Decision, Message, Plan, Telemetry};
pub use planner::{Arrival, Planner, State, Step};
pub use settings::Settings;
pub use value::Value;
pub use whole::Whole;
