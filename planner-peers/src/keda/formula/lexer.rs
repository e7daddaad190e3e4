//! The words of a formula.

use super::FormulaError;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    End,
    Name(&'a str),
    Number(f64),
    /// An operator or a bracket; words that are operators in their short form.
    Sign(&'static str),
}

impl Token<'_> {
    /// It as an error names it.
    pub(super) fn told(&self) -> String {
        match self {
            Self::End => String::from("the end"),
            Self::Name(name) => format!("`{name}`"),
            Self::Number(number) => format!("`{number}`"),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// Operators and brackets, longer ones before those they begin with.
const SIGNS: [&str; 26] = [
    "??", "**", "==", "!=", "<=", ">=", "&&", "||", "?", ":", "+", "-", "*", "/", "^", "<", ">",
    "!", "(", ")", "[", "]", "{", "}", ",", "#",
];

/// Reads a text word by word.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next word, and the byte at which it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, usize), FormulaError> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        let (rest, at) = (self.rest(), self.at);
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, at));
        };
        let token = if first.is_ascii_digit() || starts_fraction(rest) {
            self.number()?
        } else if first.is_ascii_alphabetic() || first == '_' {
            word(self.take(name_length(rest)))
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.at += sign.len();
            Token::Sign(sign)
        } else {
            let (found, wanted) = (format!("`{first}`"), "a number, a name or an operator");
            return Err(FormulaError::Unexpected { found, at, wanted });
        };
        Ok((token, at))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += taken.len();
        taken
    }

    fn number(&mut self) -> Result<Token<'a>, FormulaError> {
        let (rest, at) = (self.rest(), self.at);
        let mut length = digits(rest);
        if let Some(fraction) = rest.get(length..).filter(|rest| starts_fraction(rest)) {
            length += 1 + digits(&fraction[1..]);
        }
        let exponent = rest.get(length..).and_then(|rest| rest.strip_prefix(['e', 'E']));
        if let Some(exponent) = exponent {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let power = digits(&exponent[sign..]);
            length += if power > 0 { 1 + sign + power } else { 0 };
        }
        let text = self.take(length);
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(Token::Number(number)),
            _ => {
                let (found, wanted) = (format!("`{text}`"), "a finite number");
                Err(FormulaError::Unexpected { found, at, wanted })
            }
        }
    }
}

fn word(name: &str) -> Token<'_> {
    match name {
        "and" => Token::Sign("&&"),
        "not" => Token::Sign("!"),
        "or" => Token::Sign("||"),
        name => Token::Name(name),
    }
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Whether a text begins with a point and a digit.
fn starts_fraction(text: &str) -> bool {
    text.strip_prefix('.').is_some_and(|rest| digits(rest) > 0)
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}
