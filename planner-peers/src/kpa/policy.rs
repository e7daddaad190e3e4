//! The autoscaler as a [`Policy`].

use core::time::Duration;

use planner_core::Timestamp;
use planner_core::policy::{Policy, Proposal, Reason, View};

use super::decider::{DeciderState, Metric, Observed, Scale, Spec};
use super::error::KpaError;
use super::state::{KpaState, Sample};
use super::window::{Aggregation, BucketWindow};

/// Rule 1: the stable average asks for this count.
const RULE_STABLE: u32 = 1;
/// Rule 2: panic.
const RULE_PANIC: u32 = 2;
/// Rule 3: a higher count of the last while still holds.
const RULE_DELAY: u32 = 3;
/// Rule 4: there are no samples.
const RULE_NO_DATA: u32 = 4;
/// Rule 5: the averages ask for more, or less, than one step may change.
const RULE_RATE: u32 = 5;

/// How often it decides.
const PERIOD: Duration = Duration::from_secs(2);
/// Part of the stable window that the panic window is, in percent.
const PANIC_WINDOW_PERCENT: f64 = 10.0;
/// The range of numbers in the metric's unit.
const METRIC_MIN: f64 = 0.01;
const METRIC_MAX: f64 = 1e9;

/// The Knative Pod Autoscaler as a [`Policy`], with settings that were checked.
///
/// Give it a sample a second ([`Event::Signal`](planner_core::Event::Signal)), and a window for
/// each of its ticks of 2 s: a window teaches once, so what a second tick decides on the same
/// window is not remembered as panic. The window is asked for its ready replicas alone.
///
/// It brings rates and delays of its own: run it behind cooldowns and stabilisation of zero, or
/// both brake.
///
/// ```
/// use core::time::Duration;
/// use planner_peers::kpa::{Aggregation, Kpa, Spec};
///
/// let slow = Spec { scale_down_delay: Duration::from_secs(300), ..Spec::default() };
/// let policy = Kpa::new(slow)?.with_aggregation(Aggregation::WeightedExponential);
/// assert_eq!(policy.panic_window(), Duration::from_secs(6));
///
/// let refused = Kpa::requests_per_second(200.0, 1.5).expect_err("no utilisation");
/// assert_eq!(
///     refused.to_string(),
///     "utilisation: 1.5 is not within 0.01..=1; choose a value in that range"
/// );
/// # Ok::<(), planner_peers::kpa::KpaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kpa {
    spec: Spec,
    aggregation: Aggregation,
    stable_s: u32,
    panic_s: u32,
    starts_in_panic: bool,
}

impl Kpa {
    /// Knative's defaults, where each replica can carry `target_per_replica` requests under way
    /// and should carry `utilisation` of it, 0.01 to 1.
    ///
    /// # Errors
    ///
    /// As for [`Kpa::new`], and when `utilisation` is out of range.
    pub fn concurrency(target_per_replica: f64, utilisation: f64) -> Result<Self, KpaError> {
        Self::of(Metric::Concurrency, target_per_replica, utilisation)
    }

    /// Knative's defaults, where each replica can carry `target_per_replica` requests per second
    /// and should carry `utilisation` of it, 0.01 to 1.
    ///
    /// # Errors
    ///
    /// As for [`Kpa::new`], and when `utilisation` is out of range.
    pub fn requests_per_second(
        target_per_replica: f64,
        utilisation: f64,
    ) -> Result<Self, KpaError> {
        Self::of(Metric::RequestsPerSecond, target_per_replica, utilisation)
    }

    fn of(metric: Metric, total: f64, utilisation: f64) -> Result<Self, KpaError> {
        within("utilisation", utilisation, 0.01, 1.0)?;
        within("total_per_replica", total, METRIC_MIN, METRIC_MAX)?;
        // As in Knative, a small share of a small total is still a target.
        let target_per_replica = (total * utilisation).max(METRIC_MIN);
        Self::new(Spec { metric, target_per_replica, total_per_replica: total, ..Spec::default() })
    }

