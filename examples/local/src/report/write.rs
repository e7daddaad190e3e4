//! A file that is either complete or not there.
//!
//! Not for appending, and not for files that somebody else writes at the same time.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file could not be written; what was there before is untouched.
#[derive(Debug, Error)]
#[error(
    "cannot write {path}: {source} while {step}; nothing was changed: \
     check that the folder exists, may be written to and has space"
)]
pub struct WriteError {
    path: PathBuf,
    step: &'static str,
    source: std::io::Error,
}

/// Writes `bytes` to a temporary file in the same folder, syncs it and renames it to `path`.
///
/// # Errors
///
/// When any step fails; the temporary file is gone then, and `path` is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_with(path, |file| file.write_all(bytes))
}

fn write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |step| move |source| WriteError { path: path.to_owned(), step, source };
    let temporary = temporary_beside(path)
        .ok_or_else(|| failed("naming it")(std::io::ErrorKind::InvalidFilename.into()))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(failed("creating a temporary file beside it"))?;
    let written = write(&mut file)
        .map_err(failed("writing"))
        .and_then(|()| file.sync_all().map_err(failed("syncing")))
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("renaming")));
    if written.is_err() {
        let _already_gone = fs::remove_file(&temporary);
    }
    written
}

/// A name that no other process writes to.
fn temporary_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    Some(path.with_file_name(format!(".{name}.{}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("readable");
        entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_temporary_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report.html");
        write_atomically(&path, b"old").expect("writable");
        let error = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::from_raw_os_error(28))
        })
        .expect_err("the disk is full");
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write {}: No space left on device (os error 28) while writing; \
                 nothing was changed: check that the folder exists, may be written to and has \
                 space",
                path.display()
            )
        );
        assert_eq!(fs::read(&path).expect("still there"), b"old");
        assert_eq!(names_in(folder.path()), ["report.html"]);
    }

    #[test]
    fn a_missing_folder_is_one_clear_error() {
        let error = write_atomically(Path::new("/nonexistent/report.html"), b"")
            .expect_err("there is no such folder")
            .to_string();
        assert!(
            error.starts_with(
                "cannot write /nonexistent/report.html: No such file or directory (os error 2) \
                 while creating a temporary file beside it; nothing was changed"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_takes_no_files_and_a_path_without_a_name_are_errors() {
        assert!(write_atomically(Path::new("/proc/report.html"), b"").is_err());
        assert!(write_atomically(Path::new("/"), b"").is_err());
        assert!(write_atomically(Path::new("/dev/null/report.html"), b"").is_err());
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_stays_and_no_temporary_file_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report.html");
        fs::create_dir(&path).expect("writable");
        let error = write_atomically(&path, b"new").expect_err("a folder is in the way");
        assert!(error.to_string().contains("while renaming"), "{error}");
        assert_eq!(names_in(folder.path()), ["report.html"]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.json");
        write_atomically(&path, b"a long first version").expect("writable");
        write_atomically(&path, b"short").expect("writable");
        assert_eq!(fs::read(&path).expect("there"), b"short");
        assert_eq!(names_in(folder.path()), ["run.json"]);
    }
}
