//! The big red button: a file, a signal or a key in Redis. While any of them says so nothing is
//! scaled, whatever everybody else says.

use std::path::PathBuf;
use std::time::Duration;

use planner_examples_local::settings::Settings;
use planner_redis::Bus;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::program::Failure;

/// How often it is looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// What a program's help says of it.
pub(crate) const HELP: &str = "Nothing is scaled while PAUSE_FILE is there, between SIGUSR1 and SIGUSR2, and while Redis has \
     the key planner:SERVICE:pause.";

/// What may pause; the file outlives every restart, the key those of programs, a signal none.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    file: Option<PathBuf>,
    told: watch::Receiver<Told>,
}

/// What was last heard.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    by_signal: bool,
    by_key: bool,
}

impl Pause {
    /// Begins to listen, and has looked once where Redis answers.
    pub(crate) async fn listen(settings: &Settings, bus: &Bus) -> Result<Self, Failure> {
        let file = settings.text("PAUSE_FILE").map(PathBuf::from);
        let (tell, told) = watch::channel(Told::default());
        let pause = signal(SignalKind::user_defined1())?;
        let go_on = signal(SignalKind::user_defined2())?;
        look(bus, &tell).await;
        tokio::spawn(obey(pause, go_on, tell.clone()));
        let bus = bus.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                look(&bus, &tell).await;
            }
        });
        Ok(Self { file, told })
    }

    /// Who pauses, if anybody.
    pub(crate) fn by(&self) -> Option<&'static str> {
        let told = *self.told.borrow();
        // What cannot be looked at counts as there.
        if self.file.as_ref().is_some_and(|file| file.try_exists().unwrap_or(true)) {
            Some("the pause file is there")
        } else if told.by_signal {
            Some("SIGUSR1 was sent; SIGUSR2 ends it")
        } else {
            told.by_key.then_some("Redis has the key planner:SERVICE:pause")
        }
    }

    /// Whether anybody does.
    pub(crate) fn is_on(&self) -> bool {
        self.by().is_some()
    }
}

/// Looks for the key. While Redis does not answer, what it said last holds.
async fn look(bus: &Bus, tell: &watch::Sender<Told>) {
    if let Ok(by_key) = bus.is_paused().await {
        tell.send_modify(|told| told.by_key = by_key);
    }
}

/// Obeys signals.
async fn obey(mut pause: Signal, mut go_on: Signal, tell: watch::Sender<Told>) {
    loop {
        let by_signal = tokio::select! {
            Some(()) = pause.recv() => true,
            Some(()) = go_on.recv() => false,
            else => return,
        };
        tracing::info!(by_signal, "told to pause or to go on");
        tell.send_modify(|told| told.by_signal = by_signal);
    }
}
