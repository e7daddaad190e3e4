//! What a replica is made of. It comes from configuration, or is copied once from a container that
//! somebody started; never from a message.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::DockerError;

/// What a replica is made of.
///
/// One that is written down starts closed: no capabilities, no new privileges, a read-only root,
/// at most 256 processes. One that is copied is as the container it is copied from, except that no
/// host port is published (two containers cannot have one) and the engine does not restart it:
/// whoever reconciles does, and two would fight.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    body: ContainerCreateBody,
    /// The first is the one that replicas are reached on.
    networks: Vec<String>,
}

impl Template {
    /// Containers of `image` on `network`, closed as far as can be. The image must be there: it is
    /// never pulled.
    pub fn new(image: impl Into<String>, network: impl Into<String>) -> Self {
        let host = HostConfig {
            cap_drop: Some(vec![String::from("ALL")]),
            pids_limit: Some(256),
            readonly_rootfs: Some(true),
            security_opt: Some(vec![String::from("no-new-privileges")]),
            restart_policy: Some(never()),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(image.into()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        Self { body, networks: vec![network.into()] }
    }

    /// A copy of a container as the engine describes it.
    pub(crate) fn copy(found: ContainerInspectResponse) -> Self {
        let config = found.config.unwrap_or_default();
        let attached = found.network_settings.and_then(|settings| settings.networks);
        let mut networks: Vec<String> = attached.unwrap_or_default().into_keys().collect();
        networks.sort_unstable();
        let host = HostConfig {
            auto_remove: None,
            container_id_file: None,
            network_mode: None,
            port_bindings: None,
            publish_all_ports: None,
            restart_policy: Some(never()),
            ..found.host_config.unwrap_or_default()
        };
        let body = ContainerCreateBody {
            // The very image that runs, although its name may mean another by now.
            image: found.image.or(config.image),
            user: config.user,
            env: config.env,
            cmd: config.cmd,
            entrypoint: config.entrypoint,
            healthcheck: config.healthcheck,
            exposed_ports: config.exposed_ports,
            volumes: config.volumes,
            working_dir: config.working_dir,
            labels: config.labels,
            stop_signal: config.stop_signal,
            stop_timeout: config.stop_timeout,
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        Self { body, networks }
    }

    /// The command and its arguments, in place of the image's.
    #[must_use]
    pub fn command<I: IntoIterator<Item: Into<String>>>(mut self, command: I) -> Self {
        self.body.cmd = Some(command.into_iter().map(Into::into).collect());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.body.env.get_or_insert_default().push(format!("{name}={value}"));
        self
    }

    /// Adds a label. Those that say whose a container is are set afterwards, and win.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.body.labels.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// The user that it runs as, `NAME` or `UID:GID`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.body.user = Some(user.into());
        self
    }

    /// Memory at most, bytes.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.host().memory = Some(i64::try_from(bytes).unwrap_or(i64::MAX));
        self
    }

    /// Processors at most, in thousandths of one.
    #[must_use]
    pub fn cpu_millis(mut self, millis: u32) -> Self {
        self.host().nano_cpus = Some(i64::from(millis) * 1_000_000);
        self
    }

    /// Processes and threads at most.
    #[must_use]
    pub fn pids_max(mut self, pids: u32) -> Self {
        self.host().pids_limit = Some(pids.into());
        self
    }

    /// Adds a volume or folder, `SOURCE:TARGET[:ro]`.
    #[must_use]
    pub fn volume(mut self, bind: impl Into<String>) -> Self {
        self.host().binds.get_or_insert_default().push(bind.into());
        self
    }

    /// Adds a network beside the first.
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.networks.push(network.into());
        self
    }

