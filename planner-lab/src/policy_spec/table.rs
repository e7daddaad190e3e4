//! Policies and their settings, in one table.

use std::collections::BTreeMap;

/// Shares of what a replica answers, at which an established policy may aim.
const TARGETS: [f64; 20] = [
    0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85,
    0.90, 0.95, 1.00, 1.10,
];
/// What a request that waits too long may cost, in times what serving one costs.
const PRICES: [f64; 25] = [
    1.0, 1.4, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0, 10.0, 12.0, 14.0, 17.0, 20.0, 25.0, 30.0, 36.0,
    43.0, 52.0, 62.0, 75.0, 100.0, 150.0, 250.0, 500.0,
];

/// A policy that can be named.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) kind: Kind,
    pub(super) settings: &'static [Setting],
    pub(super) knob: Option<&'static str>,
    pub(super) grid: &'static [f64],
}

/// Which policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fixed,
    Hpa,
    Keda,
    Kpa,
    Nomad,
    Planner,
    Poc,
}

/// A number that can be set.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) default: Default,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) whole: bool,
    /// The range in words, after "give".
    pub(super) rule: &'static str,
}

/// What holds when a setting is left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Default {
    /// Nothing: it has to be given.
    None,
    /// This number.
    Is(f64),
    /// That of the planner's own configuration.
    Config,
}

impl Setting {
    const fn new(
        name: &'static str,
        default: Default,
        (min, max): (f64, f64),
        rule: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { name, summary, default, min, max, whole: false, rule }
    }

    const fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// The default; that of a planner's configuration is read from it.
    pub(super) fn default_value(&self) -> f64 {
        match self.default {
            Default::Config => super::build::default_of(self.name),
            Default::Is(value) => value,
            Default::None => self.min,
        }
    }

    /// The number that a text is, when this setting may have it.
    pub(super) fn parse(&self, text: &str) -> Option<f64> {
        let value: f64 = text.parse().ok()?;
        let is_right = (self.min..=self.max).contains(&value);
        (is_right && (!self.whole || value.fract() == 0.0)).then_some(value + 0.0)
    }

    /// The nearest number that this setting may have.
    pub(super) fn clamped(&self, value: f64) -> f64 {
        let within = if value.is_nan() { self.min } else { value.clamp(self.min, self.max) };
        if self.whole { within.round() } else { within }
    }

    pub(super) fn is_missing_in(&self, given: &BTreeMap<&'static str, f64>) -> bool {
        self.default == Default::None && !given.contains_key(self.name)
    }
}

impl Entry {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }

    pub(super) fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

const fn target(default: f64) -> Setting {
    Setting::new(
        "target",
        Default::Is(default),
        (0.01, 10.0),
        "a share of what a replica answers, 0.01 to 10",
        "requests per second and replica to aim at, as a share of what a replica answers",
    )
}

const SPAN_RULE: &str = "a whole number of seconds, 0 to 86400";

const fn span(name: &'static str, summary: &'static str) -> Setting {
    Setting::new(name, Default::Config, (0.0, 86_400.0), SPAN_RULE, summary).whole()
}

const WINDOW: Setting = Setting::new(
    "window_s",
    Default::Is(5.0),
    (1.0, 600.0),
    "a whole number of seconds, 1 to 600",
    "length of a window of telemetry in seconds, and time between two decisions",
)
.whole();

/// What the guards and the policies behind all of them can be set to.
const PLANNER: [Setting; 8] = [
    Setting::new(
        "capacity_hint",
        Default::Is(1.0),
        (0.0, 10.0),
        "a share of what a replica answers, 0 to 10",
        "what it is told that a replica answers, as a share of the truth; 0 tells it nothing",
    ),
    span("cooldown_in_s", "least time from any scaling to a scale-in in seconds"),
    span("cooldown_out_s", "least time between two scale-outs in seconds"),
    Setting::new(
        "flap_budget_per_hour",
        Default::Config,
        (1.0, 3_600.0),
        "a whole number from 1 to 3600",
        "changes of direction allowed in any hour",
    )
    .whole(),
    Setting::new(
        "slow_price",
        Default::Config,
        (0.0, 1e4),
        "a number from 0 to 1e4",
        "what a request that waits too long costs, in times what serving one costs",
    ),
    span("stabilisation_in_s", "a scale-in goes no lower than the highest wish of this long"),
    Setting::new(
        "target_utilisation",
        Default::Config,
        (0.05, 1.0),
        "a share from 0.05 to 1",
        "share of its capacity that a replica should be used at",
    ),
    WINDOW,
];

/// All policies, ours first.
pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: "planner",
        summary: "our default policy behind all guards",
        kind: Kind::Planner,
        settings: &PLANNER,
        knob: Some("slow_price"),
        grid: &PRICES,
    },
    Entry {
        name: "hpa",
        summary: "Kubernetes HPA v2 on requests per second, default behaviour, every 15 s",
        kind: Kind::Hpa,
        settings: &[
            Setting::new(
                "rules",
                Default::Is(1.0),
                (0.0, 1.0),
                "0 or 1",
                "1 writes out the default scaling rules, 0 leaves them out, which limits a little \
                 differently",
            )
            .whole(),
            target(0.6),
        ],
        knob: Some("target"),
        grid: &TARGETS,
    },
    Entry {
        name: "kpa",
        summary: "Knative KPA on requests per second, stable 60 s, panic 6 s, every 2 s",
        kind: Kind::Kpa,
        settings: &[target(0.7)],
        knob: Some("target"),
        grid: &TARGETS,
    },
    Entry {
        name: "nomad",
        summary: "Nomad Autoscaler, target-value on requests per second, every 10 s",
        kind: Kind::Nomad,
        settings: &[target(0.7)],
        knob: Some("target"),
        grid: &TARGETS,
    },
    Entry {
        name: "keda",
        summary: "KEDA, one average-value trigger on requests per second, every 15 s",
        kind: Kind::Keda,
        settings: &[target(0.7)],
        knob: Some("target"),
        grid: &TARGETS,
    },
    Entry {
        name: "poc",
        summary: "the proof of concept's heuristic on latency, behind all guards",
        kind: Kind::Poc,
        settings: &[WINDOW],
        knob: None,
        grid: &[],
    },
    Entry {
        name: "fixed",
        summary: "always the same number of replicas",
        kind: Kind::Fixed,
        settings: &[Setting::new(
            "replicas",
            Default::None,
            (0.0, 10_000.0),
            "a whole number from 0 to 10000",
            "how many",
        )
        .whole()],
        knob: Some("replicas"),
        grid: &[
            1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0,
            60.0, 80.0, 100.0,
        ],
    },
];
