//! Words into operations, by precedence climbing.

use super::lexer::{Lexer, Token};
use super::{Binary, Formula, FormulaError, Function, Id, Node, Quantifier, Unary};

/// Precedence of `not`: it ends before comparisons and sums, not before products.
const NOT: u16 = 50;
/// Precedence of a sign.
const SIGN: u16 = 90;

/// What can begin an operand.
const OPERAND: &str = "a number, a name or (";

/// Reads a formula.
pub(super) fn parse(text: &str) -> Result<Formula, FormulaError> {
    let length = text.len();
    if length > Formula::LENGTH_MAX {
        return Err(FormulaError::TooLong { length });
    }
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next()?;
    let (nodes, names) = (Vec::new(), Vec::new());
    let mut parser = Parser { lexer, token, at, nodes, names, depth: 0, in_condition: false };
    let root = parser.expression(0)?;
    if parser.token != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(Formula { nodes: parser.nodes, names: parser.names, root })
}

/// An operator, its precedence, and whether it is read from the right.
const fn binary(sign: &str) -> Option<(Binary, u16, bool)> {
    Some(match sign.as_bytes() {
        b"||" => (Binary::Or, 10, false),
        b"&&" => (Binary::And, 15, false),
        b"==" => (Binary::Equal, 20, false),
        b"!=" => (Binary::NotEqual, 20, false),
        b"<" => (Binary::Less, 20, false),
        b"<=" => (Binary::LessOrEqual, 20, false),
        b">" => (Binary::Greater, 20, false),
        b">=" => (Binary::GreaterOrEqual, 20, false),
        b"+" => (Binary::Add, 30, false),
        b"-" => (Binary::Subtract, 30, false),
        b"*" => (Binary::Multiply, 60, false),
        b"/" => (Binary::Divide, 60, false),
        b"**" | b"^" => (Binary::Power, 100, true),
        b"??" => (Binary::Coalesce, 500, false),
        _ => return None,
    })
}

/// A function, and whether it takes exactly one number.
fn function(name: &str) -> Option<(Function, bool)> {
    Some(match name {
        "abs" => (Function::Abs, true),
        "ceil" => (Function::Ceil, true),
        "floor" => (Function::Floor, true),
        "max" => (Function::Max, false),
        "mean" => (Function::Mean, false),
        "median" => (Function::Median, false),
        "min" => (Function::Min, false),
        "round" => (Function::Round, true),
        "sum" => (Function::Sum, false),
        _ => return None,
    })
}

