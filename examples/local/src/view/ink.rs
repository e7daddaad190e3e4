//! Colours and widths of terminal text.
//!
//! Not for texts from outside as they are: those go through [`harmless`] first.

/// What a colour stands for is up to whoever uses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Colour {
    Blue,
    Green,
    Red,
    Yellow,
}

/// Colours a text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    pub(super) is_coloured: bool,
}

impl Ink {
    pub(super) fn colour(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Blue => 34,
            Colour::Green => 32,
            Colour::Red => 31,
            Colour::Yellow => 33,
        };
        self.styled(code, text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.styled(1, text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.styled(2, text)
    }

    fn styled(self, code: u8, text: &str) -> String {
        if self.is_coloured && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Replaces what a terminal would obey, and what would turn or hide the rest of the line.
pub(super) fn harmless(text: &str) -> String {
    let is_obeyed = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// At most `width` characters; an ellipsis stands for the rest.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}
