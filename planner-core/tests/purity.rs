//! The purity of the core, checked on its sources and its manifest.
//!
//! `no_std` is the proof that the core cannot name a clock, a socket, a file or an environment
//! variable; these tests keep it from being undone, and keep dependencies few.

use std::fs;
use std::path::{Path, PathBuf};

/// The one place that may name std: in a build that no user has, see `src/guard/switch.rs`.
const MUTATION: &str = r#"
#[cfg(planner_mutation)]
pub(crate) fn on(switch: Switch) -> bool {
    extern crate std;
    std::env::var("PLANNER_MUTANT").map_or(true, |removed| removed != switch.name())
}
"#;

/// Crates that the core may depend on, each with its reason in ARCHITECTURE.md.
const ALLOWED: [&str; 5] = ["governor", "libm", "serde", "smallvec", "thiserror"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every source file of the core with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![root().join("src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("a source file");
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

#[test]
fn the_core_is_no_std() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    assert!(lib.contains("\n#![no_std]\n"));
    let named = lib.matches("extern crate std;").count();
    assert_eq!(named, lib.matches("#[cfg(test)]\nextern crate std;").count(), "std outside tests");
}

#[test]
fn no_source_names_std_outside_its_tests() {
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code = code.replace(MUTATION, "");
        for (index, line) in code.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            assert!(
                comment || !line.contains("std::") || line.contains("no_std"),
                "{}:{} names std: {line}",
                path.display(),
                index + 1
            );
        }
    }
}

#[test]
fn the_core_depends_on_nothing_outside_its_allow_list() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let mut named = Vec::new();
    for line in section.lines().filter(|line| !line.trim().is_empty()) {
        named.extend(line.split(['.', ' ', '=']).next());
    }
    assert_eq!(named, ALLOWED);
}
