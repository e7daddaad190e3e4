//! Where results go: standard output, and a folder of files that are complete or not there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::interrupt::Writing;
use crate::program;
use crate::report::{WriteError, write_atomically};

/// What becomes of the results.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct OutArgs {
    /// Print JSON instead of tables
    #[arg(long)]
    pub(super) json: bool,

    /// Write the JSON and a page with plots into this folder; its parent must exist
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// Results, as people and as programs read them.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    /// What the files are called: `score` makes `score.json` and `score.html`.
    pub(super) name: &'static str,
    pub(super) tables: String,
    pub(super) json: Value,
    pub(super) page: Option<String>,
}

/// Why results cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutError {
    /// The folder could not be made.
    #[error("--out: {} cannot be made: {cause}; name a folder that you may write to", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There is a file of that name.
    #[error("--out: {} is a file; name a folder", path.display())]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// The folder that should hold it does not exist.
    #[error("--out: {} has no parent folder {}; make that first", path.display(), parent.display())]
    Parent {
        /// Which folder.
        path: PathBuf,
        /// What is missing.
        parent: PathBuf,
    },
    /// A file could not be written.
    #[error("--out: {0}")]
    Write(#[from] WriteError),
}

impl OutArgs {
    /// Whether results could be written: asked before they are computed. Makes nothing.
    ///
    /// # Errors
    ///
    /// [`OutError`] when the folder is a file, or its parent is missing.
    pub(super) fn check(&self) -> Result<(), OutError> {
        let Some(path) = &self.out else { return Ok(()) };
        if path.is_dir() {
            return Ok(());
        }
        if path.exists() {
            return Err(OutError::NoFolder { path: path.clone() });
        }
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => path,
        };
        if parent.is_dir() {
            Ok(())
        } else {
            Err(OutError::Parent { path: path.clone(), parent: parent.to_owned() })
        }
    }

    /// Prints what was asked for, and writes the files.
    ///
    /// # Errors
    ///
    /// Those of [`OutArgs::write`].
    pub(super) fn give(&self, results: &Results, writing: &Writing) -> Result<(), OutError> {
        self.write(results, writing)?;
        if self.json {
            program::say(&format!("{:#}", results.json));
        } else {
            program::say(results.tables.trim_end());
        }
        Ok(())
    }

    /// Writes the files, where a folder was named.
    ///
    /// # Errors
    ///
    /// [`OutError`]; every file is complete, as it was before, or not there.
    pub(super) fn write(&self, results: &Results, writing: &Writing) -> Result<(), OutError> {
        let Some(folder) = &self.out else { return Ok(()) };
        let json = format!("{:#}\n", results.json);
        let _until_all_are_written = writing.begin();
        if !folder.is_dir() {
            let failed = |cause| OutError::Make { path: folder.clone(), cause };
            fs::create_dir(folder).map_err(failed)?;
        }
        let file = |ending: &str| folder.join(format!("{}.{ending}", results.name));
        write_atomically(&file("json"), json.as_bytes())?;
        if let Some(page) = &results.page {
            write_atomically(&file("html"), page.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn into(path: &Path) -> OutArgs {
        OutArgs { json: false, out: Some(path.to_owned()) }
    }

    #[test]
    fn a_folder_that_cannot_be_is_refused_before_anything_is_computed() {
        let root = tempfile::tempdir().expect("a folder");
        let missing = root.path().join("missing");
        let error = into(&missing.join("out")).check().expect_err("no parent").to_string();
        assert_eq!(
            error,
            format!(
                "--out: {} has no parent folder {}; make that first",
                missing.join("out").display(),
                missing.display()
            )
        );
        let file = root.path().join("file");
        fs::write(&file, "").expect("written");
        let error = into(&file).check().expect_err("a file").to_string();
        assert_eq!(error, format!("--out: {} is a file; name a folder", file.display()));
    }

    #[test]
    fn checking_makes_nothing_and_giving_leaves_only_the_results() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("out");
        let out = into(&folder);
        out.check().expect("possible");
        assert!(!folder.exists());
        let results = Results {
            name: "score",
            json: serde_json::json!({ "a": 1 }),
            page: Some("<p>".to_owned()),
            ..Results::default()
        };
        out.give(&results, &Writing::default()).expect("written");
        out.give(&results, &Writing::default()).expect("written again");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .expect("there")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["score.html", "score.json"]);
        let json = fs::read_to_string(folder.join("score.json")).expect("there");
        assert_eq!(json, "{\n  \"a\": 1\n}\n");
    }
}
