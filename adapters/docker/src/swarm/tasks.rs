//! The tasks of a service, with the addresses that they have on overlay networks: bollard's model
//! of a task knows no addresses, so this one question is asked without it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use planner_ports::{Member, ReplicaState};
use serde::Deserialize;
use tokio::net::UnixStream;

/// An answer that is longer is none: some thousand tasks are far less.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One task, as far as anybody here looks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    id: String,
    slot: u64,
    desired_state: String,
    status: Status,
    networks_attachments: Option<Vec<Attachment>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Status {
    state: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    network: Network,
    /// Each with the length of its prefix, as in `10.0.1.2/24`.
    addresses: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    spec: NetworkSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSpec {
    name: String,
}

/// What the manager on `socket` says of the tasks of `service`, whose name is harmless.
pub(super) async fn tasks(socket: &Path, service: &str) -> Result<Vec<Task>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", socket.display());
    let stream = UnixStream::connect(socket).await.map_err(|error| told(&error))?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    // It ends with its sender.
    tokio::spawn(connection);
    let request =
        Request::get(format!("/tasks?filters=%7B%22service%22%3A%5B%22{service}%22%5D%7D"))
            .header("host", "docker")
            .body(Empty::<Bytes>::new())
            .map_err(|error| told(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| told(&error))?.to_bytes();
    if status != StatusCode::OK {
        let text: String = String::from_utf8_lossy(&body).trim().chars().take(300).collect();
        return Err(format!("status {}: {text}", status.as_u16()));
    }
    serde_json::from_slice(&body).map_err(|error| told(&error))
}

impl Task {
    /// What it is doing; `None` for one that is over. A task with a health check runs only once
    /// that is passed.
    fn state(&self) -> Option<ReplicaState> {
        let runs = self.status.state == "running";
        let is_over = matches!(
            self.status.state.as_str(),
            "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
        );
        match (self.desired_state == "running", runs, is_over) {
            (true, true, _) => Some(ReplicaState::Ready),
            (true, false, false) => Some(ReplicaState::Starting),
            (false, true, _) => Some(ReplicaState::Draining),
            _ => None,
        }
    }

    /// The task as a replica that serves on `port` of its address on `network`.
    pub(super) fn member(&self, network: &str, port: u16) -> Option<Member> {
        let state = self.state()?;
        let on_network = self.networks_attachments.iter().flatten();
        let address = on_network
            .filter(|attachment| attachment.network.spec.name == network)
            .flat_map(|attachment| attachment.addresses.iter().flatten())
            .find_map(|address| address.split('/').next()?.parse::<IpAddr>().ok());
        // A slot is taken by a new task while the old one still drains.
        let slot = format!("{}.{}", self.slot, self.id);
        Some(Member { slot, address: address.map(|ip| SocketAddr::new(ip, port)), state })
    }
}

#[cfg(test)]
mod tests {
    use planner_ports::ReplicaCounts;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    const ANSWER: &str = r#"[
        {"ID":"a","Slot":1,"DesiredState":"running","Status":{"State":"running","Err":"x"},
         "NetworksAttachments":[
            {"Network":{"Spec":{"Name":"ingress"}},"Addresses":["10.9.0.2/24"]},
            {"Network":{"Spec":{"Name":"ov"}},"Addresses":["10.0.1.2/24"]}]},
        {"ID":"b","Slot":1,"DesiredState":"shutdown","Status":{"State":"running"},
         "NetworksAttachments":[{"Network":{"Spec":{"Name":"ov"}},"Addresses":["junk","10.0.1.3/24"]}]},
        {"ID":"c","Slot":2,"DesiredState":"running","Status":{"State":"pending"},
         "NetworksAttachments":null},
        {"ID":"d","Slot":3,"DesiredState":"shutdown","Status":{"State":"shutdown"}},
        {"ID":"e","Slot":4,"DesiredState":"running","Status":{"State":"failed"}},
        {"ID":"f","Slot":5,"DesiredState":"shutdown","Status":{"State":"failed"}}]"#;

    #[test]
    fn a_task_is_a_replica_at_its_address_on_the_network_that_is_asked_for() {
        let tasks: Vec<Task> = serde_json::from_str(ANSWER).expect("tasks");
        let members: Vec<Member> =
            tasks.iter().filter_map(|task| task.member("ov", 8_080)).collect();
        let told: Vec<_> = members
            .iter()
            .map(|it| (it.slot.as_str(), it.address.map(|at| at.to_string()), it.state))
            .collect();
        assert_eq!(
            told,
            [
                ("1.a", Some(String::from("10.0.1.2:8080")), ReplicaState::Ready),
                ("1.b", Some(String::from("10.0.1.3:8080")), ReplicaState::Draining),
                ("2.c", None, ReplicaState::Starting),
            ]
        );
        let counts = ReplicaCounts::of(&members);
        assert_eq!(counts, ReplicaCounts { ready: 1, starting: 1, draining: 1 });
    }

    /// Answers once, with `answer`.
    async fn answered(answer: String) -> Result<Vec<Task>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = vec![0; 1_024];
            let length = stream.read(&mut asked).await.expect("a request");
            let _the_client_may_be_gone = stream.write_all(answer.as_bytes()).await;
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let told = tasks(&socket, "app").await;
        let asked = server.await.expect("a request");
        let first = "GET /tasks?filters=%7B%22service%22%3A%5B%22app%22%5D%7D HTTP/1.1\r\n";
        assert!(asked.starts_with(first), "{asked}");
        told.map_err(|cause| cause.replace(&socket.display().to_string(), "SOCKET"))
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_refused_or_no_list_is_an_error() {
        let ok = |length: usize, body: &str| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        assert_eq!(answered(ok(2, "[]")).await.expect("a list").len(), 0);
        let cut = answered(ok(100, "[{")).await.expect_err("cut");
        assert!(cut.starts_with("SOCKET: "), "{cut}");
        let none = answered(ok(2, "{}")).await.expect_err("no list");
        assert!(none.starts_with("SOCKET: invalid type: map"), "{none}");
        let body = r#"{"message":"This node is not a swarm manager."}"#;
        let refusal = format!(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{body}\n",
            body.len() + 1
        );
        assert_eq!(answered(refusal).await.expect_err("refused"), format!("status 503: {body}"));
    }
}
