//! Sees every record of a run: writes the journal, keeps the rows of the report, draws the view.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Stdout, Write};

use planner_core::journal::Record;
use planner_core::{Config, Decision, Event, NoSignal, Planner, Policy, Step, Timestamp};
use planner_runtime::{Fault, Flow, JournalError, JournalWriter, Observer};

use crate::report::{DecisionRow, Direction, WindowRow};
use crate::score::score;
use crate::view::{Screen, ViewState, frame, plain_line};

/// Windows of the sparkline.
const RECENT_WINDOWS: usize = 60;
/// Decisions that the view shows.
const RECENT_DECISIONS: usize = 5;

/// Where the run is shown as it happens.
pub enum View {
    /// A line per window.
    Lines,
    /// Nowhere.
    None,
    /// In place, this many columns wide.
    Screen(Screen<Stdout>, usize),
}

impl View {
    /// In place on a terminal, line by line elsewhere.
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self::Lines;
        }
        let columns = rustix::termios::tcgetwinsize(&stdout).map(|size| size.ws_col);
        Self::Screen(Screen::new(stdout), columns.map_or(100, usize::from))
    }
}

/// Collects a run.
pub struct Recorder {
    /// None where somebody else keeps it.
    journal: Option<JournalWriter>,
    config: Config,
    /// When the load began.
    load_start: Timestamp,
    view: View,
    state: ViewState,
    /// The generator's log as it grows, and where no whole line was read yet.
    requests: Option<BufReader<File>>,
    /// What it has collected.
    pub rows: Rows,
    /// The journal could not be written; that ended the run.
    pub broken: Option<JournalError>,
}

/// What a run leaves for the report.
#[derive(Debug, Default)]
pub struct Rows {
    /// Every window.
    pub windows: Vec<WindowRow>,
    /// Decisions that scaled.
    pub scalings: Vec<DecisionRow>,
    /// How many decisions there were.
    pub decisions: u64,
    /// Requests that were measured.
    pub measured: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// What went wrong outside.
    pub faults: Vec<String>,
}

impl Recorder {
    /// A recorder that writes `journal` and draws `state` as it changes.
    pub fn new(
        journal: Option<JournalWriter>,
        config: Config,
        load_start: Timestamp,
        state: ViewState,
        view: View,
    ) -> Self {
        Self {
            journal,
            config,
            load_start,
            view,
            state,
            requests: None,
            rows: Rows::default(),
            broken: None,
        }
    }

    /// Counts the requests of a log as it grows, for the view.
    pub fn follow(&mut self, log: File) {
        self.requests = Some(BufReader::new(log));
        self.state.slow = Some(0);
    }

    fn seconds(&self, at: Timestamp) -> f64 {
        at.as_secs_f64() - self.load_start.as_secs_f64()
    }

    fn take_decision(&mut self, decision: &Decision) {
        self.rows.decisions += 1;
        self.take_window(decision);
        let row = decision_row(decision, self.seconds(decision.at));
        if decision.target().is_some() {
            self.rows.scalings.push(row.clone());
        }
        if decision.target().is_some() || self.state.decisions.is_empty() {
            self.state.decisions.push(row);
            if self.state.decisions.len() > RECENT_DECISIONS {
                self.state.decisions.remove(0);
            }
        }
    }

    fn take_window(&mut self, decision: &Decision) {
        let derivation = &decision.derivation;
        let window = &derivation.window;
        let thresholds = derivation.thresholds;
        let millis = |latency: planner_core::Latency| latency.as_millis();
        let row = WindowRow {
            t_s: self.seconds(window.end()),
            p95_ms: window.latencies().map(|found| millis(found.p95())),
            p50_ms: window.latencies().and_then(|found| found.p50()).map(millis),
            baseline_ms: derivation.estimate.map(|estimate| millis(estimate.median)),
            band_high_ms: derivation
                .estimate
                .map(|estimate| estimate.band_high_ms(&self.config, thresholds)),
            arrivals_per_s: window.traffic().map(|traffic| traffic.arrivals_per_s()),
            in_flight: window.traffic().and_then(|traffic| traffic.in_flight()),
            success_share: window.error_share().map(|share| 1.0 - share),
            ready: window.ready(),
            starting: window.starting(),
        };
        self.rows.measured += u64::from(window.samples());
        self.rows.failed += u64::from(window.samples() - window.successes());
        self.rows.windows.push(row);
    }

    fn draw(&mut self) {
        let from = self.rows.windows.len().saturating_sub(RECENT_WINDOWS);
        self.state.last = self.rows.windows.last().copied();
        self.state.elapsed_s = self.state.last.map_or(0.0, |window| window.t_s.max(0.0));
        self.state.recent_p95_ms =
            self.rows.windows.iter().skip(from).map(|row| row.p95_ms).collect();
        if self.requests.is_some() {
            self.count_requests();
        } else {
            self.state.failed = self.rows.failed;
            self.state.requests = self.rows.measured;
        }
        let drawn = match &mut self.view {
            View::None => Ok(()),
            View::Lines => writeln!(std::io::stdout(), "{}", plain_line(&self.state)),
            View::Screen(screen, width) => screen.draw(&frame(&self.state, *width)),
        };
        if drawn.is_err() {
            self.view = View::None; // The reader is gone; the run goes on.
        }
    }

    /// Adds what the log has gained. A line that is not whole yet is left for the next time.
    fn count_requests(&mut self) {
        let Some(log) = &mut self.requests else {
            return;
        };
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|length| length > 0) {
            if !line.ends_with('\n') {
                let back = i64::try_from(line.len()).unwrap_or(0);
                let _read_again_next_time = log.seek_relative(-back);
                return;
            }
            if let Ok(record) = serde_json::from_str(&line) {
                let counted = score(&[record], self.state.slo_ms);
                self.state.requests += counted.requests;
                self.state.failed += counted.failed;
                self.state.slow = self.state.slow.map(|slow| slow + counted.slow);
            }
            line.clear();
        }
    }
}

impl Recorder {
    /// Takes a record in; the run ends when it cannot be written.
    pub fn take(&mut self, record: &Record) -> Flow {
        let written = self.journal.as_mut().map_or(Ok(()), |journal| journal.record(record));
        if let Err(error) = written {
            self.broken = Some(error);
            return Flow::Break;
        }
        if let Step::Decide(decision) = &record.step {
            self.take_decision(decision);
        }
        if matches!(record.event, Event::Observe(_)) {
            self.draw();
        }
        Flow::Continue
    }
}

impl<P: Policy<Signal = NoSignal>> Observer<P> for Recorder {
    fn on_record(&mut self, record: &Record, _: &Planner<P>) -> Flow {
        self.take(record)
    }

    fn on_fault(&mut self, fault: &Fault) {
        self.rows.faults.push(fault.to_string());
    }
}

/// A decision as the report shows it.
fn decision_row(decision: &Decision, at_s: f64) -> DecisionRow {
    let derivation = &decision.derivation;
    let direction = match (decision.target(), derivation.current) {
        (Some(to), Some(from)) if to > from => Direction::Out,
        (Some(_), _) => Direction::In,
        (None, _) => Direction::Hold,
    };
    let reasons: Vec<String> =
        derivation.proposal.reasons.iter().map(ToString::to_string).collect();
    DecisionRow {
        id: decision.id.get(),
        at_s,
        from: derivation.current,
        to: decision.target(),
        direction,
        why: reasons.join("; "),
        binding: derivation.binding.to_string(),
        derivation: derivation.to_string().lines().map(str::to_owned).collect(),
    }
}
