//! The one table of settings: name, default, unit, what it is, and the core's name for it.

use std::fmt::Write as _;

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole number of something.
    Count,
    /// Any number: a ratio, a share, a multiple.
    Number,
    /// Words.
    Text,
    /// Words that are never shown.
    Secret,
    /// Seconds, fractions allowed.
    Seconds,
}

impl Unit {
    /// The rule for a value, as an error tells it.
    pub(super) const fn rule(self) -> &'static str {
        match self {
            Self::Count => "a whole number from 0 to 4294967295",
            Self::Number => "a number",
            Self::Seconds => "a number of seconds from 0 to 1e9",
            Self::Text | Self::Secret => "text",
        }
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the environment. In a file it is written in lower case, as a flag with dashes.
    pub name: &'static str,
    /// Its value when nobody sets it; empty for none.
    pub default: &'static str,
    /// How it is written.
    pub unit: Unit,
    /// The core's own name for it; empty when the core does not know it.
    pub core: &'static str,
    /// What it is.
    pub help: &'static str,
}

/// A row of the table.
const fn row(
    name: &'static str,
    default: &'static str,
    unit: Unit,
    core: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, default, unit, core, help }
}

use Unit::{Count, Number, Seconds, Secret, Text};

/// Every setting, in the order in which people meet them.
pub const TABLE: &[Setting] = &[
    row("MIN_REPLICAS", "2", Count, "bounds", "Fewest replicas"),
    row("MAX_REPLICAS", "10", Count, "max_replicas", "Most replicas"),
    row("SAMPLE_INTERVAL", "3", Seconds, "", "Length of a telemetry window"),
    row("PROBE_REQUESTS", "40", Count, "", "Probes in a window"),
    row("TIMEOUT_S", "2.5", Seconds, "", "A probe is given up after this long"),
    row("COOLDOWN_SEC", "20", Seconds, "cooldown_out", "Least time between two scale-outs"),
    row(
        "COOLDOWN_IN_SEC",
        "60",
        Seconds,
        "cooldown_in",
        "Least time from any scaling to a scale-in",
    ),
    row(
        "STABILISATION_SEC",
        "120",
        Seconds,
        "stabilisation_in",
        "A scale-in goes no lower than the highest proposal of this long",
    ),
    row("HIST_WINDOWS", "60", Count, "baseline_windows", "Windows that the baseline is made of"),
    row("WARMUP_WINDOWS", "12", Count, "warmup_windows", "Windows before the baseline is known"),
    row(
        "IDLE_HINT_MS",
        "0",
        Number,
        "baseline_hint_ms",
        "The usual p95, which stands in until the baseline is known; 0 for none",
    ),
    row("ALPHA_UP", "8.0", Number, "up_ratio", "A p95 of this many baselines is a breach"),
    row("BETA_DOWN", "1.10", Number, "down_ratio", "A p95 of at most this many baselines is near"),
    row("K_SIGMA", "2.5", Number, "band_sigmas", "Sigmas above the baseline that are near it"),
    row("UP_Z", "6.0", Number, "up_z", "A p95 this many sigmas above the baseline is a breach"),
    row(
        "DEVIATION_RATIO_MIN",
        "3.0",
        Number,
        "deviation_ratio_min",
        "A breach in sigmas is at least this many baselines too",
    ),
    row("LOW_NEED_N", "3", Count, "low_windows", "Near windows in a row that a scale-in needs"),
    row("SIGMA_FLOOR_MS", "2", Number, "sigma_floor_ms", "Sigma is never taken for less"),
    row(
        "SIGMA_FLOOR_SHARE",
        "0.10",
        Number,
        "sigma_floor_share",
        "... nor for less of the baseline",
    ),
    row(
        "ERROR_SHARE_MAX",
        "0.05",
        Number,
        "error_share_max",
        "Errors beyond this share are a breach",
    ),
    row("WINDOW_AGE_MAX_SEC", "30", Seconds, "window_age_max", "An older window is stale"),
    row("SAMPLES_MIN", "8", Count, "samples_min", "Samples that a window needs to be trusted"),
    row("COVERAGE_MIN", "0.5", Number, "coverage_min", "Share of the planned probes that it needs"),
    row(
        "TARGET_UTILISATION",
        "0.8",
        Number,
        "target_utilisation",
        "Share of its learned capacity that a replica should be used at",
    ),
    row(
        "CAPACITY_HINT_PER_SEC",
        "0",
        Number,
        "capacity_hint_per_s",
        "Requests a second that a replica is known to answer, before that is learned; 0: unknown",
    ),
    row(
        "SLOW_PRICE",
        "9",
        Number,
        "slow_price",
        "What a request that waits too long costs, in times what serving one costs",
    ),
    row("STEP_OUT_REPLICAS", "4", Count, "step_out.replicas", "Replicas added in a period at most"),
    row("STEP_OUT_PERCENT", "900", Count, "step_out.percent", "... or this percentage, if more"),
    row("STEP_OUT_PERIOD_SEC", "15", Seconds, "step_out.period", "That period"),
    row("STEP_IN_REPLICAS", "1", Count, "step_in.replicas", "Replicas removed in a period at most"),
    row("STEP_IN_PERCENT", "25", Count, "step_in.percent", "... or this percentage, if more"),
    row("STEP_IN_PERIOD_SEC", "60", Seconds, "step_in.period", "That period"),
    row(
        "FLAP_BUDGET_PER_HOUR",
        "10",
        Count,
        "flap_budget_per_hour",
        "Changes of direction in an hour; beyond it only a breach scales out",
    ),
    row(
        "EFFICACY_ATTEMPTS",
        "3",
        Count,
        "efficacy_attempts",
        "Scale-outs without effect after which scaling out stops",
    ),
    row(
        "STARTUP_ALLOWANCE_SEC",
        "60",
        Seconds,
        "startup_allowance",
        "An ordered replica counts for this long although it is not ready",
    ),
    row("SEED", "0", Count, "seed", "Seed of the jitter after a failed call of the advisor"),
    row("SERVICE", "app", Text, "", "The service; its replicas are SERVICE-dup-NUMBER"),
    row("TARGET_URL", "http://127.0.0.1:8080/", Text, "", "What is probed: the load balancer"),
    row("REDIS_HOST", "127.0.0.1", Text, "", "Redis"),
    row("REDIS_PORT", "6379", Count, "", "Its port"),
    row("REDIS_URL", "", Secret, "", "Redis as redis://user:password@host:port/, in place of both"),
    row("REDIS_CA_FILE", "", Text, "", "Who signs a rediss:// server's certificate, as PEM"),
    row("BUS", "streams", Text, "", "streams, or pubsub: the proof of concept's channels"),
    row("LEASE_SEC", "10", Seconds, "", "A planner that is silent for this long leads no more"),
    row("ORDER_TTL_SEC", "60", Seconds, "", "An order that is older is not obeyed"),
    row(
        "KEY_FILE",
        "",
        Text,
        "",
        "A key of planner, executor and watcher: what they say to each other is sealed",
    ),
    row("ACCEPT_OLD_ACTIONS", "no", Text, "", "yes: the executor obeys steps without a target"),
    row("STATE_DIR", "planner-state", Text, "", "Folder of what has to outlive a program"),
    row("JOURNAL_MIB", "512", Count, "", "Journals in STATE_DIR; beyond that the oldest go"),
    row("PAUSE_FILE", "", Text, "", "While this file is there nothing is scaled"),
    row("ENGINE", "docker", Text, "", "docker: containers; swarm: the tasks of SWARM_SERVICE"),
    row("SWARM_SERVICE", "", Text, "", "The Swarm's service that is scaled"),
    row("DOCKER_SOCKET", "/var/run/docker.sock", Text, "", "The engine"),
    row("TARGET_CONTAINER", "app", Text, "", "The container that replicas are copies of"),
    row("REPLICA_IMAGE", "", Text, "", "Their image, when they are copies of none"),
    row("REPLICA_COMMAND", "", Text, "", "Its command, split at blanks"),
    row("NETWORK", "", Text, "", "The network that they are reached on"),
    row("APP_PORT", "8080", Count, "", "The port that they serve on"),
    row("HEALTH_PATH", "/health", Text, "", "Answered with 200 by one that can take traffic"),
    row("READY_SEC", "60", Seconds, "", "A replica that is not ready by then is replaced"),
    row("DRAIN_SEC", "15", Seconds, "", "Time to finish for a replica out of traffic"),
    row("STOP_SEC", "10", Seconds, "", "Time to end before it is killed"),
    row("CONF_DIR", "/etc/nginx/conf.d", Text, "", "Folder of nginx's include files"),
    row("NGINX_CONF", "/etc/nginx/nginx.conf", Text, "", "nginx's configuration, to validate it"),
    row("NGINX_PID", "/run/nginx.pid", Text, "", "The file with its process number"),
    row("NGINX_STATUS", "127.0.0.1:8099", Text, "", "Where nginx tells what it serves: loopback"),
    row("NGINX_LOG", "", Text, "", "Where it reports every request, for a monitor of real traffic"),
    row("LISTEN", "127.0.0.1:8090", Text, "", "Address of the dashboard"),
    row("LLM_URL", "", Text, "", "The advisor, or record:FILE; without it or LLM_PROVIDER none"),
    row("LLM_PROVIDER", "", Text, "", "gemini, openai, anthropic or ollama; LLM_URL may tell"),
    row("LLM_MODEL", "", Text, "", "The model; LLM_URL may name one"),
    row("LLM_MODE", "advise", Text, "", "advise; shadow: on record, never applied; off: not asked"),
    row("LLM_API_KEY", "", Secret, "", "The advisor's key"),
    row("LLM_API_KEY_FILE", "", Text, "", "A file that holds it, where LLM_API_KEY does not"),
    row("LLM_MAX_OUTPUT_TOKENS", "512", Count, "", "Most tokens of an answer, thoughts included"),
    row("LLM_THINKING", "", Text, "", "How much a Gemini model may think: minimal, low, ..."),
    row("LLM_DYNAMIC_THRESHOLDS", "yes", Text, "", "no: thresholds are not asked for"),
    row("LLM_PRIVATE", "no", Text, "", "yes: LLM_URL may be in a private network, without TLS"),
    row("LLM_EXTRA_BODY", "", Text, "", "A JSON object, added to every request to the advisor"),
    row("LLM_RPM", "2", Number, "advice.period", "Calls a minute at most; below one works too"),
    row(
        "LLM_RPD",
        "0",
        Count,
        "advice.calls_per_day",
        "Calls in any 24 hours at most; 0: no limit",
    ),
    row(
        "LLM_TOKENS_PER_DAY",
        "0",
        Count,
        "advice.tokens_per_day",
        "Tokens in any 24 hours at most; 0: no limit",
    ),
    row("LLM_TIMEOUT_SEC", "2.5", Seconds, "advice.timeout", "An answer is due after this long"),
    row(
        "LLM_HEARTBEAT_SEC",
        "300",
        Seconds,
        "advice.heartbeat",
        "Asked again after this long although nothing changed",
    ),
    row(
        "LLM_BACKOFF_BASE_SEC",
        "10",
        Seconds,
        "advice.backoff.start",
        "Shortest wait after a failed call",
    ),
    row(
        "LLM_BACKOFF_MAX_SEC",
        "300",
        Seconds,
        "advice.backoff",
        "Longest wait after a failed call",
    ),
    row(
        "LLM_RESERVE",
        "0",
        Count,
        "advice.reserve",
        "Replicas beyond the fewest that an advisor may keep in calm",
    ),
    row(
        "LLM_THRESHOLDS_TTL_SEC",
        "300",
        Seconds,
        "advice.thresholds_ttl",
        "Advised thresholds stay in force for this long",
    ),
];

