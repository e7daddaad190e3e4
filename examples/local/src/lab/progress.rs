//! How far a long run is, on standard error.
//!
//! A terminal gets one line that is redrawn, with the time left; anything else gets a line for
//! each part that is finished. Not for results: those go to standard output.

use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

/// A terminal is redrawn this often at most.
const REDRAW: Duration = Duration::from_millis(100);

/// Work done and to do, in any unit that is proportional to time.
pub(super) struct Progress {
    to: Box<dyn Write>,
    is_terminal: bool,
    begun: Instant,
    drawn: Option<Instant>,
    done: f64,
    all: f64,
    /// How much of each part is still to do, with its name; parts end when nothing is.
    parts: Vec<(String, f64)>,
}

impl Progress {
    /// Of parts with their names and work, told on standard error.
    pub(super) fn on_stderr(parts: Vec<(String, f64)>) -> Self {
        let to = std::io::stderr();
        let is_terminal = to.is_terminal();
        Self::new(Box::new(to), is_terminal, parts)
    }

    /// Told to nobody.
    pub(super) fn silent() -> Self {
        Self::new(Box::new(std::io::sink()), false, Vec::new())
    }

    fn new(to: Box<dyn Write>, is_terminal: bool, parts: Vec<(String, f64)>) -> Self {
        let all = parts.iter().map(|(_, work)| work).sum();
        Self { to, is_terminal, begun: Instant::now(), drawn: None, done: 0.0, all, parts }
    }

    /// So much of a part is done.
    pub(super) fn advance(&mut self, part: usize, work: f64) {
        self.done += work;
        let Some((name, left)) = self.parts.get_mut(part) else { return };
        let was_under_way = *left > 0.0;
        // What is left of sums of fractions is never exactly nothing.
        *left -= work;
        let is_over = was_under_way && *left <= 1e-9 * self.all;
        if is_over {
            *left = 0.0;
        }
        let name = name.clone();
        let now = Instant::now();
        let elapsed = now.duration_since(self.begun);
        // Nobody to tell is no reason to stop.
        if self.is_terminal {
            let is_due = self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= REDRAW);
            if is_due {
                self.drawn = Some(now);
                let line = self.line(&name, elapsed);
                let _nobody_reads =
                    write!(self.to, "\r{line}\u{1b}[K").and_then(|()| self.to.flush());
            }
        } else if is_over {
            let line = self.line(&name, elapsed);
            let _nobody_reads = writeln!(self.to, "{line}");
        }
    }

    /// Takes the line away.
    pub(super) fn finish(mut self) {
        if self.is_terminal {
            let _nobody_reads = write!(self.to, "\r\u{1b}[K").and_then(|()| self.to.flush());
        }
    }

    fn line(&self, name: &str, elapsed: Duration) -> String {
        let over = self.parts.iter().filter(|(_, left)| *left <= 0.0).count();
        let share = if self.all > 0.0 { (self.done / self.all).clamp(0.0, 1.0) } else { 1.0 };
        let left_s = if share > 0.0 { elapsed.as_secs_f64() * (1.0 / share - 1.0) } else { 0.0 };
        let parts = self.parts.len();
        format!("{:3.0} %  {over} of {parts}  {}  {name}", 100.0 * share, time_left(left_s))
    }
}

/// `about 2 min 5 s left`.
fn time_left(left_s: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let left_s = left_s.round() as u64;
    let (hours, minutes, seconds) = (left_s / 3_600, left_s / 60 % 60, left_s % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s left"),
        (0, minutes) => format!("{minutes} min {seconds} s left"),
        (hours, minutes) => format!("{hours} h {minutes} min left"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was told.
    #[derive(Clone, Default)]
    struct Told(Rc<RefCell<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Told {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("text")
        }
    }

    fn parts() -> Vec<(String, f64)> {
        vec![("one".to_owned(), 2.0), ("two".to_owned(), 2.0)]
    }

    #[test]
    fn without_a_terminal_each_finished_part_is_one_line() {
        let told = Told::default();
        let mut progress = Progress::new(Box::new(told.clone()), false, parts());
        for (part, work) in [(1, 1.5), (0, 0.9), (0, 1.1), (7, 0.0), (1, 0.5)] {
            progress.advance(part, work);
        }
        progress.finish();
        let text = told.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with(" 88 %  1 of 2  ") && lines[0].ends_with("one"), "{text}");
        assert!(lines[1].starts_with("100 %  2 of 2  ") && lines[1].ends_with("two"), "{text}");
    }

    #[test]
    fn a_terminal_is_redrawn_in_place_and_left_clean() {
        let told = Told::default();
        let mut progress = Progress::new(Box::new(told.clone()), true, parts());
        progress.advance(0, 1.0);
        progress.advance(0, 1.0);
        progress.finish();
        let text = told.text();
        assert!(text.starts_with("\r 25 %  0 of 2  ") && text.ends_with("\r\u{1b}[K"), "{text:?}");
        assert!(!text.contains('\n'), "{text:?}");
    }

    #[test]
    fn time_left_is_read_by_people() {
        let texts = [0.4, 59.6, 125.0, 7_260.0].map(time_left);
        assert_eq!(texts, ["0 s left", "1 min 0 s left", "2 min 5 s left", "2 h 1 min left"]);
        assert_eq!(time_left(f64::NAN), "0 s left");
    }
}
