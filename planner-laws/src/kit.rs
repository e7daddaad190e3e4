//! Runs laws on random cases, counts what was at stake, shrinks what breaks.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use planner_core::journal::Record;
use planner_core::{NoSignal, Planner, Policy, Timestamp};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::case::{Case, case};
use crate::disturbed::Disturbed;
use crate::world::{Records, World};
use crate::{Finding, Law, Report, Verdict, plants, twin, watch};

/// Steps that a law is checked for unless told otherwise.
const STEPS: u64 = 100_000;
/// How often what a law guards must have been at stake unless told otherwise.
const EXERCISED_MIN: u64 = 1_000;
/// Tries to make a broken case smaller.
const SHRINKS_MAX: u32 = 4_000;
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
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) exercised: u64,
}

/// Watches a planner through a case.
pub(crate) trait Watch<P: Policy> {
    /// Before a step: `planner` stands where the event finds it.
    fn before(&mut self, _: &Planner<P>, _: Timestamp, _: &planner_core::Event) {}

    /// After it. An error is what broke the law.
    fn after(&mut self, planner: &Planner<P>, record: &Record) -> Result<(), String>;

    /// How often what the law guards was at stake.
    fn exercised(&self) -> u64;
}

impl<P, F> Laws<F>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    /// The laws for the policy that `make` makes: 100 000 steps each, seed 0.
    pub const fn of(make: F) -> Self {
        Self { make, steps: STEPS, seed: 0, exercised_min: EXERCISED_MIN, regressions: None }
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

    /// Checks one law.
    pub fn check_one(&self, law: Law) -> Report {
        Report { findings: vec![self.find(law)] }
    }

    fn find(&self, law: Law) -> Finding {
        let mut tally = Tally::default();
        let broken = self.remembered(law, &mut tally).or_else(|| self.search(law, &mut tally));
        let Tally { steps, exercised } = tally;
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
        Finding { law, steps, exercised, verdict }
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
        let cases = case();
        for number in 0..CASES_MAX {
            let enough = tally.steps >= self.steps && tally.exercised >= self.exercised_min;
            if enough || (number > 100 && tally.steps >= 20 * self.steps) {
                return None;
            }
            let mut tree = cases.new_tree(&mut runner).ok()?;
            let Err(mut why) = self.try_case(law, &tree.current(), tally) else { continue };
            let mut smallest = tree.current();
            for _ in 0..SHRINKS_MAX {
                if !tree.simplify() {
                    break;
                }
                match self.try_case(law, &tree.current(), &mut Tally::default()) {
                    Err(still) => (smallest, why) = (tree.current(), still),
                    Ok(()) if !tree.complicate() => break,
                    Ok(()) => {}
                }
            }
            return Some((smallest, why));
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
        match law {
            Law::Bounds => self.disturbed(case, tally, watch::Bounds::new(config)),
            Law::Rate => self.disturbed(case, tally, watch::Rate::new(config)),
            Law::Doubt => self.disturbed(case, tally, watch::Doubt::new(config)),
            Law::Failure => self.disturbed(case, tally, watch::Failure::new(config)),
            Law::NoFlapping => {
                self.disturbed(case, tally, watch::NoFlapping::new(config))?;
                plants::no_flapping((self.make)(), case, tally)
            }
            Law::NoPoisoning => {
                self.disturbed(case, tally, watch::NoPoisoning::new(config))?;
                plants::no_poisoning((self.make)(), case, tally)
            }
            Law::OneSidedAdvice => self.own(case, tally, watch::OneSidedAdvice::default()),
            Law::Deadline => self.own(case, tally, watch::Deadline::default()),
            Law::Idempotence => self.own(case, tally, watch::Idempotence::new(config)),
            Law::Monotone => self.own(case, tally, watch::Monotone::default()),
            Law::Explained => self.own(case, tally, watch::Explained::new(config)),
            Law::Total => self.disturbed(case, tally, watch::Total::default()),
            Law::Determinism => twin::determinism(&self.make, case, tally),
            Law::RestartEquivalence => twin::restart(&self.make, case, tally),
            Law::Invariance => twin::invariance(&self.make, case, tally),
            Law::Budget => twin::budget(&self.make, case, tally),
            Law::NoRatchet => plants::no_ratchet((self.make)(), case, tally),
            Law::Efficacy => plants::efficacy((self.make)(), case, tally),
        }
    }

    /// The policy as it is.
    fn own(&self, case: &Case, tally: &mut Tally, mut law: impl Watch<P>) -> Result<(), String> {
        let mut planner = Planner::new(case.config.clone(), (self.make)());
        live(&mut planner, case, tally, &mut law).map(|_| ())
    }

    /// The policy with proposals of any count between its own: guards hold whatever is wanted.
    fn disturbed(
        &self,
        case: &Case,
        tally: &mut Tally,
        mut law: impl Watch<Disturbed<P>>,
    ) -> Result<(), String> {
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
        outcome = law.after(planner, &record);
        records.push(record);
    }
    tally.steps += records.len() as u64;
    tally.exercised += law.exercised();
    outcome.map(|()| records)
}
