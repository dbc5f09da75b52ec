//! A connection, whichever database it leads to: what every rows function is handed.

use std::fmt;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, Describe, Either, Execute, Executor, SqlStr, Transaction};

use super::local::{Brought, Local};
use super::{Failure, Result};

/// A connection to the database, for `sqlx::query` and its like.
pub struct Db(pub(super) Way);

/// Where it leads.
pub(super) enum Way {
    Sqlite(Local),
    Pool(PoolConnection<Any>),
    Transaction(Transaction<'static, Any>),
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Way::Sqlite(_) => "Db(SQLite)",
            Way::Pool(_) | Way::Transaction(_) => "Db(PostgreSQL)",
        })
    }
}

impl Db {
    /// Whether it leads to PostgreSQL, for the few things that are said there only.
    pub fn is_postgres(&self) -> bool {
        !matches!(self.0, Way::Sqlite(_))
    }

    /// SQLite's own connection, where it is one.
    pub(super) fn local(&mut self) -> Result<&mut Local> {
        match &mut self.0 {
            Way::Sqlite(local) => Ok(local),
            Way::Pool(_) | Way::Transaction(_) => Err(Failure::Protocol("not SQLite".to_owned())),
        }
    }
}

fn never() -> Failure {
    Failure::Protocol("nobody here asks about a statement before it is run".to_owned())
}

fn answer<'q>(local: &mut Local, mut query: impl Execute<'q, Any>, most: usize) -> Result<Brought> {
    let arguments = query.take_arguments().map_err(Failure::Encode)?;
    let keep = query.persistent();
    let sql = query.sql();
    match arguments {
        Some(arguments) => local.run(sql.as_str(), &arguments, keep, most),
        None => local.tell_all(sql.as_str()).map(|()| Brought::default()),
    }
}

impl<'c> Executor<'c> for &'c mut Db {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Way::Sqlite(local) => match answer(local, query, usize::MAX) {
                Ok(Brought { rows, changed }) => {
                    let rows = rows.into_iter().map(Either::Right);
                    stream::iter(rows.chain([Either::Left(changed)])).map(Ok).boxed()
                }
                Err(failure) => stream::iter([Err(failure)]).boxed(),
            },
            Way::Pool(connection) => (&mut **connection).fetch_many(query),
            Way::Transaction(transaction) => (&mut **transaction).fetch_many(query),
        }
    }

    // These two could be left to `fetch_many`; they are most of what is asked, and a stream costs more than it.

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<AnyQueryResult>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Way::Sqlite(local) => {
                let brought = answer(local, query, usize::MAX);
                std::future::ready(brought.map(|brought| brought.changed)).boxed()
            }
            Way::Pool(connection) => (&mut **connection).execute(query),
            Way::Transaction(transaction) => (&mut **transaction).execute(query),
        }
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Way::Sqlite(local) => {
                let brought = answer(local, query, usize::MAX);
                std::future::ready(brought.map(|brought| brought.rows)).boxed()
            }
            Way::Pool(connection) => (&mut **connection).fetch_all(query),
            Way::Transaction(transaction) => (&mut **transaction).fetch_all(query),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        match &mut self.0 {
            Way::Sqlite(local) => {
                let brought = answer(local, query, 1);
                std::future::ready(brought.map(|mut brought| brought.rows.pop())).boxed()
            }
            Way::Pool(connection) => (&mut **connection).fetch_optional(query),
            Way::Transaction(transaction) => (&mut **transaction).fetch_optional(query),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement>>
    where
        'c: 'e,
    {
        match &mut self.0 {
            Way::Sqlite(_) => std::future::ready(Err(never())).boxed(),
            Way::Pool(connection) => (&mut **connection).prepare_with(sql, parameters),
            Way::Transaction(transaction) => (&mut **transaction).prepare_with(sql, parameters),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>>>
    where
        'c: 'e,
    {
        match &mut self.0 {
            Way::Sqlite(_) => std::future::ready(Err(never())).boxed(),
            Way::Pool(connection) => (&mut **connection).describe(sql),
            Way::Transaction(transaction) => (&mut **transaction).describe(sql),
        }
    }
}
