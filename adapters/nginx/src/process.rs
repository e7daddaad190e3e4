//! nginx as a process: validated, signalled, and its workers counted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Most bytes kept of what a command complains about.
const COMPLAINT_BYTES_MAX: u64 = 2_048;

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
    let complaint = child.stderr.take();
    let ended = async {
        let mut text = Vec::new();
        if let Some(mut pipe) = complaint {
            let mut limited = (&mut pipe).take(COMPLAINT_BYTES_MAX);
            let _as_far_as_it_can_be_read = limited.read_to_end(&mut text).await;
            // What is beyond is read too, or a program that says much would wait for ever.
            let _nobody_needs_it = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        }
        (child.wait().await, text)
    };
    match tokio::time::timeout(deadline, ended).await {
        Err(_) => Err(format!("{program} has not ended after {deadline:?}")),
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), text)) => Err(format!("{program}: {status}: {}", one_line(&text))),
        Ok((Err(error), _)) => Err(format!("{program}: {error}")),
    }
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
    // 0 and below would be groups of processes.
    let pid = Some(number).filter(|number| *number > 1).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| told(&"no process"))?;
    let title = std::fs::read_to_string(format!("/proc/{number}/cmdline"))
        .map_err(|_| told(&format_args!("process {number} is gone")))?;
    if title.starts_with("nginx: master") {
        return Ok(pid);
    }
    Err(told(&format_args!("process {number} is not nginx")))
}

/// The numbers of nginx's present workers; `None` where they cannot be known.
pub(crate) fn workers(pid_file: &Path) -> Option<BTreeSet<i32>> {
    let pid = master(pid_file).ok()?.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(children.split_whitespace().filter_map(|number| number.parse().ok()).collect())
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
        let script = String::from("yes 'a b' | head -c 1000000 >&2; exit 3");
        let command = [String::from("sh"), String::from("-c"), script];
        let error = run(&command, Duration::from_secs(10)).await.expect_err("it failed");
        assert!(error.starts_with("sh: exit status: 3: a b a b"), "{error}");
        assert!(error.len() < 2_200 && !error.contains('\n'));
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
            ("1", String::from("no process")),
            ("-1", String::from("no process")),
            ("junk", String::from("no process number")),
            ("2147483646", String::from("process 2147483646 is gone")),
        ] {
            std::fs::write(&file, text).expect("written");
            assert_eq!(hang_up(&file), Err(format!("{}: {why}", file.display())));
            assert_eq!(workers(&file), None);
        }
    }
}