impl Setting {
    /// The setting of that name, in any spelling of its three.
    pub fn named(name: &str) -> Option<&'static Self> {
        let name = name.replace('-', "_");
        TABLE.iter().find(|setting| setting.name.eq_ignore_ascii_case(&name))
    }

    /// The setting that the core calls so.
    pub fn of_core(core: &str) -> Option<&'static Self> {
        TABLE.iter().find(|setting| !core.is_empty() && setting.core == core)
    }

    /// Its name in a file.
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Its name as a flag, without the leading dashes.
    pub fn flag(&self) -> String {
        self.key().replace('_', "-")
    }

    /// Whether it means something only where there is an advisor.
    pub(super) fn needs_advisor(&self) -> bool {
        let names_one = ["LLM_URL", "LLM_PROVIDER", "LLM_MODE"].contains(&self.name);
        (self.name.starts_with("LLM_") && !names_one) || self.name == "SEED"
    }

    /// The engine without which it means nothing.
    pub(super) fn engine(&self) -> Option<&'static str> {
        match self.name {
            "TARGET_CONTAINER" | "REPLICA_IMAGE" | "REPLICA_COMMAND" | "HEALTH_PATH"
            | "READY_SEC" | "STOP_SEC" => Some("docker"),
            "SWARM_SERVICE" => Some("swarm"),
            _ => None,
        }
    }
}

/// The table as the documentation shows it.
pub fn as_markdown() -> String {
    let mut text = String::from(
        "# Settings\n\nMade from the table in `examples/local/src/settings/table.rs`; do not edit \
         it here.\n\nEach is a line `name = value` in the file of `--config`, in lower case; a \
         variable of the environment, in upper case; and a flag, with dashes. A flag wins over the \
         environment, the environment over the file. A secret has no flag: everybody on the \
         machine can read command lines.\n\n| name | default | what it is | unit |\n|---|---|---|---|\n",
    );
    for setting in TABLE {
        let unit = match setting.unit {
            Count => "whole number",
            Number => "number",
            Seconds => "seconds",
            Secret => "text, never shown",
            Text => "text",
        };
        let default = match setting.default {
            "" => String::from("none"),
            default => format!("`{default}`"),
        };
        let row = [&format!("`{}`", setting.name), &default, setting.help, unit];
        let _a_string_takes_everything = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}
