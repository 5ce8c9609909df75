//! Transfer of values between Lua states (`thread:get`, `thread:set`): nil, booleans, numbers, strings, and
//! tables of these. Values are copied.

use mlua::{Error, Lua, Value};

/// Largest number of nested tables: a table can contain itself.
const DEEPEST: usize = 100;

/// Value that is independent of any state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PlainValue {
    Nil,
    Flag(bool),
    Number(f64),
    Text(Vec<u8>),
    Table(Vec<(PlainValue, PlainValue)>),
}

impl PlainValue {
    /// Copies a value out of its state.
    pub(super) fn of(value: &Value) -> mlua::Result<Self> {
        Self::at_depth(value, 0)
    }

    fn at_depth(value: &Value, depth: usize) -> mlua::Result<Self> {
        Ok(match value {
            Value::Nil => Self::Nil,
            Value::Boolean(flag) => Self::Flag(*flag),
            Value::Integer(number) => Self::Number(*number as f64),
            Value::Number(number) => Self::Number(*number),
            Value::String(text) => Self::Text(text.as_bytes().to_vec()),
            Value::Table(_) if depth == DEEPEST => {
                let text = format!("cannot transfer a table of more than {DEEPEST} levels");
                return Err(Error::runtime(text));
            }
            Value::Table(table) => {
                let mut pairs = Vec::new();
                for pair in table.pairs() {
                    let (key, value): (Value, Value) = pair?;
                    let key = Self::at_depth(&key, depth + 1)?;
                    pairs.push((key, Self::at_depth(&value, depth + 1)?));
                }
                Self::Table(pairs)
            }
            other => {
                let text = format!("cannot transfer a {} between threads", other.type_name());
                return Err(Error::runtime(text));
            }
        })
    }

    /// Creates the value in a state.
    pub(super) fn into_state(self, lua: &Lua) -> mlua::Result<Value> {
        Ok(match self {
            Self::Nil => Value::Nil,
            Self::Flag(flag) => Value::Boolean(flag),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::String(lua.create_string(text)?),
            Self::Table(pairs) => {
                let table = lua.create_table()?;
                for (key, value) in pairs {
                    table.raw_set(key.into_state(lua)?, value.into_state(lua)?)?;
                }
                Value::Table(table)
            }
        })
    }
}