    /// These settings, a linear average, a panic window of 10 % of the stable one, and a start in
    /// panic.
    ///
    /// # Errors
    ///
    /// [`KpaError`] names the first setting that is out of range: target and total within
    /// 0.01..=1e9, the target not above the total; a burst capacity of -1 or within 0..=1e9; a
    /// panic threshold within 1.1..=10; rates above 1 and at most 1e6; a stable window of 6 s to
    /// 1 h and a delay of 0 s to 1 h, both in whole seconds.
    pub fn new(spec: Spec) -> Result<Self, KpaError> {
        let (target, total) = (spec.target_per_replica, spec.total_per_replica);
        within("target_per_replica", target, METRIC_MIN, METRIC_MAX)?;
        within("total_per_replica", total, METRIC_MIN, METRIC_MAX)?;
        if target > total {
            return Err(KpaError::TargetAboveTotal { target, total });
        }
        let burst = spec.target_burst_capacity;
        if burst != -1.0 && !(0.0..=METRIC_MAX).contains(&burst) {
            return Err(KpaError::BurstCapacity { value: burst });
        }
        within("panic_threshold", spec.panic_threshold, 1.1, 10.0)?;
        rate("max_scale_up_rate", spec.max_scale_up_rate)?;
        rate("max_scale_down_rate", spec.max_scale_down_rate)?;
        let stable_s = seconds("stable_window", spec.stable_window, 6)?;
        seconds("scale_down_delay", spec.scale_down_delay, 0)?;
        let kpa = Self {
            spec,
            aggregation: Aggregation::Linear,
            stable_s,
            panic_s: 1,
            starts_in_panic: true,
        };
        kpa.with_panic_window_percent(PANIC_WINDOW_PERCENT)
    }

    /// The same with a panic window of this share of the stable one, in whole seconds and at least
    /// one.
    ///
    /// # Errors
    ///
    /// [`KpaError::OutOfRange`] when it is not within 1..=100.
    pub fn with_panic_window_percent(mut self, percent: f64) -> Result<Self, KpaError> {
        within("panic_window_percent", percent, 1.0, 100.0)?;
        let panic_s = (f64::from(self.stable_s) * percent / 100.0).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 3600")]
        let panic_s = panic_s as u32;
        self.panic_s = panic_s.max(1);
        Ok(self)
    }

    /// The same with this way to average.
    #[must_use]
    pub const fn with_aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// The same without the fail-safe start. By default an autoscaler that starts with more than
    /// one ready replica starts in panic, because it has lost the history that would keep them:
    /// it scales nothing in for a stable window.
    #[must_use]
    pub const fn starting_calm(mut self) -> Self {
        self.starts_in_panic = false;
        self
    }

    /// Its settings.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The length of the panic window.
    pub const fn panic_window(&self) -> Duration {
        Duration::from_secs(self.panic_s as u64)
    }

    fn window(&self, window_s: u32) -> BucketWindow {
        BucketWindow::new(window_s, self.aggregation)
    }

    /// Whether `window` is one of this length under these settings.
    fn fits(&self, window: &BucketWindow, window_s: u32) -> bool {
        window.window_s() == window_s && window.aggregation() == self.aggregation
    }

    /// Both averages; `None` without samples in the stable window.
    fn observed(&self, now: Timestamp, state: &KpaState) -> Option<Observed> {
        if !self.fits(&state.stable, self.stable_s) || !self.fits(&state.panic, self.panic_s) {
            return None;
        }
        state.observed(now)
    }

    fn start(&self, view: &View<'_>) -> DeciderState {
        if self.starts_in_panic {
            DeciderState::starting(view.now, view.ready)
        } else {
            DeciderState::calm()
        }
    }
}

fn within(setting: &'static str, value: f64, min: f64, max: f64) -> Result<(), KpaError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(KpaError::OutOfRange { setting, value, min, max })
}

