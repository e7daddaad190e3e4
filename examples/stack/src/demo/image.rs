//! The image of a run, its network and its leftovers on the engine.
//!
//! The image is built from scratch out of `demo` and the libraries it is linked to: no registry is
//! asked for anything.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{
    BuildImageOptions, ListContainersOptions, RemoveContainerOptions, RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;

use super::container::label;
use super::error::DemoError;
use super::swarm::Joined;
use super::{servers, swarm};

/// Seconds that a call to the engine may take; building sends some megabytes.
const CALL_MAX_S: u64 = 120;
/// Where the program stands in the image.
pub(super) const PROGRAM: &str = "demo";
/// Where nginx stands in it, for a run on a Swarm.
pub(super) const NGINX: &str = "nginx";

/// What a run makes on the engine. Its name is its own, and so is all that is removed.
pub struct OnEngine {
    pub(super) engine: Docker,
    socket: PathBuf,
    /// Names image and network.
    pub name: String,
    joined: Option<Joined>,
    /// Further engines with the same image.
    pub(super) others: Vec<Docker>,
}

impl OnEngine {
    /// Builds the image out of `program`, which is `demo`, and makes the network.
    ///
    /// # Errors
    ///
    /// [`DemoError::Engine`] with what the engine said.
    pub async fn make(socket: &Path, program: &Path) -> Result<Self, DemoError> {
        let made = Self::image(socket, &[], &[(PROGRAM, program)]).await?;
        let network = NetworkCreateRequest {
            name: made.name.clone(),
            driver: Some(String::from("bridge")),
            labels: Some(label(&made.name)),
            ..NetworkCreateRequest::default()
        };
        if let Err(error) = made.engine.create_network(network).await {
            made.remove(None).await;
            return Err(made.told("making a network", &error));
        }
        Ok(made)
    }

    /// The same for a Swarm: nginx is in the image too, the network is an overlay, and the engine
    /// is in a Swarm.
    ///
    /// # Errors
    ///
    /// [`DemoError::Engine`] with what the engine said.
    pub(super) async fn make_on_swarm(
        socket: &Path,
        others: &[PathBuf],
        program: &Path,
    ) -> Result<Self, DemoError> {
        let nginx = found("nginx")?;
        let programs = [(PROGRAM, program), (NGINX, &nginx)];
        let mut made = Self::image(socket, others, &programs).await?;
        match Joined::join(&made).await {
            Ok(joined) => made.joined = Some(joined),
            Err(error) => {
                made.remove(None).await;
                return Err(error);
            }
        }
        if let Err(error) = swarm::networks(&made).await {
            made.remove(None).await;
            return Err(error);
        }
        Ok(made)
    }

    async fn image(
        socket: &Path,
        others: &[PathBuf],
        programs: &[(&str, &Path)],
    ) -> Result<Self, DemoError> {
        let engine = connect(socket)?;
        let others = others.iter().map(|socket| connect(socket)).collect::<Result<_, _>>()?;
        // An engine takes two networks of one name, and then knows neither by it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("planner-demo-{}-{}", std::process::id(), since.as_micros());
        let made = Self { engine, socket: socket.to_owned(), name, joined: None, others };
        let context =
            context(programs).map_err(|error| made.told("collecting the programs", &error))?;
        for engine in made.engines() {
            if let Err(cause) = build(engine, &made.name, context.clone()).await {
                made.remove_image().await;
                return Err(made.told("building the image", &cause));
            }
        }
        Ok(made)
    }

    /// Every engine that has the image.
    pub(super) fn engines(&self) -> impl Iterator<Item = &Docker> {
        std::iter::once(&self.engine).chain(&self.others)
    }

    /// The engine refused, or is not there.
    pub(super) fn told(&self, what: &'static str, cause: &dyn std::fmt::Display) -> DemoError {
        engine_error(&self.socket, what, cause)
    }

