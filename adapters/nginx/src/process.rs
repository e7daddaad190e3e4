//! nginx as a process: validated, signalled, and its workers counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, Command};

/// Most bytes kept of what a command complains about.
const COMPLAINT_BYTES_MAX: u64 = 2_048;
/// How long a command that has ended is listened to.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a command to its end; what it complained about when it fails or takes too long. It inherits
/// the search path and nothing else of the environment.
pub(crate) async fn run(command: &[String], deadline: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(String::from("no program"));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let complaint = child.stderr.take().map(|pipe| tokio::spawn(listen(pipe)));
    let Ok(status) = tokio::time::timeout(deadline, child.wait()).await else {
        if let Some(group) = group {
            let _it_may_have_ended_just_now = kill_process_group(group, Signal::KILL);
        }
        return Err(format!("{program} has not ended after {deadline:?}"));
    };
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    // Whatever it started may hold the pipe open; its own complaint is there by now.
    let heard = match complaint {
        Some(complaint) => tokio::time::timeout(GRACE, complaint).await.ok().and_then(Result::ok),
        None => None,
    };
    Err(format!("{program}: {status}: {}", one_line(&heard.unwrap_or_default())))
}

/// Reads what a command complains about, and drops what is too much, so that it never waits.
async fn listen(mut pipe: ChildStderr) -> Vec<u8> {
    let mut text = Vec::new();
    let mut limited = (&mut pipe).take(COMPLAINT_BYTES_MAX);
    let _as_far_as_it_can_be_read = limited.read_to_end(&mut text).await;
    let _nobody_needs_it = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    text
}

/// Text of another program on one line, without control characters.
fn one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|char| !char.is_control()).collect()
}

/// Asks the master process to read its configuration again.
pub(crate) fn hang_up(pid_file: &Path) -> Result<(), String> {
    let pid = master(pid_file)?;
    kill_process(pid, Signal::HUP).map_err(|error| format!("signalling process {pid:?}: {error}"))
}

/// The master process; an error when the number in the file is not nginx's, as after a crash.
fn master(pid_file: &Path) -> Result<Pid, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", pid_file.display());
    let text = std::fs::read_to_string(pid_file).map_err(|error| told(&error))?;
    let number: i32 = text.trim().parse().map_err(|_| told(&"no process number"))?;
    // 0 and below would be groups of processes; 1 is nginx in a container of its own.
    let pid = Some(number).filter(|number| *number > 0).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| told(&"no process"))?;
    let title = std::fs::read_to_string(format!("/proc/{number}/cmdline"))
        .map_err(|_| told(&format_args!("process {number} is gone")))?;
    if title.starts_with("nginx: master") {
        return Ok(pid);
    }
    Err(told(&format_args!("process {number} is not nginx")))
}

/// nginx's workers.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) numbers: BTreeSet<i32>,
    /// One of them takes no new requests, and finishes those that it has.
    pub(crate) are_finishing: bool,
}

/// nginx's present workers; `None` where they cannot be known.
pub(crate) fn workers(pid_file: &Path) -> Option<Workers> {
    let pid = master(pid_file).ok()?.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let numbers: BTreeSet<i32> =
        children.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let are_finishing = numbers.iter().any(|number| {
        let title = std::fs::read_to_string(format!("/proc/{number}/cmdline"));
        title.is_ok_and(|title| title.contains("is shutting down"))
    });
    Some(Workers { numbers, are_finishing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up_and_killed() {
        let began = std::time::Instant::now();
        let error = run(&words("sleep 60"), Duration::from_millis(100)).await;
        assert_eq!(error, Err(String::from("sleep has not ended after 100ms")));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_command_that_complains_without_end_is_told_in_one_line() {
        let script = "yes 'a b' | head -c 1000000 >&2; exit 3";
        let command = ["sh", "-c", script].map(String::from);
        let error = run(&command, Duration::from_secs(10)).await.expect_err("it failed");
        assert!(error.starts_with("sh: exit status: 3: a b a b"), "{error}");
        assert!(error.len() < 2_200 && !error.contains('\n'));
    }

    #[tokio::test]
    async fn a_command_that_leaves_something_behind_has_ended_when_it_has() {
        let command = ["sh", "-c", "sleep 5 & exit 0"].map(String::from);
        let began = std::time::Instant::now();
        assert_eq!(run(&command, Duration::from_secs(4)).await, Ok(()));
        assert!(began.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = run(&words("no-such-program -t"), Duration::from_secs(1)).await;
        assert!(error.expect_err("it is not there").starts_with("no-such-program: "));
    }

    #[test]
    fn a_number_that_is_not_nginx_is_not_signalled() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("nginx.pid");
        let own = std::process::id().to_string();
        for (text, why) in [
            (own.as_str(), format!("process {own} is not nginx")),
            ("0", String::from("no process")),
            ("-1", String::from("no process")),
            ("junk", String::from("no process number")),
            ("2147483646", String::from("process 2147483646 is gone")),
        ] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(hang_up(&file), Err(format!("{}: {why}", file.display())));
            assert!(workers(&file).is_none());
        }
    }
}