fn quantifier(name: &str) -> Option<Quantifier> {
    Some(match name {
        "all" => Quantifier::All,
        "any" => Quantifier::Any,
        "count" => Quantifier::Count,
        "none" => Quantifier::None,
        _ => return None,
    })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The word under consideration, and where it begins.
    token: Token<'a>,
    at: usize,
    nodes: Vec<Node>,
    names: Vec<String>,
    depth: usize,
    in_condition: bool,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<(), FormulaError> {
        (self.token, self.at) = self.lexer.next()?;
        Ok(())
    }

    fn unexpected(&self, wanted: &'static str) -> FormulaError {
        FormulaError::Unexpected { found: self.token.told(), at: self.at, wanted }
    }

    /// Passes over `sign`, if it is the next word.
    fn accept(&mut self, sign: &'static str) -> Result<bool, FormulaError> {
        let is_there = self.token == Token::Sign(sign);
        if is_there {
            self.advance()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), FormulaError> {
        if self.accept(sign)? { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    fn push(&mut self, node: Node) -> Result<Id, FormulaError> {
        if self.nodes.len() >= Formula::OPERATIONS_MAX {
            return Err(FormulaError::TooManyOperations { at: self.at });
        }
        let id = id(self.nodes.len());
        self.nodes.push(node);
        Ok(id)
    }

    /// An expression of operators that bind as tightly as `least` or more; with 0 conditionals too.
    fn expression(&mut self, least: u16) -> Result<Id, FormulaError> {
        if self.depth >= Formula::DEPTH_MAX {
            return Err(FormulaError::TooDeep { at: self.at });
        }
        self.depth += 1;
        let mut left = self.operand()?;
        let mut after_coalesce = false;
        while let Token::Sign(sign) = self.token
            && let Some((operator, precedence, from_right)) = binary(sign)
            && precedence >= least
        {
            if after_coalesce && operator != Binary::Coalesce {
                let operator = String::from(sign);
                return Err(FormulaError::Mixed { operator, at: self.at });
            }
            self.advance()?;
            let right = self.expression(if from_right { precedence } else { precedence + 1 })?;
            left = self.push(Node::Binary(operator, left, right))?;
            after_coalesce = operator == Binary::Coalesce;
        }
        if least == 0 && self.accept("?")? {
            let then = self.expression(0)?;
            self.expect(":")?;
            let otherwise = self.expression(0)?;
            left = self.push(Node::Choose { condition: left, then, otherwise })?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Id, FormulaError> {
        let at = self.at;
        match self.token {
            Token::Number(number) => {
                self.advance()?;
                self.push(Node::Number(number))
            }
            Token::Name(name) => {
                self.advance()?;
                if self.token == Token::Sign("(") { self.call(name, at) } else { self.name(name) }
            }
            Token::Sign("-") => self.unary(Unary::Minus, SIGN),
            Token::Sign("+") => self.unary(Unary::Plus, SIGN),
            Token::Sign("!") => self.unary(Unary::Not, NOT),
            Token::Sign("#") if self.in_condition => {
                self.advance()?;
                self.push(Node::Element)
            }
            Token::Sign("(") => {
                self.advance()?;
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign(_) | Token::End => Err(self.unexpected(OPERAND)),
        }
    }

    fn unary(&mut self, operator: Unary, precedence: u16) -> Result<Id, FormulaError> {
        self.advance()?;
        let operand = self.expression(precedence)?;
        self.push(Node::Unary(operator, operand))
    }

    fn name(&mut self, name: &str) -> Result<Id, FormulaError> {
        let node = match name {
            "false" => Node::Bool(false),
            "nil" => Node::Nil,
            "true" => Node::Bool(true),
            name => {
                let known = self.names.iter().position(|known| known == name);
                let index = known.unwrap_or(self.names.len());
                if known.is_none() {
                    self.names.push(String::from(name));
                }
                Node::Name(id(index))
            }
        };
        self.push(node)
    }

    fn call(&mut self, name: &str, at: usize) -> Result<Id, FormulaError> {
        self.expect("(")?;
        if let Some(quantifier) = quantifier(name) {
            return self.quantify(quantifier, name, at);
        }
        let Some((function, is_of_one)) = function(name) else {
            return Err(FormulaError::UnknownFunction { name: String::from(name), at });
        };
        let mut arguments = Vec::new();
        let mut is_list = false;
        while self.token != Token::Sign(")") {
            if self.token == Token::Sign("[") {
                is_list = true;
                arguments.extend(self.list()?);
            } else {
                arguments.push(self.expression(0)?);
            }
            if !self.accept(",")? {
                break;
            }
        }
        self.expect(")")?;
        let given = arguments.len();
        let wanted = match (is_of_one, given) {
            (true, 1) if !is_list => None,
            (true, _) => Some("it takes one number"),
            (false, 0) => Some("it takes at least one number"),
            (false, _) => None,
        };
        if let Some(wanted) = wanted {
            let function = String::from(name);
            return Err(FormulaError::Arguments { function, at, given, wanted });
        }
        self.push(Node::Call(function, arguments))
    }

    /// A list and a condition on its elements, behind the opening parenthesis.
    fn quantify(
        &mut self,
        quantifier: Quantifier,
        name: &str,
        at: usize,
    ) -> Result<Id, FormulaError> {
        if self.in_condition {
            return Err(FormulaError::Nested { at });
        }
        let list = self.list()?;
        if list.is_empty() {
            let (function, wanted) = (String::from(name), "it takes a list that has elements");
            return Err(FormulaError::Arguments { function, at, given: 0, wanted });
        }
        self.expect(",")?;
        self.expect("{")?;
        self.in_condition = true;
        let condition = self.expression(0)?;
        self.in_condition = false;
        self.expect("}")?;
        self.expect(")")?;
        self.push(Node::Quantify { quantifier, list, condition })
    }

    fn list(&mut self) -> Result<Vec<Id>, FormulaError> {
        let mut elements = Vec::new();
        self.expect("[")?;
        while self.token != Token::Sign("]") {
            elements.push(self.expression(0)?);
            if !self.accept(",")? {
                break;
            }
        }
        self.expect("]")?;
        Ok(elements)
    }
}

/// A place among operations or names, of which there are few.
fn id(index: usize) -> Id {
    Id::try_from(index).unwrap_or(Id::MAX)
}
