//! Operations into a value.

use super::{Binary, EvaluationError, Formula, Function, Id, Node, Quantifier, Unary};

/// What an operation gives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Nil,
    Number(f64),
}

impl Value {
    const fn kind(self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Nil => "nil",
            Self::Number(_) => "a number",
        }
    }

    fn number(self, operation: &'static str, wanted: &'static str) -> Result<f64, EvaluationError> {
        match self {
            Self::Number(number) => Ok(number),
            other => Err(EvaluationError::Operand { operation, wanted, found: other.kind() }),
        }
    }

    fn truth(self, operation: &'static str) -> Result<bool, EvaluationError> {
        match self {
            Self::Bool(truth) => Ok(truth),
            other => {
                let (wanted, found) = ("true or false", other.kind());
                Err(EvaluationError::Operand { operation, wanted, found })
            }
        }
    }
}

/// The value of a formula; `None` for nil.
pub(super) fn evaluate(
    formula: &Formula,
    value_of: &dyn Fn(&str) -> Option<f64>,
) -> Result<Option<f64>, EvaluationError> {
    let run = Run { formula, value_of, element: Value::Nil };
    match run.value(formula.root)? {
        Value::Nil => Ok(None),
        Value::Bool(value) => Err(EvaluationError::NoNumber { value }),
        Value::Number(number) if number.is_finite() => Ok(Some(number)),
        Value::Number(number) => Err(EvaluationError::NotFinite { value: number.to_string() }),
    }
}

/// One evaluation. Every operation is evaluated at most once, inside a condition once for each
/// element, and conditions do not nest: it ends after a few ten thousand operations at most.
#[derive(Clone, Copy)]
struct Run<'a> {
    formula: &'a Formula,
    value_of: &'a dyn Fn(&str) -> Option<f64>,
    element: Value,
}

impl Run<'_> {
    fn value(&self, id: Id) -> Result<Value, EvaluationError> {
        Ok(match self.formula.nodes.get(usize::from(id)) {
            Some(Node::Binary(operator, left, right)) => self.binary(*operator, *left, *right)?,
            Some(Node::Bool(truth)) => Value::Bool(*truth),
            Some(Node::Call(function, arguments)) => {
                Value::Number(self.call(*function, arguments)?)
            }
            Some(Node::Choose { condition, then, otherwise }) => {
                let condition = self.value(*condition)?.truth("?:")?;
                self.value(if condition { *then } else { *otherwise })?
            }
            Some(Node::Element) => self.element,
            Some(Node::Name(index)) => {
                let name = self.formula.names.get(usize::from(*index));
                name.and_then(|name| (self.value_of)(name)).map_or(Value::Nil, Value::Number)
            }
            Some(Node::Number(number)) => Value::Number(*number),
            Some(Node::Quantify { quantifier, list, condition }) => {
                self.quantify(*quantifier, list, *condition)?
            }
            Some(Node::Unary(operator, operand)) => self.unary(*operator, *operand)?,
            // No place is outside the formula that the parser made.
            Some(Node::Nil) | None => Value::Nil,
        })
    }

    fn unary(&self, operator: Unary, operand: Id) -> Result<Value, EvaluationError> {
        let operand = self.value(operand)?;
        Ok(match operator {
            Unary::Minus => Value::Number(-operand.number("-", "a number")?),
            Unary::Not => Value::Bool(!operand.truth("not")?),
            Unary::Plus => Value::Number(operand.number("+", "a number")?),
        })
    }

    fn binary(&self, operator: Binary, left: Id, right: Id) -> Result<Value, EvaluationError> {
        let left = self.value(left)?;
        match operator {
            Binary::And => {
                let truth = left.truth("&&")? && self.value(right)?.truth("&&")?;
                return Ok(Value::Bool(truth));
            }
            Binary::Or => {
                let truth = left.truth("||")? || self.value(right)?.truth("||")?;
                return Ok(Value::Bool(truth));
            }
            Binary::Coalesce if left != Value::Nil => return Ok(left),
            Binary::Coalesce => return self.value(right),
            _ => {}
        }
        let right = self.value(right)?;
        let of_numbers = |sign: &'static str, operation: fn(f64, f64) -> Value| {
            let left = left.number(sign, "numbers")?;
            Ok(operation(left, right.number(sign, "numbers")?))
        };
        match operator {
            Binary::Add => of_numbers("+", |left, right| Value::Number(left + right)),
            Binary::Divide => of_numbers("/", |left, right| Value::Number(left / right)),
            Binary::Greater => of_numbers(">", |left, right| Value::Bool(left > right)),
            Binary::GreaterOrEqual => of_numbers(">=", |left, right| Value::Bool(left >= right)),
            Binary::Less => of_numbers("<", |left, right| Value::Bool(left < right)),
            Binary::LessOrEqual => of_numbers("<=", |left, right| Value::Bool(left <= right)),
            Binary::Multiply => of_numbers("*", |left, right| Value::Number(left * right)),
            Binary::Power => of_numbers("**", |left, right| Value::Number(left.powf(right))),
            Binary::Subtract => of_numbers("-", |left, right| Value::Number(left - right)),
            Binary::NotEqual => Ok(Value::Bool(left != right)),
            Binary::And | Binary::Coalesce | Binary::Equal | Binary::Or => {
                Ok(Value::Bool(left == right))
            }
        }
    }

    fn call(&self, function: Function, arguments: &[Id]) -> Result<f64, EvaluationError> {
        let name = name(function);
        let number = |id: &Id| self.value(*id)?.number(name, "numbers");
        let mut numbers = arguments.iter().map(number).collect::<Result<Vec<f64>, _>>()?;
        let (first, count) = (numbers.first().copied().unwrap_or_default(), numbers.len());
        let sum = numbers.iter().sum::<f64>();
        Ok(match function {
            Function::Abs => first.abs(),
            Function::Ceil => first.ceil(),
            Function::Floor => first.floor(),
            Function::Max => numbers.into_iter().fold(first, f64::max),
            Function::Mean => sum / count.max(1) as f64,
            Function::Median => median(&mut numbers),
            Function::Min => numbers.into_iter().fold(first, f64::min),
            Function::Round => first.round(),
            Function::Sum => sum,
        })
    }

    fn quantify(
        &self,
        quantifier: Quantifier,
        list: &[Id],
        condition: Id,
    ) -> Result<Value, EvaluationError> {
        let mut met = 0_u32;
        for element in list {
            let run = Run { element: self.value(*element)?, ..*self };
            met += u32::from(run.value(condition)?.truth("a condition")?);
        }
        let all = met as usize == list.len();
        Ok(match quantifier {
            Quantifier::All => Value::Bool(all),
            Quantifier::Any => Value::Bool(met > 0),
            Quantifier::Count => Value::Number(f64::from(met)),
            Quantifier::None => Value::Bool(met == 0),
        })
    }
}

const fn name(function: Function) -> &'static str {
    match function {
        Function::Abs => "abs",
        Function::Ceil => "ceil",
        Function::Floor => "floor",
        Function::Max => "max",
        Function::Mean => "mean",
        Function::Median => "median",
        Function::Min => "min",
        Function::Round => "round",
        Function::Sum => "sum",
    }
}

/// The middle of some numbers, between the two middle ones of an even count.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let upper = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
    if numbers.len().is_multiple_of(2) {
        f64::midpoint(at(upper.saturating_sub(1)), at(upper))
    } else {
        at(upper)
    }
}
