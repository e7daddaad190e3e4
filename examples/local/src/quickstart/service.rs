//! The service of a run: a balancer, the processes behind it, and two probes a second.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use planner_local::{
    BalancerSettings, ExecutorSettings, LoadBalancer, ProcessExecutor, ReplicaTemplate,
};
use planner_ports::{Executor, TelemetrySource, Timeline};
use planner_probe::{ProbeSettings, Prober};

use super::args::{Plan, WINDOW};
use super::error::QuickstartError;

/// Probes per second; so few that they are no load.
const PROBES_PER_S: f64 = 2.0;
/// How long the first replicas may take to serve.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long replicas and balancer may take to finish at the end.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// The service: a balancer and the processes behind it.
pub(super) struct Service {
    pub(super) balancer: Arc<LoadBalancer>,
    pub(super) executor: Arc<ProcessExecutor>,
}

impl Service {
    /// Starts the balancer and the fewest replicas, and waits until they serve.
    pub(super) async fn start(plan: &Plan) -> Result<Self, QuickstartError> {
        let args = &plan.args;
        let mut settings = BalancerSettings::default();
        settings.max_in_flight_per_backend = Some(plan.in_flight_per_replica);
        let balancer = Arc::new(LoadBalancer::bind(args.listen, settings)?);
        let program = std::env::current_exe()
            .map_err(|cause| QuickstartError::System { what: "finding this program", cause })?;
        let template = ReplicaTemplate::new(program)
            .arg("app")
            .arg("--exit-with-parent")
            .arg("--port={port}")
            .arg(format!("--workers={}", args.app_workers))
            .arg(format!("--ms={}", args.app_ms));
        let mut settings = ExecutorSettings::default();
        settings.max_replicas = settings.max_replicas.max(NonZeroU32::MIN.saturating_add(args.max));
        let executor = ProcessExecutor::new(template, balancer.clone(), settings)?;
        let service = Self { balancer, executor: Arc::new(executor) };
        service.executor.scale_to(args.min).await?;
        let mut counts = service.executor.subscribe();
        let ready = counts.wait_for(|counts| counts.ready >= args.min);
        if tokio::time::timeout(START_DEADLINE, ready).await.is_err() {
            let cause = service.executor.last_start_error();
            service.stop().await;
            return Err(QuickstartError::NoReplica {
                replicas: args.min,
                waited: START_DEADLINE,
                cause: cause.unwrap_or_else(|| String::from("no answer to /health")),
            });
        }
        Ok(service)
    }

    /// Finishes what is under way and stops everything.
    pub(super) async fn stop(&self) {
        self.balancer.shutdown(STOP_DEADLINE).await;
        self.executor.shutdown(STOP_DEADLINE).await;
    }
}

/// A prober through the balancer, as a user would come.
pub(super) fn prober(service: &Service, timeline: Timeline) -> Result<Prober, QuickstartError> {
    let url = format!("http://{}/", service.balancer.local_addr());
    let mut settings = ProbeSettings::default();
    settings.per_second = PROBES_PER_S;
    settings.window = WINDOW;
    Ok(Prober::new(&url, settings, timeline, Some(service.executor.clone()))?)
}

/// Keeps probing. What the probes find is part of the balancer's traffic.
pub(super) async fn probe(mut prober: Prober) {
    loop {
        let _in_the_balancer_s_traffic = prober.next_window().await;
    }
}
