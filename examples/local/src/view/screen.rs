//! Redrawing in place.
//!
//! Not a full-screen program: what was on the terminal before stays above, the last frame stays.

use std::fmt::Write as _;
use std::io::Write;

/// Draws frames over each other.
#[derive(Debug)]
pub struct Screen<W> {
    terminal: W,
    lines_drawn: usize,
}

impl<W: Write> Screen<W> {
    /// Draws on `terminal`, which must be one: see [`std::io::IsTerminal`].
    pub fn new(terminal: W) -> Self {
        Self { terminal, lines_drawn: 0 }
    }

    /// Replaces the frame drawn last; the cursor ends below the new one.
    ///
    /// # Errors
    ///
    /// When the terminal is gone.
    pub fn draw(&mut self, frame: &str) -> std::io::Result<()> {
        // One write per frame: parts of one would flicker.
        let mut text = String::with_capacity(frame.len() + 64);
        if self.lines_drawn > 0 {
            let _a_string_takes_everything = write!(text, "\u{1b}[{}A", self.lines_drawn);
        }
        text.push('\r');
        for line in frame.lines() {
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J");
        self.lines_drawn = frame.lines().count();
        self.terminal.write_all(text.as_bytes())?;
        self.terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_is_gone_is_an_error_and_no_panic() {
        let mut nowhere = Screen::new(std::fs::File::open("/dev/null").expect("readable only"));
        assert!(nowhere.draw("a\n").is_err());
    }

    #[test]
    fn a_shorter_frame_leaves_nothing_of_a_longer_one() {
        let mut bytes = Vec::new();
        let mut screen = Screen::new(&mut bytes);
        screen.draw("one\ntwo\n").expect("memory");
        screen.draw("three\n").expect("memory");
        assert_eq!(
            String::from_utf8(bytes).expect("text"),
            "\rone\u{1b}[K\ntwo\u{1b}[K\n\u{1b}[J\u{1b}[2A\rthree\u{1b}[K\n\u{1b}[J"
        );
    }
}
