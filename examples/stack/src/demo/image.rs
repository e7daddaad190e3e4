//! The replicas' image, network and leftovers on the engine.
//!
//! The image is built from scratch out of `demo` and the libraries it is linked to: no registry is
//! asked for anything.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{
    BuildImageOptions, ListContainersOptions, RemoveContainerOptions, RemoveImageOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;

use super::error::DemoError;

/// Seconds that a call to the engine may take; building sends some megabytes.
const CALL_MAX_S: u64 = 120;
/// Where the program stands in the image.
const PROGRAM: &str = "demo";

/// What a run makes on the engine. Its name is its own, and so is all that is removed.
pub struct OnEngine {
    engine: Docker,
    socket: PathBuf,
    /// Names image and network.
    pub name: String,
}

impl OnEngine {
    /// Builds the image out of `program`, which is `demo`, and makes the network.
    ///
    /// # Errors
    ///
    /// [`DemoError::Engine`] with what the engine said.
    pub async fn make(socket: &Path, program: &Path) -> Result<Self, DemoError> {
        let path = socket.to_string_lossy();
        let engine = Docker::connect_with_unix(&path, CALL_MAX_S, API_DEFAULT_VERSION);
        let told = |what, cause: String| DemoError::Engine { what, cause, socket: socket.into() };
        let engine = engine.map_err(|error| told("connecting", error.to_string()))?;
        // An engine takes two networks of one name, and then knows neither by it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("planner-demo-{}-{}", std::process::id(), since.as_micros());
        let made = Self { engine, socket: socket.to_owned(), name };
        let context =
            context(program).map_err(|error| told("collecting the program", error.to_string()))?;
        made.build(context).await?;
        let network = NetworkCreateRequest {
            name: made.name.clone(),
            driver: Some(String::from("bridge")),
            labels: Some(HashMap::from([(String::from("planner.demo"), made.name.clone())])),
            ..NetworkCreateRequest::default()
        };
        let networked = made.engine.create_network(network).await;
        if let Err(error) = networked {
            made.remove_image().await;
            return Err(told("making a network", error.to_string()));
        }
        Ok(made)
    }

    async fn build(&self, context: Vec<u8>) -> Result<(), DemoError> {
        let options = BuildImageOptions {
            dockerfile: String::from("Dockerfile"),
            t: Some(self.name.clone()),
            rm: true,
            forcerm: true,
            ..BuildImageOptions::default()
        };
        let body = bollard::body_full(context.into());
        let mut progress = self.engine.build_image(options, None, Some(body));
        while let Some(step) = progress.next().await {
            let failed = match step {
                Ok(step) => step.error_detail.map(|detail| detail.message.unwrap_or_default()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(cause) = failed {
                let (what, socket) = ("building the image", self.socket.clone());
                return Err(DemoError::Engine { what, cause, socket });
            }
        }
        Ok(())
    }

    /// Removes what this run made: containers of its installation, network and image.
    pub async fn remove(&self, install: Option<&str>) {
        if let Some(install) = install {
            let label = vec![format!("planner.install={install}")];
            let filters = Some(HashMap::from([(String::from("label"), label)]));
            let options = ListContainersOptions { all: true, filters, ..<_>::default() };
            let found = self.engine.list_containers(Some(options)).await.unwrap_or_default();
            for id in found.into_iter().filter_map(|container| container.id) {
                let force = RemoveContainerOptions { v: true, force: true, ..<_>::default() };
                let _nothing_can_be_done = self.engine.remove_container(&id, Some(force)).await;
            }
        }
        let _nothing_can_be_done = self.engine.remove_network(&self.name).await;
        self.remove_image().await;
    }

    async fn remove_image(&self) {
        let force = RemoveImageOptions { force: true, ..<_>::default() };
        let _nothing_can_be_done = self.engine.remove_image(&self.name, Some(force), None).await;
    }
}

/// The build context: the program, its libraries at their places, and three lines.
fn context(program: &Path) -> std::io::Result<Vec<u8>> {
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
    add(&format!("root/{PROGRAM}"), &std::fs::read(program)?, 0o755)?;
    for library in libraries(program)? {
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
        let context = context(&program).expect("a context");
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
