//! Measures the service and tells what it found, a window at a time, on `alerts`.
//!
//! With `NGINX_LOG` it reads the real traffic from nginx, and its probes only keep an idle service
//! measurable; without, the probes are what is measured.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Command;
use planner_examples_local::settings::Settings;
use planner_nginx::NginxTraffic;
use planner_ports::{Executor, TelemetrySource, Timeline};
use planner_probe::{ProbeSettings, Prober};
use planner_redis::wire::{Alert, Clock};
use planner_redis::{Channel, RedisCounts};

use crate::parts;
use crate::program::{Context, Failure};

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("monitor")
        .about("Measures a service through its load balancer and tells each window on Redis")
        .after_help(
            "Probes TARGET_URL, PROBE_REQUESTS times a SAMPLE_INTERVAL, open loop: a slow service \
             cannot stretch a window. With NGINX_LOG and NGINX_STATUS it reads nginx's real \
             traffic, as the watcher's file tells nginx to report it.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let settings = &context.settings;
    let bus = parts::bus(settings).await?;
    let timeline = Timeline::begin();
    let counts: Arc<dyn Executor> = Arc::new(RedisCounts::new(bus.clone()));
    let endpoint = settings.text("TARGET_URL").unwrap_or_default().to_owned();
    let mut probes = prober(settings, timeline, Arc::clone(&counts))?;
    let mut source: Box<dyn TelemetrySource> = if settings.text("NGINX_LOG").is_some() {
        let window = settings.span("SAMPLE_INTERVAL")?;
        let mut nginx = parts::nginx(settings)?;
        let traffic = NginxTraffic::new(&mut nginx, timeline, Some(counts), window).await?;
        // What the probes find is part of the traffic.
        tokio::spawn(async move {
            loop {
                let _in_the_traffic = probes.next_window().await;
            }
        });
        Box::new(traffic)
    } else {
        Box::new(probes)
    };
    let clock = Clock::new(timeline);
    tracing::info!(%endpoint, service = %bus.service(), "measuring");
    loop {
        let window = tokio::select! {
            () = context.stopped() => return Ok(()),
            window = source.next_window() => window,
        };
        let alert = match window {
            Ok(window) => Alert::of_window(&window, &clock, bus.service(), &endpoint),
            Err(error) => {
                tracing::warn!(%error, "no window");
                tokio::time::sleep(crate::pause::LOOK).await;
                continue;
            }
        };
        if let Err(error) = bus.publish(Channel::Alerts, &alert.write()).await {
            tracing::warn!(%error, "a window was not told");
        }
    }
}

fn prober(
    settings: &Settings,
    timeline: Timeline,
    counts: Arc<dyn Executor>,
) -> Result<Prober, Failure> {
    let window = settings.span("SAMPLE_INTERVAL")?;
    let mut probing = ProbeSettings::default();
    probing.window = window;
    probing.timeout = settings.span("TIMEOUT_S")?;
    probing.per_second = f64::from(settings.count("PROBE_REQUESTS")?) / window.as_secs_f64();
    let url = settings.text("TARGET_URL").unwrap_or_default();
    Ok(Prober::new(url, probing, timeline, Some(counts))?)
}
