//! Runs laws on random cases, counts what was at stake, shrinks what breaks.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use planner_core::journal::Record;
use planner_core::{Config, GuardSet, NoSignal, Planner, Policy, Step, Timestamp};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::case::{Case, case_under};
use crate::disturbed::Disturbed;
use crate::plants::{self, Service};
use crate::shrink::smallest;
use crate::world::{Records, World};
use crate::{Finding, Law, Report, Standing, Verdict, twin, watch};

/// Steps that a law is checked for unless told otherwise.
const STEPS: u64 = 100_000;
/// How often what a law guards must have been at stake unless told otherwise.
const EXERCISED_MIN: u64 = 1_000;
/// Scalings that are told of those before what broke.
const SCALINGS_MAX: usize = 3;
/// How the line with them begins.
pub(crate) const BEFORE: &str = "before     ";
/// Most cases in a row that may add nothing to the count before a law counts as unexercised.
const CASES_MAX: u64 = 200_000;

/// The laws, to be checked on the policy that a function makes.
#[derive(Clone, Debug)]
pub struct Laws<F> {
    make: F,
    steps: u64,
    seed: u64,
    exercised_min: u64,
    regressions: Option<PathBuf>,
    guard_set: GuardSet,
    capacity_per_s: Option<f64>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) exercised: u64,
    pub(crate) guarded: u64,
}

/// How often what a law guards was at stake, and how often a guard had to keep it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stake {
    pub(crate) exercised: u64,
    pub(crate) guarded: u64,
}

impl Stake {
    /// Counts a decision. With all guards a law is at stake where its guard `bound`; a policy that
    /// is judged alone puts it at stake wherever its `premise` holds.
    pub(crate) fn note(&mut self, config: &Config, bound: bool, premise: bool) {
        self.exercised += u64::from(bound || premise && is_alone(config.guard_set()));
    }

    /// Counts where a guard, against what a policy alone wanted, `kept` the law.
    pub(crate) fn note_kept(&mut self, config: &Config, kept: bool) {
        self.guarded += u64::from(kept && is_alone(config.guard_set()));
    }
}

/// Whether a policy is judged by what it does alone: some guards stand back for it.
pub(crate) fn is_alone(guard_set: GuardSet) -> bool {
    guard_set != GuardSet::All
}

/// Watches a planner through a case.
pub(crate) trait Watch<P: Policy> {
    /// Before a step: `planner` stands where the event finds it.
    fn before(&mut self, _: &Planner<P>, _: Timestamp, _: &planner_core::Event) {}

    /// After it. An error is what broke the law.
    fn after(&mut self, planner: &Planner<P>, record: &Record) -> Result<(), String>;

    /// How often what the law guards was at stake.
    fn exercised(&self) -> u64;

    /// How often a guard had to keep the law.
    fn guarded(&self) -> u64 {
        0
    }
}

