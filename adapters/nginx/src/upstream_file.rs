//! The include file: replaced as a whole or not at all, and put back unless nginx was seen to serve
//! it.
//!
//! Beside it stands the last good one, `.NAME.good`: a file that nginx served. What a crash leaves
//! in between is unproven, and the next start puts the good one back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file that is ours to write.
#[derive(Debug)]
pub(crate) struct UpstreamFile {
    path: PathBuf,
    /// What nginx was seen to serve, or what was there before us.
    good: Vec<u8>,
    /// What stands in it.
    now: Vec<u8>,
}

impl UpstreamFile {
    /// The file at `path`; `first` is written where there is none.
    pub(crate) fn open(path: PathBuf, first: &[u8]) -> io::Result<Self> {
        let mut file = Self { path, good: Vec::new(), now: Vec::new() };
        match (read(&file.beside("good"))?, read(&file.path)?) {
            (Some(good), Some(now)) if good == now => file.now = now,
            (Some(good), _) => file.replace(&good)?,
            (None, Some(now)) => file.now = now,
            (None, None) => file.replace(first)?,
        }
        file.good = file.now.clone();
        Ok(file)
    }

    /// Whether `text` stands in it.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        self.now == text
    }

    /// Puts `text` in its place, or leaves it as it is.
    pub(crate) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        self.put(&self.path, text)?;
        self.now = text.to_vec();
        self.sync()
    }

    /// nginx serves what stands in it: that is the last good one now.
    pub(crate) fn prove(&mut self) -> io::Result<()> {
        if self.good != self.now || !self.beside("good").exists() {
            self.put(&self.beside("good"), &self.now)?;
            self.good.clone_from(&self.now);
            self.sync()?;
        }
        Ok(())
    }

    /// Puts the last good one back. Where even that fails, the next start tries again.
    pub(crate) fn restore(&mut self) {
        if self.now != self.good {
            let good = self.good.clone();
            let _told_with_what_led_here = self.replace(&good);
        }
    }

    /// Writes a file beside its place and renames it into it. The draft's name is matched by no
    /// `*.conf`; a link in its place is not followed.
    fn put(&self, place: &Path, text: &[u8]) -> io::Result<()> {
        let draft = self.beside("draft");
        remove(&draft)?;
        let written = write_new(&draft, text).and_then(|()| fs::rename(&draft, place));
        if written.is_err() {
            let _what_was_half_written = remove(&draft);
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        name.push(ending);
        self.folder().join(name)
    }
}

impl Drop for UpstreamFile {
    /// Whoever ends in the middle of a change leaves the last good one.
    fn drop(&mut self) {
        self.restore();
    }
}

/// What stands in a file; `None` when it is not there.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("upstream.conf");
        (folder, path)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a file")
    }

    #[test]
    fn what_was_not_proven_is_put_back_when_it_is_dropped() {
        let (_folder, path) = folder();
        let mut file = UpstreamFile::open(path.clone(), b"first").expect("written");
        file.replace(b"good").expect("written");
        file.prove().expect("written");
        file.replace(b"unproven").expect("written");
        assert_eq!(text(&path), "unproven");
        drop(file);
        assert_eq!(text(&path), "good");
    }

    #[test]
    fn what_a_crash_left_unproven_is_replaced_at_the_next_start() {
        let (_folder, path) = folder();
        let mut file = UpstreamFile::open(path.clone(), b"first").expect("written");
        file.prove().expect("written");
        drop(file);
        fs::write(&path, "what a crash left").expect("written");
        let file = UpstreamFile::open(path.clone(), b"another first").expect("put back");
        assert_eq!(text(&path), "first");
        assert!(file.is(b"first"));
    }

    #[test]
    fn what_somebody_wrote_before_us_is_good_until_we_know_better() {
        let (_folder, path) = folder();
        fs::write(&path, "theirs").expect("written");
        let mut file = UpstreamFile::open(path.clone(), b"first").expect("read");
        file.replace(b"refused").expect("written");
        file.restore();
        assert_eq!(text(&path), "theirs");
    }

    #[test]
    fn a_link_in_place_of_the_draft_is_not_followed() {
        let (folder, path) = folder();
        let mut file = UpstreamFile::open(path, b"first").expect("written");
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").expect("written");
        std::os::unix::fs::symlink(&victim, file.beside("draft")).expect("a link");
        file.replace(b"one").expect("written");
        assert_eq!(text(&victim), "mine");
    }

    #[test]
    fn a_draft_that_cannot_be_written_leaves_the_file_as_it_was() {
        let (_folder, path) = folder();
        let mut file = UpstreamFile::open(path.clone(), b"first").expect("written");
        fs::create_dir(file.beside("draft")).expect("a folder in its place");
        assert!(file.replace(b"two").is_err());
        assert_eq!(text(&path), "first");
        assert!(file.is(b"first"));
    }
}
