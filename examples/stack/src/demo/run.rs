//! One run, from the first server to the last.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner_core::{ServiceId, Timestamp};
use planner_examples_local::program::say;
use planner_examples_local::quickstart::{
    Ended, Folder, Interrupt, Load, Plan, Recorder, View, announce, create_log, finish,
    needed_bytes, view_state,
};
use planner_examples_local::report::WindowRow;
use planner_nginx::NginxSettings;
use planner_ports::Executor as _;
use planner_redis::{Bus, RedisCounts, RedisSettings, RoutingReader};
use tokio::time::{Instant, sleep, timeout};

use super::error::DemoError;
use super::follow::Follower;
use super::image::OnEngine;
use super::key::Key;
use super::part::{FRONT, Part, Parts};
use super::servers::{free_address, make, redis, redis_with_socket};
use super::swarm::service;
use super::{EngineArgs, EngineKind};

/// How long the first replicas may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the plan to its end, or to the first interrupt.
pub(super) fn run(args: &EngineArgs, plan: &Plan) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| DemoError::File { path: PathBuf::from("threads"), cause })?;
    let ended = runtime.block_on(async {
        let mut folder = Folder::make(plan.args.out.as_deref(), needed_bytes(plan))
            .map_err(planner_examples_local::quickstart::QuickstartError::from)?;
        let (socket, program) = (&args.docker_socket, own_program()?);
        let engine = match args.kind {
            EngineKind::Docker => OnEngine::make(socket, &program).await?,
            EngineKind::Swarm => OnEngine::make_on_swarm(socket, &args.build_on, &program).await?,
        };
        let stack = folder.file("stack");
        let ended = run_on(args, plan, &engine, &mut folder, &stack).await;
        engine.remove(install(&stack.join("state")).as_deref()).await;
        ended
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// The file that this program is.
fn own_program() -> Result<PathBuf, DemoError> {
    std::env::current_exe()
        .map_err(|cause| DemoError::File { path: PathBuf::from("/proc/self/exe"), cause })
}

/// Addresses and files of a run.
struct Place {
    stack: PathBuf,
    http: SocketAddr,
    redis: SocketAddr,
    dashboard: SocketAddr,
    nginx: NginxSettings,
    settings: PathBuf,
    /// Held as long as the planner may read it.
    key: Option<Key>,
}

impl Place {
    fn choose(
        args: &EngineArgs,
        plan: &Plan,
        engine: &OnEngine,
        stack: &Path,
    ) -> Result<Self, DemoError> {
        make(&stack.join("state"))?;
        let told = |cause| DemoError::File { path: stack.to_owned(), cause };
        let free = || free_address().map_err(told);
        let http = match args.kind {
            EngineKind::Swarm => FRONT,
            EngineKind::Docker if plan.args.listen.port() == 0 => free()?,
            EngineKind::Docker => plan.args.listen,
        };
        let (redis, dashboard) = (free()?, free()?);
        let path = stack.join("nginx");
        let file = path.join("conf.d/planner-upstream.conf");
        let (config, pid) = (path.join("nginx.conf"), path.join("nginx.pid"));
        let mut nginx = NginxSettings::new(config, file, pid, free()?);
        nginx.log = Some(free()?);
        let settings = stack.join("settings.toml");
        let key = Key::of(&plan.advisor)?;
        let place = Self { stack: stack.to_owned(), http, redis, dashboard, nginx, settings, key };
        std::fs::write(&place.settings, place.settings_text(args, plan, engine))
            .map_err(|cause| DemoError::File { path: place.settings.clone(), cause })?;
        Ok(place)
    }

    /// What every program of the run reads: the settings of `quickstart`, by their names here.
    fn settings_text(&self, args: &EngineArgs, plan: &Plan, engine: &OnEngine) -> String {
        let config = &plan.config;
        let (step_out, step_in) = (config.step_out(), config.step_in());
        let log = self.nginx.log.map_or_else(String::new, |log| log.to_string());
        let text = |value: &str| toml_text(value);
        let path = |path: &Path| toml_text(&path.to_string_lossy());
        let seconds = |span: Duration| span.as_secs_f64().to_string();
        // Whoever probes nginx is on its machine, or in its container.
        let target = SocketAddr::from(([127, 0, 0, 1], self.http.port()));
        let target = if args.kind == EngineKind::Swarm { target } else { self.http };
        let mut rows = vec![
            ("service", text("app")),
            ("min_replicas", config.bounds().min().to_string()),
            ("max_replicas", config.bounds().max().to_string()),
            ("sample_interval", String::from("1")),
            ("probe_requests", String::from("2")),
            ("warmup_windows", config.warmup_windows().to_string()),
            ("cooldown_sec", seconds(config.cooldown_out())),
            ("cooldown_in_sec", seconds(config.cooldown_in())),
            ("stabilisation_sec", seconds(config.stabilisation_in())),
            ("step_out_replicas", step_out.replicas.to_string()),
            ("step_out_percent", step_out.percent.to_string()),
            ("step_out_period_sec", seconds(step_out.period)),
            ("step_in_replicas", step_in.replicas.to_string()),
            ("step_in_percent", step_in.percent.to_string()),
            ("step_in_period_sec", seconds(step_in.period)),
            ("window_age_max_sec", seconds(config.window_age_max())),
            ("startup_allowance_sec", seconds(config.startup_allowance())),
            ("target_url", text(&format!("http://{target}/"))),
            ("redis_port", self.redis.port().to_string()),
            ("lease_sec", String::from("3")),
            ("state_dir", path(&self.stack.join("state"))),
            ("docker_socket", path(&args.docker_socket)),
            ("network", text(&engine.name)),
            ("conf_dir", path(&self.stack.join("nginx/conf.d"))),
            ("nginx_conf", path(&self.stack.join("nginx/nginx.conf"))),
            ("nginx_pid", path(&self.stack.join("nginx/nginx.pid"))),
            ("nginx_status", text(&self.nginx.status.to_string())),
            ("nginx_log", text(&log)),
            ("listen", text(&self.dashboard.to_string())),
        ];
        rows.extend(match args.kind {
            EngineKind::Docker => [
                ("replica_image", text(&engine.name)),
                ("replica_command", text(&app_arguments(plan).join(" "))),
            ],
            EngineKind::Swarm => [("engine", text("swarm")), ("swarm_service", text(&engine.name))],
        });
        // The key itself goes before a file that would name another.
        let is_named = |name: &String| self.key.is_none() || name != "llm_api_key_file";
        let set = plan.advisor.set().filter(|(name, _)| is_named(name));
        let advisor: Vec<(String, &str)> = set.collect();
        rows.extend(advisor.iter().map(|(name, value)| (name.as_str(), text(value))));
        rows.extend(self.key.iter().map(|key| ("llm_api_key_file", path(&key.path))));
        let lines: Vec<String> =
            rows.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        lines.concat()
    }
}

/// The toy service, reachable on the engine's network.
pub(super) fn app_arguments(plan: &Plan) -> Vec<String> {
    let (workers, ms) = (plan.args.app_workers, plan.args.app_ms);
    format!("app --listen 0.0.0.0 --port 8080 --workers {workers} --ms {ms}")
        .split(' ')
        .map(String::from)
        .collect()
}

/// A text as TOML writes it.
fn toml_text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// This run's installation, once its executor has written it down.
fn install(state: &Path) -> Option<String> {
    let text = std::fs::read(state.join("executor.json")).ok()?;
    let stored: serde_json::Value = serde_json::from_slice(&text).ok()?;
    stored.get("install")?.as_str().map(str::to_owned)
}

/// Starts everything, runs the load, ends everything but what is on the engine.
async fn run_on(
    args: &EngineArgs,
    plan: &Plan,
    engine: &OnEngine,
    folder: &mut Folder,
    stack: &Path,
) -> Result<(), DemoError> {
    let interrupt = Interrupt::listen()?;
    let mut place = Place::choose(args, plan, engine, stack)?;
    folder.keep();
    let redis = match args.kind {
        EngineKind::Docker => redis(stack, place.redis).await?,
        EngineKind::Swarm => {
            service(engine, plan).await?;
            redis_with_socket(stack, place.redis).await?
        }
    };
    let (program, settings) = (own_program()?, place.settings.clone());
    let mut parts = Parts::new(args.kind, engine, &program, stack, &settings);
    let (nginx, http) = parts.nginx(place.http, &place.nginx).await?;
    place.http = http;
    let (watcher, executor) = (parts.start("watcher").await?, parts.start("executor").await?);
    let bus = bus(place.redis).await?;
    wait_until_routed(&bus, plan.args.min, &stack.join("executor.log")).await?;
    let counts = RedisCounts::new(bus);
    let (monitor, planner) = (parts.start("monitor").await?, parts.start("planner").await?);
    let dashboard = parts.start("dashboard").await?;
    let ended = run_load(plan, folder, &place, &counts, interrupt).await;
    for part in [dashboard, planner, monitor, executor, watcher, nginx, Part::Process(redis)] {
        part.end().await;
    }
    ended
}

async fn bus(address: SocketAddr) -> Result<Bus, DemoError> {
    let service = ServiceId::new("app").map_err(|error| DemoError::Settings(error.to_string()))?;
    let settings = RedisSettings::new(format!("redis://{address}/"), service);
    Bus::open(settings).await.map_err(|error| DemoError::Settings(error.to_string()))
}

/// Waits until the load balancer serves the first replicas, which is more than that they are ready.
async fn wait_until_routed(bus: &Bus, replicas: u32, log: &Path) -> Result<(), DemoError> {
    let mut routings = RoutingReader::new(bus);
    let routed = async {
        // A loss of the connection is told once, and reading goes on.
        while routings.next().await.map_or(0, |routing| routing.addrs.len()) < replicas as usize {}
    };
    timeout(READY_WITHIN, routed).await.map_err(|_| DemoError::NoReplica {
        replicas,
        waited: READY_WITHIN,
        log: log.to_owned(),
    })
}

/// Runs the load while the journal is followed, and writes down what came of it.
async fn run_load(
    plan: &Plan,
    folder: &Folder,
    place: &Place,
    counts: &RedisCounts,
    mut interrupt: Interrupt,
) -> Result<(), DemoError> {
    let mut follower = Follower::of(&place.stack.join("state"));
    // The planner's time is known from its first record on.
    let mut early = Vec::new();
    let end = Instant::now() + READY_WITHIN;
    while early.is_empty() && Instant::now() < end {
        sleep(LOOK).await;
        early = follower.news();
    }
    let load_start = early.last().map_or(Timestamp::ORIGIN, |record| record.at);
    let log = folder.file("requests.jsonl");
    let followed = create_log(&log)?;
    let mut load = Load::start(plan, place.http, &log)?;
    let state = view_state(plan, place.http);
    announce(plan, &folder.file(""), &state);
    if !plan.args.json {
        say(&format!("dashboard on http://{}/\n", place.dashboard));
    }
    let view = if plan.args.json { View::None } else { View::of_stdout() };
    let mut recorder = Recorder::new(None, plan.config.clone(), load_start, state, view);
    recorder.follow(followed);
    let began = Instant::now();
    let mut interrupted = false;
    loop {
        let is_over = tokio::select! {
            () = interrupt.wait() => { interrupted = true; true }
            () = load.ended() => true,
            () = sleep(LOOK) => false,
        };
        for record in follower.news() {
            let _nothing_breaks_it = recorder.take(&record);
        }
        if is_over {
            break;
        }
    }
    load.finish().await?;
    let journal = folder.file("journal.jsonl");
    if let Some(path) = follower.path() {
        std::fs::copy(path, &journal)
            .map_err(|cause| DemoError::File { path: journal.clone(), cause })?;
    }
    let replica_seconds = recorder.rows.windows.iter().map(replicas).sum();
    // Where nobody says how many there are, the last window does.
    let seen = recorder.rows.windows.last().and_then(|window| window.ready);
    let ready = counts.counts().await.map(|counts| counts.ready).ok().or(seen);
    let ended = Ended {
        plan,
        rows: recorder.rows,
        replica_seconds,
        final_replicas: ready.unwrap_or(0),
        duration_s: began.elapsed().as_secs_f64(),
        interrupted,
        journal: &journal,
        requests_log: &log,
    };
    Ok(finish(plan, folder, ended)?)
}

/// Replicas of a window, which is one second long.
fn replicas(window: &WindowRow) -> f64 {
    f64::from(window.ready.unwrap_or(0) + window.starting.unwrap_or(0))
}
