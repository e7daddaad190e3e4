//! The folder of a run: made last, and unmade when the run does not begin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// Where runs go unless a folder is named.
const DEFAULT_PARENT: &str = "out";
/// Files that a run writes.
const FILES: [&str; 4] = ["journal.jsonl", "requests.jsonl", "run.json", "report.html"];

/// A folder for one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Folders that were made for it, innermost last.
    made: Vec<PathBuf>,
    keep: bool,
}

impl Folder {
    /// Makes the folder, with room for `needed_bytes`.
    ///
    /// # Errors
    ///
    /// [`FolderError`] names the folder, what is wrong with it, and what to do.
    pub fn make(named: Option<&Path>, needed_bytes: u64) -> Result<Self, FolderError> {
        let path = named.map_or_else(default_path, Path::to_owned);
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => &path,
        };
        let mut folder = Self { path: path.clone(), made: Vec::new(), keep: false };
        if named.is_none() {
            folder.make_one(parent)?;
        } else if !parent.is_dir() {
            return Err(FolderError::Parent { path: path.clone(), parent: parent.to_owned() });
        }
        folder.make_one(&path)?;
        if let Some(file) = FILES.iter().find(|file| path.join(file).exists()) {
            return Err(FolderError::Used { path, file });
        }
        folder.check_space(needed_bytes)?;
        Ok(folder)
    }

    fn make_one(&mut self, path: &Path) -> Result<(), FolderError> {
        match fs::create_dir(path) {
            Ok(()) => self.made.push(path.to_owned()),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(cause) => {
                return Err(FolderError::Make { path: path.to_owned(), cause });
            }
        }
        Ok(())
    }

    fn check_space(&self, needed: u64) -> Result<(), FolderError> {
        let Ok(space) = rustix::fs::statvfs(&self.path) else {
            return Ok(()); // A file system that cannot tell: writing will.
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < needed {
            return Err(FolderError::Space { path: self.path.clone(), free, needed });
        }
        Ok(())
    }

    /// The run has begun: the folder stays.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    /// A run that never began leaves nothing: its files, then the folders made for it.
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if self.made.last() == Some(&self.path) {
            for file in FILES {
                let _was_never_written = fs::remove_file(self.path.join(file));
            }
        }
        for made in self.made.iter().rev() {
            let _holds_something_else = fs::remove_dir(made);
        }
    }
}

fn default_path() -> PathBuf {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Path::new(DEFAULT_PARENT).join(format!("run-{}", since.as_millis()))
}

/// Why there is no folder for the run.
#[derive(Debug, Error)]
pub enum FolderError {
    /// It could not be made.
    #[error("--out: {} cannot be made: {cause}; name a folder that you may write to", path.display())]
    Make {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Its parent does not exist.
    #[error("--out: {} has no parent folder {}; make that first", path.display(), parent.display())]
    Parent {
        /// Which folder.
        path: PathBuf,
        /// What is missing.
        parent: PathBuf,
    },
    /// The disk is full.
    #[error(
        "--out: {} has {free} bytes free and the run needs {needed}; free some space or name \
         another folder", path.display()
    )]
    Space {
        /// Which folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that the run needs.
        needed: u64,
    },
    /// It holds a run already.
    #[error("--out: {} already holds a {file}; name another folder", path.display())]
    Used {
        /// Which folder.
        path: PathBuf,
        /// What is there.
        file: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_parent_is_named_and_nothing_is_made() {
        let root = tempfile::tempdir().expect("a folder");
        let named = root.path().join("missing/run");
        let error = Folder::make(Some(&named), 0).expect_err("no parent");
        let missing = root.path().join("missing");
        assert_eq!(
            error.to_string(),
            format!(
                "--out: {} has no parent folder {}; make that first",
                named.display(),
                missing.display()
            )
        );
        assert!(!missing.exists());
    }

    #[test]
    fn a_full_disk_is_told_before_anything_is_written() {
        let root = tempfile::tempdir().expect("a folder");
        let named = root.path().join("run");
        let error = Folder::make(Some(&named), u64::MAX).expect_err("no disk is that large");
        assert!(error.to_string().contains("bytes free and the run needs"), "{error}");
        assert!(!named.exists());
    }

    #[test]
    fn a_folder_that_holds_a_run_is_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("run.json"), "{}").expect("written");
        let error = Folder::make(Some(root.path()), 0).expect_err("used");
        assert!(error.to_string().ends_with("already holds a run.json; name another folder"));
        assert!(root.path().join("run.json").exists());
    }

    #[test]
    fn a_run_that_never_began_leaves_no_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let named = root.path().join("run");
        drop(Folder::make(Some(&named), 0).expect("a folder"));
        assert!(!named.exists());
    }
}
