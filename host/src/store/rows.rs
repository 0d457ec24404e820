//! Columns to values: what cannot be read is an error that names the column, never a panic.

use std::fmt::Display;

use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::{Error, Result};

/// A column by its name or its number.
pub(super) trait Column: RowIndex + Display + Copy {}

impl<T: RowIndex + Display + Copy> Column for T {}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Corrupt(e.to_string()))
}

pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<T> {
    parse(column, row.get_ref(column)?.as_str().map_err(|e| Error::Corrupt(format!("{column}: {e}")))?)
}

pub(super) fn from_json_or_null<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|e| Error::Corrupt(format!("{column}: {e}")))?;
    text.map(|text| parse(column, text)).transpose()
}

/// A text column that holds an id, a name or a word.
pub(super) fn from_text<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<T> {
    from_text_or_null(row, column)?.ok_or_else(|| Error::Corrupt(format!("{column}: it is not there")))
}

pub(super) fn from_text_or_null<T: DeserializeOwned>(row: &Row<'_>, column: impl Column) -> Result<Option<T>> {
    let corrupt = |e: &dyn Display| Error::Corrupt(format!("{column}: {e}"));
    let text = row.get_ref(column)?.as_str_or_null().map_err(|e| corrupt(&e))?;
    let word = |text: &str| T::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text));
    text.map(word).transpose().map_err(|e| corrupt(&e))
}

fn parse<T: DeserializeOwned>(column: impl Display, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::Corrupt(format!("{column}: {e}")))
}

/// All rows of a query, each read by `read`.
pub(super) fn all<T>(
    db: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    Ok(items)
}

/// The first row of a query, if there is one.
pub(super) fn one<T>(
    db: &rusqlite::Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}
