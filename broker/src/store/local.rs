//! A connection to SQLite that answers in the thread that asks.
//!
//! sqlx's own driver keeps a thread for each connection; going there and back costs more than most of our queries
//! take. What SQLite must wait for here is short: the memory of the page cache, rarely the disk. The one thing that
//! is long, an fsync at the end of a transaction, is [not done here](super::sqlite).
//!
//! It takes and gives what sqlx's `Any` does, so that whoever writes a query does not see which database answers.
//! The fields of `Any` that are used for it are public for drivers like this one, but may change with sqlx's minor
//! versions; the compiler will say so.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, Statement};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx_core::HashMap;
use sqlx_core::any::{
    AnyArguments, AnyColumn, AnyQueryResult, AnyRow, AnyTypeInfo, AnyTypeInfoKind, AnyValue, AnyValueKind,
};

use super::{Failure, Result};

/// So many statements stay prepared; there are some two hundred.
const PREPARED: usize = 256;

/// What a statement brought.
#[derive(Default)]
pub struct Brought {
    /// Its rows.
    pub rows: Vec<AnyRow>,
    /// How many rows it changed.
    pub changed: AnyQueryResult,
}

/// The connection.
pub struct Local {
    sqlite: rusqlite::Connection,
    /// A row without values for each statement that gives rows.
    shapes: HashMap<String, AnyRow>,
}

impl Local {
    /// Opens a file that is there.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = rusqlite::Connection::open_with_flags(path, flags).map_err(failure)?;
        sqlite.set_prepared_statement_cache_capacity(PREPARED);
        Ok(Self { sqlite, shapes: HashMap::new() })
    }

    /// Runs one statement that brings nothing, kept prepared.
    pub fn tell(&self, sql: &'static str) -> Result<()> {
        let mut statement = self.sqlite.prepare_cached(sql).map_err(failure)?;
        statement.raw_query().next().map_err(failure).map(drop)
    }

    /// Runs any number of statements without arguments, and brings nothing.
    pub fn tell_all(&self, sql: &str) -> Result<()> {
        self.sqlite.execute_batch(sql).map_err(failure)
    }

    /// Runs one statement; brings at most `most` of its rows.
    pub fn run(&mut self, sql: &str, arguments: &AnyArguments, keep: bool, most: usize) -> Result<Brought> {
        let Self { sqlite, shapes } = self;
        let arguments = &arguments.values.0[..];
        if !keep {
            let mut statement = sqlite.prepare(sql).map_err(failure)?;
            let shape = shape(&statement);
            return run(sqlite, &mut statement, arguments, &shape, most);
        }
        let mut statement = sqlite.prepare_cached(sql).map_err(failure)?;
        let shape = match shapes.get(sql) {
            Some(shape) => shape,
            None => shapes.entry(sql.to_owned()).or_insert(shape(&statement)),
        };
        run(sqlite, &mut statement, arguments, shape, most)
    }

    /// Closes it.
    pub fn close(self) -> Result<()> {
        self.sqlite.close().map_err(|(_, err)| failure(err))
    }
}

fn shape(statement: &Statement<'_>) -> AnyRow {
    let names = statement.column_names().into_iter().map(str::to_owned).enumerate();
    let column = |(ordinal, name): (usize, String)| AnyColumn {
        ordinal,
        name: name.into(),
        // The values know better: a column of SQLite has no type of its own.
        type_info: AnyTypeInfo { kind: AnyTypeInfoKind::Null },
    };
    let columns: Vec<_> = names.map(column).collect();
    let column_names = columns.iter().map(|column| (column.name.clone(), column.ordinal)).collect();
    AnyRow { column_names: Arc::new(column_names), columns, values: Vec::new() }
}

fn run(
    sqlite: &rusqlite::Connection,
    statement: &mut Statement<'_>,
    arguments: &[AnyValueKind],
    shape: &AnyRow,
    most: usize,
) -> Result<Brought> {
    bind(statement, arguments)?;
    let mut brought = Brought::default();
    let mut rows = statement.raw_query();
    while brought.rows.len() < most
        && let Some(row) = rows.next().map_err(failure)?
    {
        let values = (0..shape.columns.len()).map(|at| value(row.get_ref(at).map_err(failure)?));
        let values = values.collect::<Result<_>>()?;
        let (column_names, columns) = (shape.column_names.clone(), shape.columns.clone());
        brought.rows.push(AnyRow { column_names, columns, values });
    }
    brought.changed.rows_affected = sqlite.changes();
    Ok(brought)
}

/// `$3` is the third argument wherever it stands: SQLite itself takes it for a name.
fn bind(statement: &mut Statement<'_>, arguments: &[AnyValueKind]) -> Result<()> {
    for at in 1..=statement.parameter_count() {
        let number = statement.parameter_name(at).map_or(Some(at), |name| name.get(1..)?.parse().ok());
        let argument = number.and_then(|number: usize| arguments.get(number.checked_sub(1)?));
        let argument = argument.ok_or_else(|| Failure::Protocol(format!("argument {at} is missing")))?;
        statement.raw_bind_parameter(at, sent(argument)?).map_err(failure)?;
    }
    Ok(())
}

fn sent(argument: &AnyValueKind) -> Result<ToSqlOutput<'_>> {
    Ok(ToSqlOutput::Borrowed(match argument {
        AnyValueKind::Null(_) => ValueRef::Null,
        AnyValueKind::Bool(is) => ValueRef::Integer(i64::from(*is)),
        AnyValueKind::SmallInt(number) => ValueRef::Integer(i64::from(*number)),
        AnyValueKind::Integer(number) => ValueRef::Integer(i64::from(*number)),
        AnyValueKind::BigInt(number) => ValueRef::Integer(*number),
        AnyValueKind::Real(number) => ValueRef::Real(f64::from(*number)),
        AnyValueKind::Double(number) => ValueRef::Real(*number),
        AnyValueKind::Text(text) => ValueRef::Text(text.as_bytes()),
        AnyValueKind::TextSlice(text) => ValueRef::Text(text.as_bytes()),
        AnyValueKind::Blob(bytes) => ValueRef::Blob(bytes),
        other => return Err(Failure::Protocol(format!("no such kind of argument: {other:?}"))),
    }))
}

fn value(found: ValueRef<'_>) -> Result<AnyValue> {
    let kind = match found {
        ValueRef::Null => AnyValueKind::Null(AnyTypeInfoKind::Null),
        ValueRef::Integer(number) => AnyValueKind::BigInt(number),
        ValueRef::Real(number) => AnyValueKind::Double(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|err| Failure::Decode(err.into()))?;
            AnyValueKind::Text(Arc::new(text.to_owned()))
        }
        ValueRef::Blob(bytes) => AnyValueKind::Blob(Arc::new(bytes.to_owned())),
    };
    Ok(AnyValue { kind })
}

/// What SQLite said, in sqlx's words.
fn failure(err: rusqlite::Error) -> Failure {
    match err.sqlite_error() {
        Some(said) => Failure::from(Said { code: said.extended_code, text: err.to_string() }),
        None => Failure::Protocol(err.to_string()),
    }
}

/// An error of SQLite: its extended result code and its text.
#[derive(Debug)]
struct Said {
    code: i32,
    text: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.text)
    }
}

impl std::error::Error for Said {}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        &self.text
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                ErrorKind::UniqueViolation
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            rusqlite::ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            rusqlite::ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}
