//! The scaling-modifier formula: one number from the values of several triggers.
//!
//! A small expression language, the part of KEDA's that such formulas use, with the same
//! precedence:
//!
//! | binds | what |
//! |---|---|
//! | loosest | `a ? b : c` |
//! | | `or` `\|\|`, then `and` `&&` |
//! | | `==` `!=` `<` `<=` `>` `>=` |
//! | | `+` `-` |
//! | | `not` `!` (before a comparison it needs parentheses) |
//! | | `*` `/`, then a sign |
//! | | `**` `^`, from the right |
//! | tightest | `??` (beside another operator after it, it needs parentheses) |
//!
//! Beside that: numbers, `true`, `false`, `nil`, names of triggers; `abs` `ceil` `floor` `round` of
//! one number; `max` `mean` `median` `min` `sum` of several, or of a list `[a, b]`; `all` `any`
//! `count` `none` of a list and a condition on its elements, as in `count([a, b], {# > 1})`.
//!
//! All numbers are floats. A trigger that fails is nil: `a ?? b` passes over it, any arithmetic on
//! it is an error. Neither a formula nor a value can panic or run for long: length, depth and
//! number of operations are limited when it is read, and there is nothing to loop with.

mod evaluate;
mod lexer;
mod parser;

use thiserror::Error;

/// A formula that was read and can be evaluated.
///
/// ```
/// use planner_peers::keda::formula::Formula;
///
/// let formula = Formula::parse("(queue ?? backlog) / 10 + 1")?;
/// assert_eq!(formula.names().collect::<Vec<_>>(), ["queue", "backlog"]);
/// let value = formula.evaluate(|name| (name == "backlog").then_some(40.0))?;
/// assert_eq!(value, Some(5.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    nodes: Vec<Node>,
    names: Vec<String>,
    root: Id,
}

impl Formula {
    /// Longest formula, in bytes.
    pub const LENGTH_MAX: usize = 1_024;
    /// Deepest nesting of parentheses, signs, powers and conditionals.
    pub const DEPTH_MAX: usize = 32;
    /// Most operations: operators, numbers and names together.
    pub const OPERATIONS_MAX: usize = 256;

    /// Reads a formula.
    ///
    /// # Errors
    ///
    /// [`FormulaError`] when it is none, or beyond a limit.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        parser::parse(text)
    }

    /// The names of triggers in it, each once, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Its value, where `value_of` gives the value of a trigger and `None` for a failing one;
    /// `None` when the whole is nil.
    ///
    /// # Errors
    ///
    /// [`EvaluationError`] when values do not fit the operations, or the result is no finite
    /// number.
    pub fn evaluate(
        &self,
        value_of: impl Fn(&str) -> Option<f64>,
    ) -> Result<Option<f64>, EvaluationError> {
        evaluate::evaluate(self, &value_of)
    }
}

/// The place of an operation in its formula.
type Id = u16;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Binary(Binary, Id, Id),
    Bool(bool),
    Call(Function, Vec<Id>),
    Choose {
        condition: Id,
        then: Id,
        otherwise: Id,
    },
    /// `#`: the element that a condition is asked of.
    Element,
    Name(Id),
    Nil,
    Number(f64),
    /// How many elements of the list meet the condition.
    Quantify {
        quantifier: Quantifier,
        list: Vec<Id>,
        condition: Id,
    },
    Unary(Unary, Id),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Add,
    And,
    Coalesce,
    Divide,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Multiply,
    NotEqual,
    Or,
    Power,
    Subtract,
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unary {
    Minus,
    Not,
    Plus,
}

/// A function of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Abs,
    Ceil,
    Floor,
    Max,
    Mean,
    Median,
    Min,
    Round,
    Sum,
}

/// A question to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    All,
    Any,
    Count,
    None,
}

