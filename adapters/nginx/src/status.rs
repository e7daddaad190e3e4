//! Which generation nginx serves, asked on fresh connections: an old worker answers on old ones.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::render::{COUNTERS, Generation, PATH};

/// Fresh connections in a row that must find the generation: a reload is asynchronous, and old
/// workers accept for a little longer.
const MATCHES_MIN: u32 = 5;
/// Time between two of them.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest time that one answer may take.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// Waits until nginx serves `generation`, at most `deadline` long; what was found instead.
pub(crate) async fn verify(
    status: SocketAddr,
    generation: Generation,
    deadline: Duration,
) -> Result<(), String> {
    let expected = generation.to_string();
    let end = Instant::now() + deadline;
    let mut matches = 0;
    loop {
        let found = timeout(ANSWER_MAX, ask(status)).await;
        let found = found.unwrap_or_else(|_| Err(format!("no answer after {ANSWER_MAX:?}")));
        matches = if found.as_ref() == Ok(&expected) { matches + 1 } else { 0 };
        if matches >= MATCHES_MIN {
            return Ok(());
        }
        if Instant::now() >= end {
            let found = match found {
                Ok(found) => format!("it serves generation {found}"),
                Err(error) => error,
            };
            return Err(format!("generation {expected} is not served after {deadline:?}: {found}"));
        }
        sleep(PAUSE).await;
    }
}

/// The generation that one fresh connection finds.
async fn ask(status: SocketAddr) -> Result<String, String> {
    let body = fetch(status, PATH).await?;
    let legal = body.len() == 16 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
    if legal { Ok(body) } else { Err(format!("{status} tells no generation")) }
}

/// What nginx has counted since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests that came, this question included.
    pub(crate) requests: u64,
    /// Requests that are read or answered at the moment.
    pub(crate) under_way: u32,
}

/// Asks nginx for its counters.
pub(crate) async fn counters(status: SocketAddr) -> Result<Counters, String> {
    let body = timeout(ANSWER_MAX, fetch(status, COUNTERS)).await;
    let body = body.unwrap_or_else(|_| Err(format!("{status}: no answer after {ANSWER_MAX:?}")))?;
    parse(&body).ok_or_else(|| format!("{status} tells no counters"))
}

/// The numbers of `stub_status`: the third of its third line, reading plus writing of its fourth.
fn parse(body: &str) -> Option<Counters> {
    let mut lines = body.lines().skip(2);
    let requests = lines.next()?.split_ascii_whitespace().nth(2)?.parse().ok()?;
    let mut words = lines.next()?.split_ascii_whitespace();
    let mut number = |name: &str| -> Option<u32> {
        (words.next()? == name).then_some(())?;
        words.next()?.parse().ok()
    };
    let (reading, writing) = (number("Reading:")?, number("Writing:")?);
    // Our own question is being answered.
    let under_way = reading.checked_add(writing)?.saturating_sub(1);
    Some(Counters { requests, under_way })
}

/// The body of an answer, on a connection of its own.
async fn fetch(status: SocketAddr, path: &str) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{status}: {error}");
    let mut stream = TcpStream::connect(status).await.map_err(told)?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(told)?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_what_nginx_says() {
        let body = "Active connections: 3 \nserver accepts handled requests\n 11 11 27 \n\
                    Reading: 1 Writing: 2 Waiting: 0 \n";
        assert_eq!(parse(body), Some(Counters { requests: 27, under_way: 2 }));
        for junk in ["", "one\ntwo\nthree", "\n\n1 2 3\nWriting: 1 Reading: 1", "\n\n1 2 x\n"] {
            assert_eq!(parse(junk), None, "{junk:?}");
        }
    }
}