impl<P, F> Laws<F>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    /// The laws for the policy that `make` makes: 100 000 steps each, seed 0.
    pub const fn of(make: F) -> Self {
        Self {
            make,
            steps: STEPS,
            seed: 0,
            exercised_min: EXERCISED_MIN,
            regressions: None,
            guard_set: GuardSet::All,
            capacity_per_s: None,
        }
    }

    /// Checks each law for at least so many steps.
    #[must_use]
    pub const fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    /// Seed of the random cases: the same seed gives the same cases.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How often what a law guards must have been at stake, or it counts as unexercised.
    #[must_use]
    pub const fn exercised_min(mut self, times: u64) -> Self {
        self.exercised_min = times;
        self
    }

    /// Judges the policy behind these guards; all unless set. With fewer it is the policy alone
    /// that is judged: it is not disturbed, and laws whose guards stand back are its own to keep,
    /// within the limits that are configured.
    ///
    /// ```
    /// use planner_core::{GuardSet, Poc};
    /// use planner_laws::{Law, Laws};
    ///
    /// let alone = Laws::of(|| Poc).steps(500).exercised_min(1).guard_set(GuardSet::Peer);
    /// assert!(!alone.check_one(Law::Rate).holds());
    /// ```
    #[must_use]
    pub const fn guard_set(mut self, guard_set: GuardSet) -> Self {
        self.guard_set = guard_set;
        self
    }

    /// Each replica of a simulated service answers so many requests per second, above 0. Otherwise
    /// every service has a number of its own, which a policy with a target per replica cannot know.
    #[must_use]
    pub const fn capacity_per_s(mut self, capacity_per_s: f64) -> Self {
        self.capacity_per_s = Some(capacity_per_s);
        self
    }

    /// A file that keeps cases that broke a law, one a line; they are tried first.
    #[must_use]
    pub fn regressions(mut self, path: impl Into<PathBuf>) -> Self {
        self.regressions = Some(path.into());
        self
    }

    /// Checks every law.
    pub fn check(&self) -> Report {
        Report { findings: Law::ALL.into_iter().map(|law| self.find(law)).collect() }
    }

    /// Checks every law, under the policy's name and the settings that it was made with, in words.
    pub fn standing(&self, settings: impl Into<String>) -> Standing {
        let policy = (self.make)().name().to_owned();
        Standing { policy, settings: settings.into(), report: self.check() }
    }

    /// Checks one law.
    pub fn check_one(&self, law: Law) -> Report {
        Report { findings: vec![self.find(law)] }
    }

    fn find(&self, law: Law) -> Finding {
        let mut tally = Tally::default();
        let broken = self.remembered(law, &mut tally).or_else(|| self.search(law, &mut tally));
        let Tally { steps, exercised, guarded } = tally;
        let verdict = match broken {
            Some((case, why)) => {
                let case = serde_json::to_string(&case).unwrap_or_default();
                self.remember(law, &case);
                Verdict::Broken { why, case }
            }
            None if exercised < self.exercised_min => {
                Verdict::Unexercised { least: self.exercised_min }
            }
            None => Verdict::Holds,
        };
        Finding { law, steps, exercised, guarded, verdict }
    }

    /// Tries the cases that broke this law before.
    fn remembered(&self, law: Law, tally: &mut Tally) -> Option<(Case, String)> {
        let text = fs::read_to_string(self.regressions.as_ref()?).ok()?;
        for line in text.lines() {
            let Some((number, case)) = line.split_once(' ') else { continue };
            let Ok(case) = serde_json::from_str::<Case>(case) else { continue };
            if number == law.number().to_string()
                && let Err(why) = self.try_case(law, &case, tally)
            {
                return Some((case, why));
            }
        }
        None
    }

    fn remember(&self, law: Law, case: &str) {
        let Some(path) = &self.regressions else { return };
        let mut text = fs::read_to_string(path).unwrap_or_default();
        let line = format!("{} {case}\n", law.number());
        if !text.contains(&line) {
            text.push_str(&line);
            // A folder that cannot be written to must not hide the finding itself.
            let _kept = fs::write(path, text);
        }
    }

    /// Random cases until there were enough steps and what is at stake was at stake often enough.
    fn search(&self, law: Law, tally: &mut Tally) -> Option<(Case, String)> {
        let mut seed = [law.number(); 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(RunnerConfig::default(), random);
        let cases = case_under(self.guard_set);
        // A policy alone may never come to what a law is about: it is not worth as long a search.
        let patience = if is_alone(self.guard_set) { 4 } else { 20 };
        for number in 0..CASES_MAX {
            let enough = tally.steps >= self.steps && tally.exercised >= self.exercised_min;
            if enough || (number > 100 && tally.steps >= patience * self.steps) {
                return None;
            }
            let case = cases.new_tree(&mut runner).ok()?.current();
            if let Err(why) = self.try_case(law, &case, tally) {
                let broken = |case: &Case| self.try_case(law, case, &mut Tally::default()).err();
                return Some(smallest(case, why, broken));
            }
        }
        None
    }

    /// One case under one law. A panic breaks whatever law it happens under.
    fn try_case(&self, law: Law, case: &Case, tally: &mut Tally) -> Result<(), String> {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check_case(law, case, tally)));
        checked.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", text.unwrap_or("without a message")))
        })
    }

    fn check_case(&self, law: Law, case: &Case, tally: &mut Tally) -> Result<(), String> {
        let config = &case.config;
        let service = Service::of(case, self.capacity_per_s);
        match law {
            Law::Bounds => self.guarded(case, tally, watch::Bounds::new(config)),
            Law::Rate => self.guarded(case, tally, watch::Rate::new(config)),
            Law::Doubt => self.guarded(case, tally, watch::Doubt::new(config)),
            Law::Failure => {
                self.guarded(case, tally, watch::Failure::new(config))?;
                plants::failure((self.make)(), &service, tally)
            }
            Law::NoFlapping => {
                self.guarded(case, tally, watch::NoFlapping::new(config))?;
                plants::no_flapping((self.make)(), &service, tally)
            }
            Law::NoPoisoning => {
                self.guarded(case, tally, watch::NoPoisoning::new(config))?;
                plants::no_poisoning((self.make)(), &service, tally)?;
                plants::slow_callers((self.make)(), &service, tally)
            }
            Law::OneSidedAdvice => self.own(case, tally, watch::OneSidedAdvice::default()),
            Law::Deadline => self.own(case, tally, watch::Deadline::default()),
            Law::Idempotence => self.own(case, tally, watch::Idempotence::new(config)),
            Law::Monotone => self.own(case, tally, watch::Monotone::default()),
            Law::Explained => self.own(case, tally, watch::Explained::new(config)),
            Law::Total => self.guarded(case, tally, watch::Total::default()),
            Law::Determinism => twin::determinism(&self.make, case, tally),
            Law::RestartEquivalence => {
                twin::restart(&self.make, case, tally)?;
                plants::cold_start((self.make)(), &service, tally)
            }
            Law::Invariance => twin::invariance(&self.make, case, tally),
            Law::Budget => twin::budget(&self.make, case, tally),
            Law::NoRatchet => plants::no_ratchet((self.make)(), &service, tally),
            Law::Efficacy => plants::efficacy((self.make)(), &service, tally),
        }
    }

    /// The policy as it is.
    fn own(&self, case: &Case, tally: &mut Tally, mut law: impl Watch<P>) -> Result<(), String> {
        let mut planner = Planner::new(case.config.clone(), (self.make)());
        live(&mut planner, case, tally, &mut law).map(|_| ())
    }

    /// Behind all guards the policy with proposals of any count between its own: guards hold
    /// whatever is wanted. Where some stand back, the policy as it is.
    fn guarded<W>(&self, case: &Case, tally: &mut Tally, mut law: W) -> Result<(), String>
    where
        W: Watch<P> + Watch<Disturbed<P>>,
    {
        if is_alone(case.config.guard_set()) {
            return self.own(case, tally, law);
        }
        let policy = Disturbed::new((self.make)(), case.seed);
        let mut planner = Planner::new(case.config.clone(), policy);
        live(&mut planner, case, tally, &mut law).map(|_| ())
    }
}

