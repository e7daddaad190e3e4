//! A toy web service with a real, finite capacity.
//!
//! `/` and `/work?ms=N` occupy one of a few workers for a known time; everybody else waits in
//! line. One worker and 20 ms make very nearly 50 requests per second. `/health` needs no worker.
//!
//! Not an example of how to write a web service, and not for anything reachable from outside.

mod answer;
mod log;
mod serve;
mod workers;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use answer::{MS_MAX, Service, State};
use log::Log;
use workers::{Occupation, Workers};

/// Serve HTTP/1.1 with a few workers, each occupied by one request at a time.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,

    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub listen: IpAddr,

    /// Requests served at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub workers: u32,

    /// How long a request occupies its worker, in milliseconds, unless it says `?ms=N`
    #[arg(long, default_value_t = 20, value_parser = parse_ms())]
    pub ms: u32,

    /// Milliseconds added to every request
    #[arg(long, env = "EXTRA_DELAY_MS", default_value_t = 0, value_parser = parse_ms())]
    pub extra_delay_ms: u32,

    /// Use the CPU rather than wait
    #[arg(long)]
    pub burn: bool,

    /// How long to go on taking requests after SIGTERM or SIGINT, in seconds, while a load balancer
    /// learns of it
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub linger_s: u32,

    /// How long to finish what is queued after SIGTERM or SIGINT, in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub drain_s: u32,

    /// Folder for a log of each request: when it was received, answered or cut, and when the signal
    /// to end came
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,

    /// Exit when standard input ends: with the parent that holds its other end
    #[arg(long)]
    pub exit_with_parent: bool,
}

fn parse_ms() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=i64::from(MS_MAX))
}

/// Why the service could not run, or not end well.
#[derive(Debug, Error)]
pub enum AppError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; \
         give a free --port (0 takes any) and a local --listen"
    )]
    Listen {
        /// The address as asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system gave no thread, runtime or signal handler.
    #[error("cannot start: {0}; try fewer --workers, or fewer programs at the same time")]
    Start(#[from] std::io::Error),
    /// Requests were still waiting when the time to finish them was over.
    #[error(
        "{unanswered} requests were still unanswered {drain_s} s after the signal to end; \
         give a longer --drain-s"
    )]
    Unanswered {
        /// How many.
        unanswered: usize,
        /// The time that they had.
        drain_s: u32,
    },
}

/// Serves until SIGTERM or SIGINT, finishes what is queued, and returns.
///
/// # Errors
///
/// When the service cannot start, or could not answer everything queued in time.
pub fn run(args: &Args) -> Result<(), AppError> {
    crate::open_files::raise_limit();
    let service = service(args)?;
    // One thread: many of these share a few cores, and answering is not what takes the time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::new(args.listen, args.port);
        let listener =
            serve::listen(address).map_err(|source| AppError::Listen { address, source })?;
        let address = listener.local_addr()?;
        let drain = leave(drain_signal()?, &service, args.linger_s);
        let parent_gone = crate::program::parent_gone(args.exit_with_parent)?;
        let pid = std::process::id();
        let _log_reader_is_gone =
            writeln!(std::io::stderr(), "app: serving on http://{address}/ as process {pid}");
        let drain_at_most = Duration::from_secs(args.drain_s.into());
        tokio::select! {
            biased;
            () = parent_gone => Ok(()),
            unanswered = serve::until_drained(listener, service, drain, drain_at_most) => {
                match unanswered {
                    0 => Ok(()),
                    _ => Err(AppError::Unanswered { unanswered, drain_s: args.drain_s }),
                }
            }
        }
    })
}

fn service(args: &Args) -> Result<Service, std::io::Error> {
    let occupation = if args.burn { Occupation::Burn } else { Occupation::Sleep };
    Ok(Service {
        workers: Workers::start(args.workers, occupation)?,
        ms_default: args.ms,
        extra_delay: Duration::from_millis(args.extra_delay_ms.into()),
        state: std::sync::Arc::new(State::default()),
        log: std::sync::Arc::new(match &args.log_dir {
            Some(folder) => Log::create(folder)?,
            None => Log::default(),
        }),
    })
}

fn drain_signal() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The end of taking requests: `linger_s` after `signal`. Whoever asks for health, or holds a
/// connection, is told at once.
fn leave<S: Future<Output = ()>>(
    signal: S,
    service: &Service,
    linger_s: u32,
) -> impl Future<Output = ()> + use<S> {
    let state = std::sync::Arc::clone(&service.state);
    let log = std::sync::Arc::clone(&service.log);
    async move {
        signal.await;
        log.told_to_end();
        state.is_draining.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs(linger_s.into())).await;
    }
}

#[cfg(test)]
mod tests;