fn rate(setting: &'static str, value: f64) -> Result<(), KpaError> {
    if value > 1.0 && value <= 1e6 { Ok(()) } else { Err(KpaError::Rate { setting, value }) }
}

fn seconds(setting: &'static str, span: Duration, min_s: u32) -> Result<u32, KpaError> {
    let whole = u32::try_from(span.as_secs()).ok().filter(|_| span.subsec_nanos() == 0);
    whole.filter(|whole_s| (min_s..=BucketWindow::MAX_S).contains(whole_s)).ok_or_else(|| {
        let (min, max) = (min_s.into(), BucketWindow::MAX_S.into());
        KpaError::Span {
            setting,
            span,
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        }
    })
}

impl Policy for Kpa {
    type Signal = Sample;
    type State = KpaState;

    fn name(&self) -> &'static str {
        "kpa"
    }

    fn version(&self) -> u32 {
        1
    }

    fn initial_state(&self) -> KpaState {
        KpaState {
            stable: self.window(self.stable_s),
            panic: self.window(self.panic_s),
            decider: None,
            excess_burst_capacity: None,
        }
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }

    /// Records the sample. Windows that were kept under other settings start again.
    fn absorb(&self, now: Timestamp, signal: Sample, state: &mut KpaState) {
        if !self.fits(&state.stable, self.stable_s) {
            state.stable = self.window(self.stable_s);
        }
        if !self.fits(&state.panic, self.panic_s) {
            state.panic = self.window(self.panic_s);
        }
        state.stable.record(now, signal.value());
        state.panic.record(now, signal.value());
    }

    fn propose(&self, view: &View<'_>, state: &KpaState) -> Proposal {
        let observed = self.observed(view.now, state);
        let scale = match &state.decider {
            Some(decider) => self.spec.preview(view.now, view.ready, observed, decider),
            None => self.spec.preview(view.now, view.ready, observed, &self.start(view)),
        };
        let Some(scale) = scale else {
            return Proposal::exactly(view.current).because(Reason::Rule(RULE_NO_DATA));
        };
        explained(scale)
    }

    fn learn(&self, view: &View<'_>, _target: u32, state: &mut KpaState) {
        let observed = self.observed(view.now, state);
        let decider = state.decider.get_or_insert_with(|| self.start(view));
        if let Some(scale) = self.spec.scale(view.now, view.ready, observed, decider) {
            state.excess_burst_capacity = Some(scale.excess_burst_capacity);
        }
    }

    fn rebase(&self, behind: Duration, state: &mut KpaState) {
        state.stable.rebase(behind);
        state.panic.rebase(behind);
        if let Some(decider) = &mut state.decider {
            decider.rebase(behind);
        }
    }
}