/// Lets a planner live through a case under a watch.
pub(crate) fn live<P>(
    planner: &mut Planner<P>,
    case: &Case,
    tally: &mut Tally,
    law: &mut impl Watch<P>,
) -> Result<Records, String>
where
    P: Policy<Signal = NoSignal>,
{
    let mut world = World::new(case);
    let mut records = Records::new();
    let mut outcome = Ok(());
    while let (Ok(()), Some((at, event))) = (&outcome, world.next()) {
        law.before(planner, at, &event);
        let step = planner.step(at, event.clone());
        world.saw(&step);
        let record = Record { at, event, step };
        outcome = law.after(planner, &record).map_err(|why| with_scalings(why, &records));
        records.push(record);
    }
    tally.steps += records.len() as u64;
    tally.exercised += law.exercised();
    tally.guarded += law.guarded();
    outcome.map(|()| records)
}

/// What broke, and in a last line the newest scalings before it.
fn with_scalings(why: String, records: &[Record]) -> String {
    let told = |record: &Record| match &record.step {
        Step::Decide(decision) => Some((decision.derivation.current?, decision.target()?)),
        _ => None,
    };
    let mut scalings: Vec<_> = records.iter().rev().filter_map(told).take(SCALINGS_MAX).collect();
    if scalings.is_empty() {
        return why;
    }
    scalings.reverse();
    let scalings: Vec<_> = scalings.iter().map(|(from, to)| format!("{from} -> {to}")).collect();
    format!("{why}\n{BEFORE}{}", scalings.join(", "))
}
