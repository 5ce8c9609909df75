//! Values that go from one Lua state to another (`thread:get`, `thread:set`): nil, booleans, numbers,
//! strings, and tables of these. Nothing is shared afterwards.

use mlua::{Error, Lua, Value};

/// Tables in tables, at most: a table that holds itself would never end.
const DEEPEST: usize = 100;

/// A value that belongs to no state.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PlainValue {
    Nil,
    Flag(bool),
    Number(f64),
    Text(Vec<u8>),
    Table(Vec<(PlainValue, PlainValue)>),
}

impl PlainValue {
    /// Takes a value out of its state.
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
                let pair = |pair: mlua::Result<(Value, Value)>| {
                    let (key, value) = pair?;
                    Ok((Self::at_depth(&key, depth + 1)?, Self::at_depth(&value, depth + 1)?))
                };
                Self::Table(table.pairs().map(pair).collect::<mlua::Result<_>>()?)
            }
            other => {
                let text = format!("cannot transfer a {} between threads", other.type_name());
                return Err(Error::runtime(text));
            }
        })
    }

    /// Puts the value into a state.
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