/// The count with the rules that made it.
fn explained(scale: Scale) -> Proposal {
    let mut proposal = Proposal::exactly(scale.desired);
    if scale.delayed {
        proposal = proposal.because(Reason::Rule(RULE_DELAY));
    }
    let rule = if scale.panicking { RULE_PANIC } else { RULE_STABLE };
    proposal = proposal.because(Reason::Rule(rule));
    if scale.limited {
        proposal = proposal.because(Reason::Rule(RULE_RATE));
    }
    proposal
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use planner_core::{Config, Decision, Event, Planner, ReplicaBounds, Step, Window};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn policy() -> Kpa {
        Kpa::requests_per_second(100.0, 0.5).expect("valid")
    }

    fn sample() -> Sample {
        Sample::new(30.0).expect("a rate")
    }

    /// The policy, and its state after the last window that it learned from.
    struct Watched {
        kpa: Kpa,
        state: RefCell<KpaState>,
    }

    impl Policy for Watched {
        type Signal = Sample;
        type State = KpaState;

        fn name(&self) -> &'static str {
            self.kpa.name()
        }
        fn version(&self) -> u32 {
            self.kpa.version()
        }
        fn initial_state(&self) -> KpaState {
            self.kpa.initial_state()
        }
        fn period(&self) -> Option<Duration> {
            self.kpa.period()
        }
        fn absorb(&self, now: Timestamp, signal: Sample, state: &mut KpaState) {
            self.kpa.absorb(now, signal, state);
        }
        fn propose(&self, view: &View<'_>, state: &KpaState) -> Proposal {
            self.kpa.propose(view, state)
        }
        fn learn(&self, view: &View<'_>, target: u32, state: &mut KpaState) {
            self.kpa.learn(view, target, state);
            self.state.replace(state.clone());
        }
    }

    fn planner(kpa: Kpa) -> Planner<Watched> {
        let bounds = ReplicaBounds::new(1, 100).expect("valid");
        let state = RefCell::new(kpa.initial_state());
        Planner::new(Config::builder(bounds).build().expect("valid"), Watched { kpa, state })
    }

    fn state(planner: &Planner<Watched>) -> KpaState {
        planner.policy().state.borrow().clone()
    }

    /// One tick of 2 s that ends at `second`: a sample a second if there is one, a window, a wake.
    fn tick(
        planner: &mut Planner<Watched>,
        second: u64,
        ready: u32,
        rate: Option<f64>,
    ) -> Decision {
        for second in [second - 1, second] {
            if let Some(sample) = rate.and_then(Sample::new) {
                let _ = planner.step(at(second), Event::Signal(sample));
            }
        }
        let window = Window::probes(at(second - 2), at(second), &[20.0; 40], 0, ready);
        let _ = planner.step(at(second), Event::Observe(window.expect("a window")));
        match planner.step(at(second), Event::Wake) {
            Step::Decide(decision) => decision,
            other => panic!("a tick is due: {other:?}"),
        }
    }

    fn rules(decision: &Decision) -> (u32, Vec<Reason>) {
        let proposal = &decision.derivation.proposal;
        (proposal.preferred, proposal.reasons.iter().copied().collect())
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let spec = Spec::default();
        let (short, uneven) = (Duration::from_secs(5), Duration::from_millis(6_500));
        let cases = [
            ("target_per_replica", Spec { target_per_replica: 0.0, ..spec }),
            ("target_per_replica", Spec { target_per_replica: 101.0, ..spec }),
            ("target_per_replica", Spec { target_per_replica: f64::NAN, ..spec }),
            ("total_per_replica", Spec { total_per_replica: f64::INFINITY, ..spec }),
            ("target_burst_capacity", Spec { target_burst_capacity: -2.0, ..spec }),
            ("panic_threshold", Spec { panic_threshold: 1.0, ..spec }),
            ("max_scale_up_rate", Spec { max_scale_up_rate: 1.0, ..spec }),
            ("max_scale_down_rate", Spec { max_scale_down_rate: f64::NAN, ..spec }),
            ("stable_window", Spec { stable_window: short, ..spec }),
            ("stable_window", Spec { stable_window: uneven, ..spec }),
            ("scale_down_delay", Spec { scale_down_delay: Duration::from_secs(3_601), ..spec }),
        ];
        for (setting, spec) in cases {
            let error = Kpa::new(spec).expect_err(setting).to_string();
            assert!(error.starts_with(&format!("{setting}: ")), "{error}");
        }
        let error = policy().with_panic_window_percent(0.5).expect_err("out of range");
        assert!(error.to_string().starts_with("panic_window_percent: 0.5"), "{error}");
        assert!(Kpa::concurrency(0.001, 0.7).is_err());
    }

    #[test]
    fn without_samples_the_count_stays() {
        let mut planner = planner(policy());
        let decision = tick(&mut planner, 2, 7, None);
        assert_eq!(rules(&decision), (7, vec![Reason::Rule(RULE_NO_DATA)]));
        assert_eq!(state(&planner).excess_burst_capacity(), None);
    }

    #[test]
    fn samples_that_stop_leave_the_count_as_it_is() {
        let mut planner = planner(policy().starting_calm());
        let _ = tick(&mut planner, 2, 3, Some(140.0));
        let decision = tick(&mut planner, 64, 3, None);
        assert_eq!(rules(&decision), (3, vec![Reason::Rule(RULE_NO_DATA)]));
    }

    #[test]
    fn a_start_with_replicas_holds_them_for_a_stable_window() {
        let mut planner = planner(policy());
        for second in (2..=62).step_by(2) {
            let decision = tick(&mut planner, second, 8, Some(40.0));
            let expected = vec![Reason::Rule(RULE_PANIC)];
            assert_eq!(rules(&decision), (8, expected), "{second} s");
        }
        let decision = tick(&mut planner, 64, 8, Some(40.0));
        let expected = vec![Reason::Rule(RULE_STABLE), Reason::Rule(RULE_RATE)];
        assert_eq!(rules(&decision), (4, expected));
    }

    #[test]
    fn a_calm_start_scales_in_at_once() {
        let mut planner = planner(policy().starting_calm());
        assert_eq!(rules(&tick(&mut planner, 2, 8, Some(40.0))).0, 4);
    }

    #[test]
    fn a_surge_is_panic_and_is_remembered() {
        let mut planner = planner(policy());
        for second in (2..=60).step_by(2) {
            let _ = tick(&mut planner, second, 1, Some(40.0));
        }
        let decision = tick(&mut planner, 62, 1, Some(600.0));
        // 2 s of 600 and 4 s of 40 are 226.67 a second over 6 s: five replicas of 50.
        assert_eq!(rules(&decision), (5, vec![Reason::Rule(RULE_PANIC)]));
        assert_eq!(state(&planner).panicking_since(), Some(at(62)));
        assert_eq!(state(&planner).most_panic_replicas(), 5);
        assert_eq!(rules(&tick(&mut planner, 64, 5, Some(0.0))).0, 5);
    }

    #[test]
    fn a_delay_is_named_first() {
        let spec = *policy().spec();
        let spec = Spec { scale_down_delay: Duration::from_secs(30), ..spec };
        let mut planner = planner(Kpa::new(spec).expect("valid").starting_calm());
        let _ = tick(&mut planner, 2, 4, Some(200.0));
        for second in (4..=10).step_by(2) {
            let _ = tick(&mut planner, second, 4, Some(0.0));
        }
        let decision = tick(&mut planner, 12, 4, Some(0.0));
        let expected = [Reason::Rule(RULE_DELAY), Reason::Rule(RULE_STABLE)];
        assert_eq!((rules(&decision).0, &rules(&decision).1[..2]), (4, &expected[..]));
    }

    #[test]
    fn what_is_left_for_a_burst_is_remembered() {
        let mut planner = planner(policy());
        let _ = tick(&mut planner, 2, 5, Some(120.0));
        // Five replicas carry 500; 211 are for a burst, 120 are there.
        assert_eq!(state(&planner).excess_burst_capacity(), Some(169));
    }

    #[test]
    fn a_clock_set_back_goes_on_as_if_it_had_not_been() {
        let policy = policy();
        let mut state = policy.initial_state();
        for second in 1_000..1_010 {
            let sample = Sample::new(second as f64).expect("a rate");
            policy.absorb(at(second), sample, &mut state);
        }
        state.decider = Some(DeciderState::panicking(at(1_008), 3));
        let mut set_back = state.clone();
        policy.rebase(Duration::from_secs(900), &mut set_back);
        policy.absorb(at(1_010), sample(), &mut state);
        policy.absorb(at(110), sample(), &mut set_back);
        assert_eq!(set_back.observed(at(110)), state.observed(at(1_010)));
        assert_eq!(set_back.panicking_since(), Some(at(108)));
    }

    #[test]
    fn windows_of_other_settings_are_not_taken_for_its_own() {
        let mut state = policy().initial_state();
        policy().absorb(at(1), sample(), &mut state);
        let other = policy().with_panic_window_percent(50.0).expect("valid");
        assert_eq!(other.observed(at(1), &state), None);
        other.absorb(at(2), sample(), &mut state);
        assert_eq!(other.observed(at(2), &state).map(|it| it.panic), Some(30.0));
    }
}
