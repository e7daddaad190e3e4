//! Decisions in words, for people; programs read the data.

use core::fmt;

use super::{Constraint, Derivation};
use crate::baseline::Lesson;
use crate::telemetry::Quality;

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboveBand => f.write_str("no scale-in above the near-baseline band"),
            Self::Advice { preferred } => {
                write!(f, "the advisor's choice; the policy preferred {preferred}")
            }
            Self::BelowMin { min } => write!(f, "at least {min}"),
            Self::Breach(breach) => write!(f, "no scale-in under a breach: {breach}"),
            Self::CooldownIn { until } => write!(f, "scale-in cooldown until {until}"),
            Self::CooldownOut { until } => write!(f, "scale-out cooldown until {until}"),
            Self::Doubt(doubt) => write!(f, "doubt: {doubt}"),
            Self::Failing { error_share } => {
                write!(f, "no scale-in while {:.1} % fail", error_share * 100.0)
            }
            Self::FlapBudget { budget, until } => {
                write!(f, "{budget} changes of direction an hour are spent until {until}")
            }
            Self::HoldIn => f.write_str("the operator holds scale-ins"),
            Self::HoldOut => f.write_str("the operator holds scale-outs"),
            Self::Ineffective { attempts } => {
                write!(f, "{attempts} scale-outs did not help; more would not either")
            }
            Self::OverMax { max } => write!(f, "at most {max}"),
            Self::Paused => f.write_str("paused by the operator"),
            Self::ReplicasUnknown => f.write_str("ready replicas unknown"),
            Self::Stabilisation { replicas } => write!(f, "{replicas} were proposed a moment ago"),
            Self::StaleWindow => f.write_str("window already seen"),
            Self::StepIn { least } => write!(f, "step limit, not below {least} yet"),
            Self::StepOut { most } => write!(f, "step limit, not above {most} yet"),
            Self::Unconstrained => f.write_str("unconstrained"),
            Self::Warmup => f.write_str("no scale-in before the baseline is warm"),
        }
    }
}

impl fmt::Display for Derivation {
    /// The whole argument, one stage a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = &self.window;
        writeln!(
            f,
            "window     {}: {} to {}, {} samples, {} timeouts, {} failures",
            window.seq, window.start, window.end, window.samples, window.timeouts, window.failures
        )?;
        self.fmt_measured(f)?;
        match self.quality {
            Quality::Trusted => writeln!(f, "quality    trusted")?,
            Quality::Doubtful(doubt) => writeln!(f, "quality    doubtful: {doubt}")?,
        }
        match self.estimate {
            None => writeln!(f, "baseline   warming up")?,
            Some(hint) if hint.hinted => {
                writeln!(f, "baseline   warming up, {} is hinted", hint.median)?;
            }
            Some(estimate) => writeln!(
                f,
                "baseline   {} sigma {} over {} windows",
                estimate.median, estimate.sigma, estimate.windows
            )?,
        }
        match self.lesson {
            None | Some(Lesson::Ignore | Lesson::Learn) => {}
            Some(lesson) => writeln!(f, "           this window: {lesson}")?,
        }
        self.fmt_signal(f)?;
        let band = &self.proposal;
        write!(f, "policy     {}..={}, prefers {}", band.floor, band.ceiling, band.preferred)?;
        for (index, reason) in band.reasons.iter().enumerate() {
            write!(f, "{} {reason}", if index == 0 { ":" } else { ";" })?;
        }
        writeln!(f)?;
        if let Some(verdict) = &self.advice {
            writeln!(f, "advice     {verdict}")?;
        }
        if let Some(effect) = &self.effect {
            writeln!(f, "effect     {effect}")?;
        }
        for step in &self.guards {
            write!(f, "{:<10} {} -> {}", step.stage.as_str(), step.before, step.after)?;
            match step.constraint {
                Constraint::Unconstrained => writeln!(f)?,
                constraint => writeln!(f, ": {constraint}")?,
            }
        }
        write!(f, "binding    {}", self.binding)
    }
}

impl Derivation {
    fn fmt_measured(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(latencies) = self.window.latencies {
            write!(f, "           p95 {}", latencies.p95)?;
            match (latencies.p95_low, latencies.p95_high) {
                (Some(low), Some(high)) => write!(f, " ({low} to {high})")?,
                (Some(low), None) => write!(f, " (at least {low})")?,
                (None, Some(high)) => write!(f, " (at most {high})")?,
                (None, None) => {}
            }
            if let Some(p50) = latencies.p50 {
                write!(f, ", p50 {p50}")?;
            }
            writeln!(f)?;
        }
        if let Some(traffic) = self.window.traffic {
            write!(f, "           {:.1}/s arrive", traffic.arrivals_per_s)?;
            if let Some(completions) = traffic.completions_per_s {
                write!(f, ", {completions:.1}/s are answered")?;
            }
            if let Some(in_flight) = traffic.in_flight {
                write!(f, ", {in_flight} under way")?;
            }
            writeln!(f)?;
        }
        let count = |count: Option<u32>| count.map_or(-1, i64::from);
        match (self.window.ready, self.current) {
            (None, _) => writeln!(f, "replicas   unknown"),
            (Some(ready), current) => writeln!(
                f,
                "replicas   {ready} ready, {} starting, {} ordered",
                self.window.starting.unwrap_or(0),
                count(current)
            ),
        }
    }

    fn fmt_signal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = &self.signal;
        write!(f, "signal     ")?;
        match (signal.ratio, signal.z) {
            (Some(ratio), Some(z)) => write!(f, "{ratio:.2}x baseline, z {z:.1}")?,
            _ => write!(f, "no comparison")?,
        }
        for (set, name) in [
            (signal.near, ", near"),
            (signal.suspect, ", suspect"),
            (signal.queued, ", requests wait"),
            (signal.early, ", beyond advised thresholds"),
            (signal.failing, ", failing"),
        ] {
            if set {
                f.write_str(name)?;
            }
        }
        match signal.breach {
            Some(breach) => writeln!(f, ", BREACH: {breach}"),
            None => writeln!(f),
        }
    }
}
