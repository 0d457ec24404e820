//! What is printed: a table for people, JSON for programs.

use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// A column's title, and the JSON pointer of what stands in it.
pub(super) type Column = (&'static str, &'static str);

impl Format {
    pub(super) fn list(self, columns: &[Column], items: &[Value]) {
        if self == Self::Json {
            return say(&pretty(&Value::Array(items.to_vec())));
        }
        let mut table = plain();
        table.set_header(columns.iter().map(|(title, _)| *title));
        for item in items {
            table.add_row(columns.iter().map(|(_, pointer)| item.pointer(pointer).map_or(String::new(), cell)));
        }
        say(&table.trim_fmt());
    }

    /// One line a field.
    pub(super) fn one(self, item: &Value) {
        let (Self::Table, Value::Object(fields)) = (self, item) else { return say(&pretty(item)) };
        let mut table = plain();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            table.add_row([name.clone(), cell(value)]);
        }
        say(&table.trim_fmt());
    }

    /// What was done, for people only.
    pub(super) fn done(self, sentence: &str) {
        if self == Self::Table {
            say(sentence);
        }
    }
}

/// One line on stdout. A reader that went away is no failure of ours.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.trim_end()).ok();
}

fn plain() -> Table {
    let mut table = Table::new();
    // A line stays a line, whatever reads it.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn pretty(value: &Value) -> String {
    // A JSON value can always be written.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
