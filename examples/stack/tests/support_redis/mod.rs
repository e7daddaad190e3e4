//! A real Redis on loopback with its own folder, spoken to without a client of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A Redis of a test's own; killed when the test is over.
pub(crate) struct Redis {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    process: Option<Child>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let mut redis = Self { folder, port, process: None };
        redis.run();
        redis
    }

    /// Starts the process, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"])
            .args(["--port", &self.port.to_string(), "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
        for _ in 0..200 {
            if self.try_ask(&["PING"]).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server did not start");
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it was alive");
            process.wait().expect("a status");
        }
    }

    /// Sends a command; the first line of the answer.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let answer = self.try_ask(command).expect("an answer");
        assert!(!answer.starts_with('-'), "{answer}");
        answer
    }

    fn try_ask(&self, command: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "*{}\r\n", command.len()).ok()?;
        for word in command {
            write!(stream, "${}\r\n{word}\r\n", word.len()).ok()?;
        }
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _it_may_have_ended = process.kill();
            let _status = process.wait();
        }
    }
}