    /// A health check: a program within the image with its arguments (there may be no shell), how
    /// often in seconds, and after how many failures it counts as unhealthy.
    #[must_use]
    pub fn health_check<I>(mut self, program: I, interval_s: u32, retries: u32) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let program = program.into_iter().map(Into::into);
        let nanos = i64::from(interval_s) * 1_000_000_000;
        self.body.healthcheck = Some(HealthConfig {
            test: Some([String::from("CMD")].into_iter().chain(program).collect()),
            interval: Some(nanos),
            timeout: Some(nanos),
            retries: Some(retries.into()),
            ..HealthConfig::default()
        });
        self
    }

    /// Whether it carries a label: whoever copies may want a permission first.
    pub fn has_label(&self, name: &str, value: &str) -> bool {
        let labels = self.body.labels.as_ref();
        labels.and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
    }

    fn host(&mut self) -> &mut HostConfig {
        self.body.host_config.get_or_insert_default()
    }

    /// Refuses what no container can be made of.
    pub(crate) fn check(&self) -> Result<(), DockerError> {
        if self.body.image.as_deref().unwrap_or_default().is_empty() {
            return Err(DockerError::NoImage);
        }
        if self.networks.iter().all(String::is_empty) {
            return Err(DockerError::NoNetwork);
        }
        Ok(())
    }

    /// The network that replicas are reached on.
    pub(crate) fn reached_on(&self) -> &str {
        self.networks.first().map_or("", String::as_str)
    }

    /// Reaches replicas on `network`, which is one of theirs.
    pub(crate) fn reach_on(&mut self, network: &str) {
        self.networks.retain(|other| other != network);
        self.networks.insert(0, network.to_owned());
    }

    /// Networks that it is connected to before it starts: an engine takes one at creation.
    pub(crate) fn further_networks(&self) -> &[String] {
        self.networks.get(1..).unwrap_or_default()
    }

    /// The order to make a container of this template with `labels`.
    pub(crate) fn body(&self, labels: HashMap<String, String>) -> ContainerCreateBody {
        let mut body = self.body.clone();
        body.labels.get_or_insert_default().extend(labels);
        body.host_config.get_or_insert_default().network_mode = Some(self.reached_on().to_owned());
        body
    }
}

/// Nobody but the reconciler restarts a replica.
fn never() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, EndpointSettings, Mount, NetworkSettings};

    use super::*;

    #[test]
    fn what_is_written_down_starts_closed() {
        let body = Template::new("app:1", "net").body(HashMap::new());
        let host = body.host_config.expect("a host");
        assert_eq!(host.cap_drop, Some(vec![String::from("ALL")]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.security_opt, Some(vec![String::from("no-new-privileges")]));
        assert_eq!((host.pids_limit, host.privileged), (Some(256), None));
        assert_eq!(host.restart_policy, Some(never()));
        assert_eq!(host.network_mode.as_deref(), Some("net"));
    }

    #[test]
    fn our_labels_win_over_those_of_a_template() {
        let template = Template::new("app:1", "net").label("planner.install", "theirs");
        let ours = HashMap::from([(String::from("planner.install"), String::from("ours"))]);
        let labels = template.body(ours).labels.expect("labels");
        assert_eq!(labels.get("planner.install").map(String::as_str), Some("ours"));
    }

    fn running() -> ContainerInspectResponse {
        let networks = ["front", "back"].map(|name| (name.into(), EndpointSettings::default()));
        ContainerInspectResponse {
            image: Some(String::from("sha256:abc")),
            config: Some(ContainerConfig {
                image: Some(String::from("app:latest")),
                env: Some(vec![String::from("A=1")]),
                cmd: Some(vec![String::from("serve")]),
                labels: Some(HashMap::from([("agentic.target".into(), "true".into())])),
                stop_signal: Some(String::from("SIGQUIT")),
                ..ContainerConfig::default()
            }),
            host_config: Some(HostConfig {
                memory: Some(1 << 26),
                binds: Some(vec![String::from("/data:/data:ro")]),
                port_bindings: Some(HashMap::new()),
                mounts: Some(vec![Mount::default()]),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::ALWAYS),
                    maximum_retry_count: None,
                }),
                ..HostConfig::default()
            }),
            network_settings: Some(NetworkSettings {
                networks: Some(networks.into_iter().collect()),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn a_copy_is_faithful_except_where_two_would_be_in_each_others_way() {
        let template = Template::copy(running());
        assert_eq!(template.reached_on(), "back");
        assert!(template.has_label("agentic.target", "true"));
        assert!(!template.has_label("agentic.target", "false"));
        assert_eq!(template.further_networks(), [String::from("front")]);
        let body = template.body(HashMap::new());
        assert_eq!(body.image.as_deref(), Some("sha256:abc"));
        assert_eq!(body.env, Some(vec![String::from("A=1")]));
        assert_eq!(body.cmd, Some(vec![String::from("serve")]));
        assert_eq!(body.stop_signal.as_deref(), Some("SIGQUIT"));
        let labels = body.labels.expect("labels");
        assert_eq!(labels.get("agentic.target").map(String::as_str), Some("true"));
        let host = body.host_config.expect("a host");
        assert_eq!((host.memory, host.port_bindings), (Some(1 << 26), None));
        assert_eq!(host.mounts, Some(vec![Mount::default()]));
        assert_eq!(host.binds, Some(vec![String::from("/data:/data:ro")]));
        assert_eq!(host.restart_policy, Some(never()));
    }

    #[test]
    fn a_template_without_image_or_network_is_refused() {
        let told = Template::new("", "net").check().expect_err("no image").to_string();
        assert_eq!(told, "image: it is empty; name the image that a replica runs");
        let told = Template::new("app", "").check().expect_err("no network").to_string();
        assert_eq!(
            told,
            "networks: there is none; name the network on which replicas are reached first"
        );
    }
}
