//! What a run makes on a Swarm: a service on an overlay network, and a way in.
//!
//! Tasks are reached at their own addresses on the overlay: virtual addresses and published ports
//! need more of the kernel than every machine has.

use std::time::Duration;

use bollard::models::{
    EndpointSpec, EndpointSpecModeEnum, LocalNodeState, NetworkAttachmentConfig,
    NetworkCreateRequest, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated,
    SwarmInitRequest, TaskSpec, TaskSpecContainerSpec,
};
use bollard::query_parameters::{LeaveSwarmOptions, ListContainersOptions};
use planner_examples_local::quickstart::Plan;
use tokio::time::{Instant, sleep};

use super::container::label;
use super::error::DemoError;
use super::image::OnEngine;
use super::run::app_arguments;

/// How long tasks may take to end.
const END_WITHIN: Duration = Duration::from_secs(40);
/// Seconds that a task goes on after SIGTERM, while nginx learns that it leaves.
const LINGER_S: u32 = 3;
/// Nanoseconds that a task has to end.
const GRACE_NS: i64 = 20_000_000_000;
/// The bridge by which a Swarm's tasks reach their host.
const GATEWAY: &str = "docker_gwbridge";

/// What has to be undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    /// The engine was in no Swarm, and is in one of its own now.
    swarm: bool,
    /// It had no bridge for one.
    gateway: bool,
}

impl Joined {
    /// Makes the engine the only node of a Swarm, unless it is in one that it manages.
    pub(super) async fn join(on: &OnEngine) -> Result<Self, DemoError> {
        let info =
            on.engine.info().await.map_err(|error| on.told("asking for its Swarm", &error))?;
        let node = info.swarm.unwrap_or_default();
        let is_in = node.local_node_state == Some(LocalNodeState::ACTIVE);
        let gateway = on.engine.inspect_network(GATEWAY, None).await.is_err();
        if is_in {
            let joined = Self { swarm: false, gateway: false };
            return match node.control_available {
                Some(true) => Ok(joined),
                _ => Err(on.told("joining its Swarm", &"this node is no manager; use one that is")),
            };
        }
        let loopback = String::from("127.0.0.1");
        let request = SwarmInitRequest {
            listen_addr: Some(format!("{loopback}:0")),
            advertise_addr: Some(loopback),
            ..SwarmInitRequest::default()
        };
        let made = on.engine.init_swarm(request).await;
        made.map_err(|error| on.told("making a Swarm of one node", &error))?;
        Ok(Self { swarm: true, gateway })
    }

    /// Undoes it.
    pub(super) async fn leave(self, on: &OnEngine) {
        if self.swarm {
            let force = Some(LeaveSwarmOptions { force: true });
            let _nothing_can_be_done = on.engine.leave_swarm(force).await;
        }
        if self.gateway {
            let _nothing_can_be_done = on.engine.remove_network(GATEWAY).await;
        }
    }
}

/// The name of the network by which the host reaches nginx.
pub(super) fn way_in(on: &OnEngine) -> String {
    format!("{}-in", on.name)
}

/// Makes the overlay that tasks and nginx are on, and the way in.
pub(super) async fn networks(on: &OnEngine) -> Result<(), DemoError> {
    let overlay = NetworkCreateRequest {
        name: on.name.clone(),
        driver: Some(String::from("overlay")),
        attachable: Some(true),
        labels: Some(label(&on.name)),
        ..NetworkCreateRequest::default()
    };
    let bridge = NetworkCreateRequest {
        name: way_in(on),
        driver: Some(String::from("bridge")),
        labels: Some(label(&on.name)),
        ..NetworkCreateRequest::default()
    };
    for network in [overlay, bridge] {
        let made = on.engine.create_network(network).await;
        made.map_err(|error| on.told("making a network", &error))?;
    }
    Ok(())
}

/// Makes the service, with as few tasks as the plan allows.
pub(super) async fn service(on: &OnEngine, plan: &Plan) -> Result<(), DemoError> {
    let mut arguments = app_arguments(plan);
    arguments.extend([String::from("--linger-s"), LINGER_S.to_string()]);
    let container = TaskSpecContainerSpec {
        image: Some(on.name.clone()),
        args: Some(arguments),
        stop_grace_period: Some(GRACE_NS),
        ..TaskSpecContainerSpec::default()
    };
    let network = NetworkAttachmentConfig { target: Some(on.name.clone()), ..<_>::default() };
    let task = TaskSpec {
        container_spec: Some(container),
        networks: Some(vec![network]),
        ..TaskSpec::default()
    };
    let replicas = Some(i64::from(plan.args.min));
    let mode = ServiceSpecMode {
        replicated: Some(ServiceSpecModeReplicated { replicas }),
        ..ServiceSpecMode::default()
    };
    let endpoints =
        EndpointSpec { mode: Some(EndpointSpecModeEnum::DNSRR), ..EndpointSpec::default() };
    let spec = ServiceSpec {
        name: Some(on.name.clone()),
        labels: Some(label(&on.name)),
        task_template: Some(task),
        mode: Some(mode),
        endpoint_spec: Some(endpoints),
        ..ServiceSpec::default()
    };
    let made = on.engine.create_service(spec, None).await;
    made.map(drop).map_err(|error| on.told("making the service", &error))
}

/// Ends the service and waits until none of its tasks is left.
pub(super) async fn end_service(on: &OnEngine) {
    if on.engine.delete_service(&on.name).await.is_err() {
        return;
    }
    let label = vec![format!("com.docker.swarm.service.name={}", on.name)];
    let filters = Some([(String::from("label"), label)].into());
    let options = ListContainersOptions { all: true, filters, ..<_>::default() };
    let end = Instant::now() + END_WITHIN;
    for engine in on.engines() {
        while Instant::now() < end {
            let left = engine.list_containers(Some(options.clone())).await;
            if left.is_ok_and(|left| left.is_empty()) {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}
