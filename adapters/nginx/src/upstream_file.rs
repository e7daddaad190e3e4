//! The include file: replaced as a whole or not at all, and put back when nginx refuses it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file that is ours to write.
#[derive(Debug)]
pub(crate) struct UpstreamFile {
    path: PathBuf,
}

impl UpstreamFile {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What stands in it; `None` when it is not there.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts `text` in its place, or leaves it as it is. The draft stands in the same folder under a
    /// name that no `*.conf` matches; a link in its place is not followed.
    pub(crate) fn replace(&self, text: &[u8]) -> io::Result<()> {
        let draft = self.draft();
        remove(&draft)?;
        let written = write_new(&draft, text).and_then(|()| fs::rename(&draft, &self.path));
        if written.is_err() {
            let _what_was_half_written = remove(&draft);
        }
        written?;
        File::open(self.folder())?.sync_all()
    }

    /// Puts back what stood there before.
    pub(crate) fn restore(&self, before: Option<&[u8]>) -> io::Result<()> {
        match before {
            Some(text) => self.replace(text),
            None => remove(&self.path),
        }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn draft(&self) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".draft");
        self.folder().join(name)
    }
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file that must not exist yet and syncs it. nginx reads it, maybe as another user.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, UpstreamFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = UpstreamFile::new(folder.path().join("upstream.conf"));
        (folder, file)
    }

    #[test]
    fn what_was_there_comes_back_and_what_was_not_goes() {
        let (folder, file) = folder();
        file.replace(b"one").expect("written");
        file.restore(None).expect("removed");
        assert_eq!(file.read().expect("readable"), None);
        file.replace(b"one").expect("written");
        let before = file.read().expect("readable");
        file.replace(b"two").expect("written");
        file.restore(before.as_deref()).expect("put back");
        assert_eq!(file.read().expect("readable").as_deref(), Some(&b"one"[..]));
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_link_in_place_of_the_draft_is_not_followed() {
        let (folder, file) = folder();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").expect("written");
        std::os::unix::fs::symlink(&victim, file.draft()).expect("a link");
        file.replace(b"one").expect("written");
        assert_eq!(fs::read(&victim).expect("still there"), b"mine");
    }

    #[test]
    fn a_draft_that_cannot_be_written_leaves_the_file_as_it_was() {
        let (_folder, file) = folder();
        file.replace(b"one").expect("written");
        fs::create_dir(file.draft()).expect("a folder in its place");
        assert!(file.replace(b"two").is_err());
        assert_eq!(file.read().expect("readable").as_deref(), Some(&b"one"[..]));
    }
}
