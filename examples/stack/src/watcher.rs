//! Brings nginx to the replicas that the executor says are ready, and tells when it is so.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Command;
use planner_nginx::{NginxRouter, render};
use planner_ports::Router as _;
use planner_redis::wire::{Routing, wall_now};
use planner_redis::{Bus, MembershipReader};

use crate::parts;
use crate::program::{Context, Failure};

/// Pause before nginx is tried again with the same membership.
const RETRY: Duration = Duration::from_secs(1);

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("watcher")
        .about("Writes nginx's upstream from what the executor tells, reloads, and verifies it")
        .after_help(
            "Writes CONF_DIR/planner-upstream.conf and nothing else, validates with `nginx -t -c \
             NGINX_CONF`, reloads the process in NGINX_PID, and asks NGINX_STATUS what is served. \
             nginx.conf needs `include CONF_DIR/*.conf;` within http, and a location with \
             `proxy_pass http://app_pool;`.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let settings = &context.settings;
    let bus = parts::sealed_bus(settings).await?;
    let nginx = parts::nginx(settings)?;
    let drain = settings.span("DRAIN_SEC")?;
    let watcher = Watcher { router: Arc::new(NginxRouter::new(nginx.clone())?), bus, drain };
    let mut members = MembershipReader::new(&watcher.bus);
    let mut draining = None;
    tracing::info!(service = %watcher.bus.service(), "routing");
    loop {
        let membership = tokio::select! {
            () = context.stopped() => return Ok(()),
            membership = members.next() => membership,
        };
        let membership = match membership {
            Ok(membership) => membership,
            Err(error) => {
                tracing::warn!(%error, "membership");
                continue;
            }
        };
        let ready: BTreeSet<SocketAddr> = membership.ready().collect();
        let backends: Vec<SocketAddr> = ready.iter().copied().collect();
        tokio::select! {
            () = context.stopped() => return Ok(()),
            () = watcher.route(&backends) => {}
        }
        let (_, generation) = render(&backends, &nginx);
        let service = watcher.bus.service().clone();
        let routing = Routing::new(service, generation.to_string(), ready, wall_now());
        let routing = routing.answering(membership.seq);
        watcher.tell(&routing).await;
        // Old workers finish what they have; a newer membership makes this one's drain its own.
        if let Some(earlier) = draining.replace(tokio::spawn(watcher.clone().drained(routing))) {
            earlier.abort();
        }
    }
}

/// What routes and tells.
#[derive(Clone)]
struct Watcher {
    router: Arc<NginxRouter>,
    bus: Bus,
    drain: Duration,
}

impl Watcher {
    /// Routes until it is so.
    async fn route(&self, backends: &[SocketAddr]) {
        while let Err(error) = self.router.route(backends).await {
            tracing::warn!(%error, "not routed");
            tokio::time::sleep(RETRY).await;
        }
        tracing::info!(backends = backends.len(), "routed");
    }

    async fn tell(&self, routing: &Routing) {
        while let Err(error) = self.bus.publish_routing(routing).await {
            tracing::warn!(%error, "a routing was not told");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Tells once more when nothing is under way in workers of before.
    async fn drained(self, routing: Routing) {
        // Which backend it is does not matter to nginx: see `NginxRouter`.
        let any = SocketAddr::from(([127, 0, 0, 1], 1));
        if self.router.drained(any, self.drain).await == Ok(true) {
            self.tell(&routing.drained(wall_now())).await;
        }
    }
}
