//! Which generation nginx serves, asked on fresh connections: an old worker answers on old ones.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::render::{Generation, PATH};

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
    let told = |error: std::io::Error| format!("{status}: {error}");
    let mut stream = TcpStream::connect(status).await.map_err(told)?;
    let request = format!("GET {PATH} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(told)?;
    let answer = String::from_utf8_lossy(&answer);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let legal = |body: &&str| body.len() == 16 && body.bytes().all(|b| b.is_ascii_hexdigit());
    match body.filter(legal) {
        Some(generation) => Ok(generation.to_owned()),
        None => Err(format!("{status} tells no generation")),
    }
}