/// Why a text is no formula.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormulaError {
    /// A function has too many or too few arguments.
    #[error("{function} at byte {at} has {given} arguments; {wanted}")]
    Arguments {
        /// The function.
        function: String,
        /// Where it stands.
        at: usize,
        /// How many there are.
        given: usize,
        /// What it takes.
        wanted: &'static str,
    },
    /// `??` meets another operator without parentheses.
    #[error("{operator} at byte {at} follows ??; put one of them in parentheses")]
    Mixed {
        /// The other operator.
        operator: String,
        /// Where it stands.
        at: usize,
    },
    /// A condition on the elements of a list stands inside another one.
    #[error("the condition at byte {at} is inside another one; one at a time can be asked")]
    Nested {
        /// Where the inner one begins.
        at: usize,
    },
    /// It is nested too deeply.
    #[error("nested more than {} deep at byte {at}; take it apart", Formula::DEPTH_MAX)]
    TooDeep {
        /// Where it becomes too deep.
        at: usize,
    },
    /// It is too long.
    #[error("{length} bytes long; a formula has at most {}", Formula::LENGTH_MAX)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It has too many operations.
    #[error("more than {} operations at byte {at}; simplify it", Formula::OPERATIONS_MAX)]
    TooManyOperations {
        /// Where they become too many.
        at: usize,
    },
    /// Something else was expected here.
    #[error("{found} at byte {at} where {wanted} should be")]
    Unexpected {
        /// What is there.
        found: String,
        /// Where.
        at: usize,
        /// What could be there.
        wanted: &'static str,
    },
    /// There is no such function.
    #[error(
        "{name} at byte {at} is no function; there are abs, all, any, ceil, count, floor, max, \
         mean, median, min, none, round and sum"
    )]
    UnknownFunction {
        /// What was called.
        name: String,
        /// Where.
        at: usize,
    },
}

