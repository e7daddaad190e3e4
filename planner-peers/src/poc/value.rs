//! JSON as its language reads it: `NaN` and `Infinity` are numbers, `1e999` is infinite, the last
//! of equal keys wins.
//!
//! A reader of its own because its decisions depend on what strict JSON refuses. Not for messages
//! of ours.

/// What is nested deeper is no JSON.
const DEPTH_MAX: usize = 500;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "JSON has no other kinds of value")]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A number with a fraction or an exponent, or one that does not fit [`Value::Int`].
    Float(f64),
    /// A whole number.
    Int(i64),
    /// An array.
    List(Vec<Self>),
    /// An object, in the order of first mention.
    Map(Vec<(String, Self)>),
    /// `null`.
    Null,
    /// A string.
    Text(String),
}

impl Value {
    /// The value that a text is; `None` when it is no JSON.
    ///
    /// ```
    /// use planner_peers::poc::Value;
    ///
    /// let alert = Value::parse(r#"{"p95_ms": Infinity}"#).expect("JSON, to it");
    /// assert_eq!(alert.get("p95_ms"), Some(&Value::Float(f64::INFINITY)));
    /// assert_eq!(Value::parse("{'p95_ms': 1}"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value(DEPTH_MAX)?;
        reader.space();
        reader.rest.is_empty().then_some(value)
    }

    /// The member of an object; `None` when it has none, or is no object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members()?.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The members of an object.
    pub(super) fn members(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Map(members) => Some(members),
            _ => None,
        }
    }

    /// An object of these members.
    pub(super) fn map<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Map(members.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[bool]> for Value {
    fn from(flags: &[bool]) -> Self {
        Self::List(flags.iter().copied().map(Self::Bool).collect())
    }
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `token` if it is next.
    fn eat(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    /// Takes the first `bytes` bytes.
    fn split(&mut self, bytes: usize) -> Option<&'a str> {
        let (head, tail) = self.rest.split_at_checked(bytes)?;
        self.rest = tail;
        Some(head)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.space();
        match self.rest.as_bytes().first()? {
            b'"' => self.string().map(Value::Text),
            b'[' => self.list(depth.checked_sub(1)?),
            b'{' => self.map(depth.checked_sub(1)?),
            _ => self.word(),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.eat("[")?;
        let mut values = Vec::new();
        self.space();
        if self.eat("]").is_some() {
            return Some(Value::List(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.space();
            if self.eat("]").is_some() {
                return Some(Value::List(values));
            }
            self.eat(",")?;
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        self.eat("{")?;
        let mut members: Vec<(String, Value)> = Vec::new();
        self.space();
        if self.eat("}").is_some() {
            return Some(Value::Map(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.eat(":")?;
            let value = self.value(depth)?;
            match members.iter_mut().find(|(name, _)| *name == key) {
                Some((_, earlier)) => *earlier = value,
                None => members.push((key, value)),
            }
            self.space();
            if self.eat("}").is_some() {
                return Some(Value::Map(members));
            }
            self.eat(",")?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.eat("\"")?;
        let mut text = String::new();
        loop {
            let end = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            text.push_str(self.split(end)?);
            if self.eat("\"").is_some() {
                return Some(text);
            }
            self.eat("\\")?;
            text.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<char> {
        Some(match self.split(1)? {
            "\"" => '"',
            "\\" => '\\',
            "/" => '/',
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let unit = self.unit()?;
                let after = self.rest;
                let pair = (0xd800..0xdc00).contains(&unit).then(|| self.low_half()).flatten();
                if pair.is_none() {
                    self.rest = after;
                }
                let point =
                    pair.map_or(unit, |low| 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.split(4)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    }

    /// The second half of a surrogate pair.
    fn low_half(&mut self) -> Option<u32> {
        self.eat("\\u")?;
        self.unit().filter(|unit| (0xdc00..0xe000).contains(unit))
    }

    fn word(&mut self) -> Option<Value> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        for (word, value) in words {
            if self.eat(word).is_some() {
                return Some(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Option<Value> {
        let bytes = self.rest.as_bytes();
        let digits = |from: usize| {
            from + bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count()
        };
        let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
        let start = usize::from(at(0) == b'-');
        // A leading zero stands alone.
        let mut end = if at(start) == b'0' { start + 1 } else { digits(start) };
        if end == start {
            return None;
        }
        let whole = end;
        if at(end) == b'.' && digits(end + 1) > end + 1 {
            end = digits(end + 1);
        }
        if matches!(at(end), b'e' | b'E') {
            let exponent = end + 1 + usize::from(matches!(at(end + 1), b'+' | b'-'));
            if digits(exponent) > exponent {
                end = digits(exponent);
            }
        }
        let text = self.split(end)?;
        let int = (end == whole).then(|| text.parse().ok()).flatten();
        int.map(Value::Int).or_else(|| text.parse().ok().map(Value::Float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_none_and_never_a_panic() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            " ",
            "not json at all",
            "{",
            "[1,",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "\"",
            "\"\\",
            "\"\\u12",
            "\"\\u+123\"",
            "\"\\x\"",
            "\"a\nb\"",
            "1 2",
            "nan",
            "tru",
            "é",
            "\"\\é\"",
            &deep,
        ] {
            assert_eq!(Value::parse(text), None, "{text:.20}");
        }
    }

    #[test]
    fn numbers_that_strict_json_refuses_are_numbers() {
        assert_eq!(Value::parse("-Infinity"), Some(Value::Float(f64::NEG_INFINITY)));
        assert_eq!(Value::parse("1e999"), Some(Value::Float(f64::INFINITY)));
        assert!(matches!(Value::parse("NaN"), Some(Value::Float(nan)) if nan.is_nan()));
        assert_eq!(Value::parse("9223372036854775808"), Some(Value::Float(2.0_f64.powi(63))));
    }

    #[test]
    fn whole_numbers_are_told_from_the_others() {
        assert_eq!(Value::parse("-0"), Some(Value::Int(0)));
        assert_eq!(Value::parse("2.0"), Some(Value::Float(2.0)));
        assert_eq!(Value::parse("1E+2"), Some(Value::Float(100.0)));
    }

    #[test]
    fn escapes_become_characters_and_half_a_pair_the_replacement() {
        let text = |json: &str| Value::parse(json).expect("JSON");
        assert_eq!(text(r#""\u00e9\n\ud83d\ude00""#), Value::from("é\n😀"));
        assert_eq!(text(r#""\ud83d\u0041\ude00""#), Value::from("\u{fffd}A\u{fffd}"));
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let value = Value::parse(r#" {"a": 1, "b": [true, null], "a": {}} "#).expect("JSON");
        assert_eq!(value.get("a"), Some(&Value::Map(Vec::new())));
        assert_eq!(value.get("b"), Some(&Value::List(vec![Value::Bool(true), Value::Null])));
        assert_eq!(value.get("c"), None);
    }
}