    /// Removes what this run made: containers of its installation, service, networks, image.
    pub async fn remove(&self, install: Option<&str>) {
        let install = install.map(|install| format!("planner.install={install}"));
        let labels = install.into_iter().chain([format!("planner.demo={}", self.name)]);
        for label in labels {
            let filters = Some(HashMap::from([(String::from("label"), vec![label])]));
            let options = ListContainersOptions { all: true, filters, ..<_>::default() };
            let found = self.engine.list_containers(Some(options)).await.unwrap_or_default();
            for id in found.into_iter().filter_map(|container| container.id) {
                let force = RemoveContainerOptions { v: true, force: true, ..<_>::default() };
                let _nothing_can_be_done = self.engine.remove_container(&id, Some(force)).await;
            }
        }
        if self.joined.is_some() {
            swarm::end_service(self).await;
            let _nothing_can_be_done = self.engine.remove_network(&swarm::way_in(self)).await;
        }
        let _nothing_can_be_done = self.engine.remove_network(&self.name).await;
        self.remove_image().await;
        if let Some(joined) = self.joined {
            joined.leave(self).await;
        }
    }

    async fn remove_image(&self) {
        for engine in self.engines() {
            let force = RemoveImageOptions { force: true, ..<_>::default() };
            let _nothing_can_be_done = engine.remove_image(&self.name, Some(force), None).await;
        }
    }
}

fn connect(socket: &Path) -> Result<Docker, DemoError> {
    let path = socket.to_string_lossy();
    let engine = Docker::connect_with_unix(&path, CALL_MAX_S, API_DEFAULT_VERSION);
    engine.map_err(|error| engine_error(socket, "connecting", &error))
}

/// Builds an image; what went wrong otherwise.
async fn build(engine: &Docker, name: &str, context: Vec<u8>) -> Result<(), String> {
    let options = BuildImageOptions {
        dockerfile: String::from("Dockerfile"),
        t: Some(name.to_owned()),
        rm: true,
        forcerm: true,
        ..BuildImageOptions::default()
    };
    let body = bollard::body_full(context.into());
    let mut progress = engine.build_image(options, None, Some(body));
    while let Some(step) = progress.next().await {
        let step = step.map_err(|error| error.to_string())?;
        if let Some(detail) = step.error_detail {
            return Err(detail.message.unwrap_or_default());
        }
    }
    Ok(())
}

fn engine_error(socket: &Path, what: &'static str, cause: &dyn std::fmt::Display) -> DemoError {
    DemoError::Engine { what, cause: cause.to_string(), socket: socket.to_owned() }
}

/// Where a server's program is.
fn found(program: &'static str) -> Result<PathBuf, DemoError> {
    let path = servers::search_path();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.into_iter().find(|file| file.is_file()).ok_or_else(|| DemoError::File {
        path: program.into(),
        cause: std::io::ErrorKind::NotFound.into(),
    })
}

/// The build context: the programs, their libraries at their places, and four lines.
fn context(programs: &[(&str, &Path)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8], mode| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, path, bytes)
    };
    let text =
        format!("FROM scratch\nCOPY root/ /\nUSER 65534:65534\nENTRYPOINT [\"/{PROGRAM}\"]\n");
    add("Dockerfile", text.as_bytes(), 0o644)?;
    let mut linked = BTreeSet::new();
    for (name, program) in programs {
        add(&format!("root/{name}"), &std::fs::read(program)?, 0o755)?;
        linked.extend(libraries(program)?);
    }
    for library in linked {
        let place = format!("root{}", library.display());
        add(&place, &std::fs::read(&library)?, 0o755)?;
    }
    archive.into_inner()
}

/// The libraries that a program is linked to, as its loader names them; none for a static one.
fn libraries(program: &Path) -> std::io::Result<Vec<PathBuf>> {
    let listed = std::process::Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let words = text
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_holds_the_program_and_the_loader_that_it_needs() {
        let program = std::env::current_exe().expect("a program");
        let context = context(&[(PROGRAM, &program)]).expect("a context");
        let mut archive = tar::Archive::new(context.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("an archive")
            .map(|entry| entry.expect("whole").path().expect("a path").display().to_string())
            .collect();
        assert_eq!(names.first().map(String::as_str), Some("Dockerfile"));
        assert!(names.iter().any(|name| name == "root/demo"), "{names:?}");
        let linked = libraries(&program).expect("a list");
        assert_eq!(names.len(), 2 + linked.len());
    }
}
