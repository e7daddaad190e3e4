//! Rules of the tree that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use planner_tests::root;

/// Most lines of a source file before its tests.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Most columns of a line.
const COLUMNS_MAX: usize = 100;
/// Files that are longer for a reason, which stands in them.
const LONGER: [&str; 2] = ["planner-core/src/config.rs", "planner-core/src/planner.rs"];

/// Every Rust source of the tree, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "planner-core",
        "planner-lab",
        "planner-laws",
        "planner-peers",
        "adapters",
        "benches",
        "examples",
        "tests",
    ]
    .into_iter()
    .filter(|name| root().join(name).is_dir())
    .map(|name| root().join(name))
    .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                let path = path.strip_prefix(root()).expect("below the root");
                sources.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

/// A source without its tests.
fn before_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

#[test]
fn files_and_lines_are_short() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let lines = before_tests(&text).lines().count();
        let test = path.contains("/tests") || path.starts_with("tests/");
        if lines > FILE_LINES_MAX && !test && !LONGER.contains(&path.as_str()) {
            findings.push(format!("{path} has {lines} lines before its tests; split it"));
        }
        for (index, line) in text.lines().enumerate() {
            let text_or_address = line.contains('"') || line.contains("http");
            if line.chars().count() > COLUMNS_MAX && !text_or_address {
                let number = index + 1;
                findings.push(format!("{path}:{number} is longer than {COLUMNS_MAX} columns"));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn functions_are_short() {
    for (path, text) in sources() {
        let mut start = None;
        for (index, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let declares = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub const fn ",
                "const fn ",
            ]
            .iter()
            .any(|word| code.starts_with(word));
            if declares && !code.ends_with(';') {
                start = Some((index, indent));
            } else if let Some((from, outer)) = start
                && code.starts_with('}')
                && indent == outer
            {
                let lines = index - from + 1;
                assert!(
                    lines <= FUNCTION_LINES_MAX,
                    "{path}:{} is a function of {lines} lines; split it",
                    from + 1
                );
                start = None;
            }
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    for (path, text) in sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!("] {
            assert!(!text.contains(word), "{path} says {word}");
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let members = workspace.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let members =
        members.expect("members").lines().filter_map(|line| line.trim().strip_prefix('"'));
    let mut seen = 0;
    for member in members.filter_map(|rest| rest.split('"').next()) {
        let manifest = root().join(member).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{member} has lints of its own");
        assert!(text.contains("rust-version.workspace = true"), "{member} names no Rust version");
        assert!(text.contains("description = "), "{member} has no description");
        assert!(Path::new(&manifest).with_file_name("README.md").is_file(), "{member}: no README");
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} members were found");
}

#[test]
fn examples_stay_within_sixty_lines() {
    let mut seen = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| path.contains("/examples/")) {
        assert!(text.lines().count() <= 60, "{path} has {} lines", text.lines().count());
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples were found");
}