/// Why a formula has no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The result is true or false.
    #[error("the formula gives {value}; it should give a number, as `condition ? 1 : 0` does")]
    NoNumber {
        /// What it gives.
        value: bool,
    },
    /// The result is no finite number.
    #[error("the formula gives {value}; guard its divisions, as in `b == 0 ? 0 : a / b`")]
    NotFinite {
        /// What it gives: `inf`, `-inf` or `NaN`.
        value: String,
    },
    /// An operation has an operand of another kind than it takes.
    #[error("{operation} takes {wanted}, not {found}; a failing trigger is nil, see ??")]
    Operand {
        /// The operation.
        operation: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What it got.
        found: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value with a = 6, b = 1.5, zero = 0 and every other trigger failing.
    fn value(text: &str) -> Result<Option<f64>, EvaluationError> {
        Formula::parse(text).expect(text).evaluate(|name| match name {
            "a" => Some(6.0),
            "b" => Some(1.5),
            "zero" => Some(0.0),
            _ => None,
        })
    }

    fn refusal(text: &str) -> String {
        Formula::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_no_formula_is_refused_with_place_and_remedy() {
        for (text, says) in [
            ("", "the end at byte 0 where a number, a name or ( should be"),
            ("a +", "the end at byte 3 where a number, a name or ( should be"),
            ("a b", "`b` at byte 2 where an operator or the end should be"),
            ("(a", "the end at byte 2 where ) should be"),
            ("a ? b", "the end at byte 5 where : should be"),
            ("a % b", "`%` at byte 2 where a number, a name or an operator should be"),
            ("1e999", "`1e999` at byte 0 where a finite number should be"),
            ("größe", "`ö` at byte 2 where a number, a name or an operator should be"),
            ("a ?? b + 1", "+ at byte 7 follows ??; put one of them in parentheses"),
            (
                "sin(a)",
                "sin at byte 0 is no function; there are abs, all, any, ceil, count, \
                floor, max, mean, median, min, none, round and sum",
            ),
            ("abs(a, b)", "abs at byte 0 has 2 arguments; it takes one number"),
            ("max()", "max at byte 0 has 0 arguments; it takes at least one number"),
            ("any([], {true})", "any at byte 0 has 0 arguments; it takes a list that has elements"),
            ("[a, b]", "`[` at byte 0 where a number, a name or ( should be"),
            ("#", "`#` at byte 0 where a number, a name or ( should be"),
            (
                "any([a], {any([a], {# > 1})})",
                "the condition at byte 10 is inside another one; one at a time can be asked",
            ),
        ] {
            assert_eq!(refusal(text), says, "{text}");
        }
    }

    #[test]
    fn length_depth_and_number_of_operations_are_limited() {
        let long = " ".repeat(Formula::LENGTH_MAX + 1);
        assert_eq!(refusal(&long), "1025 bytes long; a formula has at most 1024");
        let deep = format!("{}a{}", "(".repeat(40), ")".repeat(40));
        assert_eq!(refusal(&deep), "nested more than 32 deep at byte 32; take it apart");
        let wide = vec!["a"; 200].join("+");
        assert_eq!(refusal(&wide), "more than 256 operations at byte 257; simplify it");
        for deep in ["-".repeat(500), "a**".repeat(300), "a?".repeat(500), "not ".repeat(250)] {
            assert!(matches!(Formula::parse(&deep), Err(FormulaError::TooDeep { .. })), "{deep}");
        }
        let widest = vec!["a"; 128].join("+");
        assert_eq!(value(&widest), Ok(Some(768.0)));
    }

    #[test]
    fn operands_of_another_kind_and_results_that_are_no_number_are_errors() {
        for (text, says) in [
            ("gone + 1", "+ takes numbers, not nil; a failing trigger is nil, see ??"),
            ("-gone", "- takes a number, not nil; a failing trigger is nil, see ??"),
            ("max(a, gone)", "max takes numbers, not nil; a failing trigger is nil, see ??"),
            ("gone > 1 ? 1 : 2", "> takes numbers, not nil; a failing trigger is nil, see ??"),
            ("a ? 1 : 2", "?: takes true or false, not a number; a failing trigger is nil, see ??"),
            ("a && b", "&& takes true or false, not a number; a failing trigger is nil, see ??"),
            (
                "not a > b",
                "not takes true or false, not a number; a failing trigger is nil, see ??",
            ),
            (
                "a > b",
                "the formula gives true; it should give a number, as `condition ? 1 : 0` does",
            ),
            ("a / zero", "the formula gives inf; guard its divisions, as in `b == 0 ? 0 : a / b`"),
            (
                "zero / zero",
                "the formula gives NaN; guard its divisions, as in `b == 0 ? 0 : a / b`",
            ),
        ] {
            assert_eq!(value(text).expect_err(text).to_string(), says, "{text}");
        }
    }

    #[test]
    fn precedence_is_the_one_of_keda() {
        for (text, result) in [
            ("a - b - 1", 3.5),
            ("a / b / 2", 2.0),
            ("1 + a * b", 10.0),
            ("2 ** 3 ** 2", 512.0),
            ("-2 ** 2", -4.0),
            ("- a + b", -4.5),
            ("gone ?? a", 6.0),
            ("1 + (gone ?? a)", 7.0),
            ("1 + gone ?? a", 7.0),
            ("gone ?? gone ?? 5", 5.0),
            ("a > b && b > 1 || false ? 1 : 2", 1.0),
            ("a < b ? 1 : a == 6 ? 2 : 3", 2.0),
            ("not (a < b) ? 1 : 2", 1.0),
            ("!false and not false ? 1 : 2", 1.0),
            ("nil == gone ? 1 : 2", 1.0),
            ("a != nil ? 1 : 2", 1.0),
            (".5 + 1e1 + 2.5E-1", 10.75),
        ] {
            assert_eq!(value(text), Ok(Some(result)), "{text}");
        }
    }

    #[test]
    fn functions_take_numbers_and_lists() {
        for (text, result) in [
            ("abs(b - a)", 4.5),
            ("ceil(b) + floor(b) + round(b)", 5.0),
            ("max(a, b, 2)", 6.0),
            ("min([a, b], 2)", 1.5),
            ("mean([1, 2, 6])", 3.0),
            ("median(9, 1, 2)", 2.0),
            ("median([4, 1, 2, 9])", 3.0),
            ("sum([a, b, 2.5])", 10.0),
            ("count([a, b, zero], {# > 1}) > 1 ? 5 : 0", 5.0),
            ("any([a], {# > 5}) && all([a, b], {# > 1}) && none([a], {# < 0}) ? 1 : 0", 1.0),
        ] {
            assert_eq!(value(text), Ok(Some(result)), "{text}");
        }
    }

    #[test]
    fn what_is_not_needed_is_not_evaluated() {
        assert_eq!(value("zero == 0 ? 1.5 : gone / zero"), Ok(Some(1.5)));
        assert_eq!(value("true || gone > 1 ? 1 : 2"), Ok(Some(1.0)));
        assert_eq!(value("false && gone > 1 ? 1 : 2"), Ok(Some(2.0)));
        assert_eq!(value("gone ?? nil"), Ok(None));
    }

    #[test]
    fn no_text_of_its_own_alphabet_panics() {
        const PIECES: [&str; 30] = [
            "a", "b", "gone", "1", ".5", "1e308", "(", ")", "[", "]", "{", "}", ",", "?", ":",
            "??", "#", "+", "-", "*", "**", "/", "<", "==", "&&", "not ", "max", "count", "\u{e9}",
            " ",
        ];
        let mut seed = 1_u64;
        let mut evaluated = 0;
        for _ in 0..20_000 {
            let mut text = String::new();
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
                usize::try_from(seed >> 33).expect("31 bits")
            };
            for _ in 0..next() % 12 {
                text.push_str(PIECES[next() % PIECES.len()]);
            }
            if let Ok(formula) = Formula::parse(&text) {
                let _any = formula.evaluate(|name| (name != "gone").then_some(1e200));
                evaluated += 1;
            }
        }
        assert!(evaluated > 200, "only {evaluated} of them are formulas");
    }
}
