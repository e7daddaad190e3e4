//! Shows what the other programs tell each other: latencies, what is normal, replicas, actions and
//! what became of them. It reads only, and gives no orders.

mod actions;
mod http;
mod json;
mod state;
mod windows;

use std::ffi::OsString;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, Command};
use planner_examples_local::program::say;
use planner_redis::{Bus, BusError, Channel, Entry, MembershipReader, Mode, Reader, RoutingReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use self::state::State;
use crate::parts;
use crate::program::{Context, Failure};

/// Pages are told at most once in this time.
const PAUSE: Duration = Duration::from_millis(250);
/// Entries of each stream that it begins with.
const LAST: u32 = 100;

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("dashboard")
        .about("Shows windows, replicas, actions and results on a page of its own")
        .arg(Arg::new("i-understand").long("i-understand").action(ArgAction::SetTrue).help(
            "Allow a LISTEN that others can reach: there is no login, whoever reaches it sees all",
        ))
        .after_help(
            "Serves / for people, /api/state as JSON and /api/events as server-sent events, on \
             loopback, to at most 50 pages at a time. It reads Redis and changes nothing. From \
             elsewhere use a tunnel: ssh -L 8090:127.0.0.1:8090 HOST.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let listen = listen(&context)?;
    let bus = parts::bus(&context.settings).await?;
    let listener = TcpListener::bind(listen).await.map_err(|cause| {
        format!("LISTEN: {listen}: {cause}; end who listens there, or name another address")
    })?;
    let listen = listener.local_addr()?;
    let mode = match bus.mode() {
        Mode::PubSub => "pubsub",
        Mode::Streams => "streams",
    };
    let state = State::new(bus.service().clone(), mode);
    let (tell, told) = watch::channel(Arc::from(state.to_json()));
    let serving = axum::serve(listener, http::router(told, listen.ip())).into_future();
    say(&format!("http://{listen}/"));
    tracing::info!(%listen, service = %bus.service(), "showing");
    tokio::select! {
        () = context.stopped() => Ok(()),
        served = serving => Ok(served?),
        followed = Follower::new(&bus, state, tell).run() => followed,
    }
}

/// Where to listen: on loopback, unless somebody says that they know better.
fn listen(context: &Context) -> Result<SocketAddr, Failure> {
    let settings = &context.settings;
    let rule = "a loopback address like 127.0.0.1:8090 (the page has no login; --i-understand \
                opens it to others)";
    match parts::address(settings, "LISTEN")? {
        Some(address) if address.ip().to_canonical().is_loopback() => Ok(address),
        Some(address) if context.matches.get_flag("i-understand") => Ok(address),
        _ => Err(settings.not("LISTEN", rule).into()),
    }
}

/// What brings everything together.
struct Follower {
    alerts: Reader,
    actions: Reader,
    results: Reader,
    members: MembershipReader,
    routing: RoutingReader,
    state: State,
    tell: watch::Sender<Arc<str>>,
}

impl Follower {
    fn new(bus: &Bus, state: State, tell: watch::Sender<Arc<str>>) -> Self {
        Self {
            alerts: Reader::follow(bus, Channel::Alerts, LAST),
            actions: Reader::follow(bus, Channel::Actions, LAST),
            results: Reader::follow(bus, Channel::Results, LAST),
            members: MembershipReader::new(bus),
            routing: RoutingReader::new(bus),
            state,
            tell,
        }
    }

    async fn run(mut self) -> Result<(), Failure> {
        let mut due = None;
        let mut told = Instant::now();
        loop {
            tokio::select! {
                entry = self.alerts.next() => self.heard(entry, State::alert)?,
                entry = self.actions.next() => self.heard(entry, State::action)?,
                entry = self.results.next() => self.heard(entry, State::result)?,
                members = self.members.next() => self.take(members, State::members)?,
                routing = self.routing.next() => self.take(routing, State::routing)?,
                () = sleep_until(due.unwrap_or(told)), if due.is_some() => {
                    self.tell.send_replace(Arc::from(self.state.to_json()));
                    (told, due) = (Instant::now(), None);
                    continue;
                }
            }
            due = due.or(Some(told + PAUSE));
        }
    }

    /// The same for a message that is still to be read.
    fn heard(
        &mut self,
        entry: Result<Entry, BusError>,
        take: fn(&mut State, &[u8]),
    ) -> Result<(), BusError> {
        self.take(entry, |state, entry| take(state, &entry.bytes))
    }

    /// Takes what came, or that Redis is lost for now.
    fn take<T>(
        &mut self,
        came: Result<T, BusError>,
        take: impl FnOnce(&mut State, T),
    ) -> Result<(), BusError> {
        match came {
            Ok(came) => take(&mut self.state, came),
            Err(error @ BusError::Unavailable { .. }) => {
                tracing::warn!(%error, "Redis is lost");
                self.state.set_lost(true);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.state.set_lost(false);
        Ok(())
    }
}
