//! What the executor must not forget: who it is, and what it has accepted.

use std::fs::File;
use std::path::{Path, PathBuf};

use planner_examples_local::report::write_atomically;
use planner_redis::Fence;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::new_install_id;
use crate::program::Failure;

/// What is on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    /// Whose containers they are.
    install: String,
    fence: Fence,
    /// The last target that was accepted.
    target: Option<u32>,
}

/// The executor's memory. What it says is on disk, and beside it what it said before: a file that a
/// failing disk has torn costs one order, which is obeyed again, and not the id.
#[derive(Debug)]
pub(super) struct Ledger {
    file: PathBuf,
    stored: Stored,
}

impl Ledger {
    /// The ledger in `file`; a new one, with a new id, where there is none.
    pub(super) fn open(file: PathBuf) -> Result<Self, Failure> {
        let stored = match (read(&file), read(&before(&file))) {
            (Ok(Some(stored)), _) => stored,
            (told, Ok(Some(stored))) => {
                let why = told.err().unwrap_or_else(|| String::from("it is gone"));
                tracing::warn!(file = %file.display(), why, "going on from the ledger before");
                stored
            }
            (Ok(None), Ok(None)) => {
                Stored { install: new_install_id()?, fence: Fence::default(), target: None }
            }
            (Err(cause), _) | (_, Err(cause)) => {
                let file = file.display();
                let rule = "restore it, or remove it and its containers";
                return Err(format!("{file}: {cause}; {rule}").into());
            }
        };
        let ledger = Self { file, stored };
        write_atomically(&ledger.file, &serde_json::to_vec(&ledger.stored)?)?;
        Ok(ledger)
    }

    pub(super) fn install(&self) -> &str {
        &self.stored.install
    }

    pub(super) fn fence(&self) -> Fence {
        self.stored.fence
    }

    pub(super) fn target(&self) -> Option<u32> {
        self.stored.target
    }

    /// Remembers what was accepted. Only then may it be carried out.
    pub(super) fn accept(&mut self, fence: Fence, target: u32) -> Result<(), Failure> {
        let next = Stored { fence, target: Some(target), ..self.stored.clone() };
        write_atomically(&before(&self.file), &serde_json::to_vec(&self.stored)?)?;
        write_atomically(&self.file, &serde_json::to_vec(&next)?)?;
        self.stored = next;
        Ok(())
    }
}

/// Where the one before is.
fn before(file: &Path) -> PathBuf {
    file.with_extension("json.before")
}

/// What is in a file, if it is there.
fn read(file: &Path) -> Result<Option<Stored>, String> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Held for as long as the program runs: two executors with one memory would fight.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, Failure> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            format!("{}: another executor runs with this STATE_DIR; stop it first", path.display())
        })?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_is_known_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("executor.json");
        let mut ledger = Ledger::open(file.clone()).expect("a new one");
        let install = ledger.install().to_owned();
        let mut fence = ledger.fence();
        (fence.epoch_max, fence.seq_last) = (3, 7);
        ledger.accept(fence, 4).expect("written");
        let again = Ledger::open(file).expect("there");
        assert_eq!((again.fence(), again.target(), again.install()), (fence, Some(4), &*install));
    }

    #[test]
    fn a_broken_one_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("executor.json");
        std::fs::write(&file, "{").expect("written");
        let told = Ledger::open(file.clone()).expect_err("broken").to_string();
        assert!(told.ends_with("restore it, or remove it and its containers"), "{told}");
        assert_eq!(std::fs::read(&file).expect("there"), b"{");
    }

    #[test]
    fn one_that_is_torn_anywhere_goes_on_from_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("executor.json");
        let mut ledger = Ledger::open(file.clone()).expect("a new one");
        let install = ledger.install().to_owned();
        let mut fence = ledger.fence();
        for seq in 1..=2 {
            (fence.epoch_max, fence.seq_last) = (1, seq);
            ledger.accept(fence, 3 + u32::try_from(seq).expect("small")).expect("written");
        }
        let whole = std::fs::read(&file).expect("there");
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).expect("written");
            let again = Ledger::open(file.clone()).expect("the one before");
            assert_eq!((again.install(), again.target()), (&*install, Some(4)), "{length}");
            assert_eq!(again.fence().seq_last, 1, "the last order is obeyed once more");
        }
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(Ledger::open(file).expect("the one before").target(), Some(4));
    }

    #[test]
    fn two_executors_do_not_share_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("executor.lock");
        let first = Lock::take(&path).expect("free");
        let told = Lock::take(&path).expect_err("taken").to_string();
        assert!(told.ends_with("stop it first"), "{told}");
        drop(first);
        Lock::take(&path).expect("free again");
    }
}
