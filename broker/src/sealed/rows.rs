//! The sealed columns, whichever table they are in. Names come from the list in the code alone.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::brokers::Broker;
use crate::store::{Db, Result};
use crate::vault::Column;

/// The distinct beginnings of a column's records (version, length of the key's id, the id), each with how many.
pub async fn beginnings(db: &mut Db, column: Column) -> Result<Vec<(Vec<u8>, i64)>> {
    let Column { table, column, .. } = column;
    let heads =
        format!("SELECT DISTINCT substr({column}, 1, 2) AS head FROM {table} WHERE {column} IS NOT NULL");
    let mut found = Vec::new();
    for head in sqlx::query(AssertSqlSafe(heads)).fetch_all(&mut *db).await? {
        let head: Vec<u8> = head.try_get("head")?;
        let length = 2 + usize::from(head.get(1).copied().unwrap_or(0));
        let sql = format!(
            "SELECT substr({column}, 1, {length}) AS beginning, COUNT(*) AS records FROM {table}
             WHERE substr({column}, 1, 2) = $1 GROUP BY substr({column}, 1, {length})"
        );
        for row in sqlx::query(AssertSqlSafe(sql)).bind(head).fetch_all(&mut *db).await? {
            found.push((row.try_get("beginning")?, row.try_get("records")?));
        }
    }
    Ok(found)
}

/// The next records, by row.
pub async fn all(db: &mut Db, column: Column, after: i64, most: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    let Column { table, column, row } = column;
    let sql = format!(
        "SELECT {row} AS number, {column} AS sealed FROM {table}
         WHERE {row} > $1 AND {column} IS NOT NULL ORDER BY {row} LIMIT $2"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(most).fetch_all(db).await?;
    found.iter().map(|row| Ok((row.try_get("number")?, row.try_get("sealed")?))).collect()
}

/// The next records, by row, that do not begin so.
pub async fn others(
    db: &mut Db,
    column: Column,
    beginning: &[u8],
    after: i64,
    most: i64,
) -> Result<Vec<(i64, Vec<u8>)>> {
    let Column { table, column, row } = column;
    let length = beginning.len();
    let sql = format!(
        "SELECT {row} AS number, {column} AS sealed FROM {table}
         WHERE {row} > $1 AND {column} IS NOT NULL AND substr({column}, 1, {length}) <> $2
         ORDER BY {row} LIMIT $3"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(beginning).bind(most).fetch_all(db).await?;
    found.iter().map(|row| Ok((row.try_get("number")?, row.try_get("sealed")?))).collect()
}

/// Puts new bytes in place of the old; false when somebody else changed or removed them.
pub async fn replace(db: &mut Db, column: Column, number: i64, old: &[u8], new: &[u8]) -> Result<bool> {
    let Column { table, column, row } = column;
    let sql = format!("UPDATE {table} SET {column} = $3 WHERE {row} = $1 AND {column} = $2");
    let done = sqlx::query(AssertSqlSafe(sql)).bind(number).bind(old).bind(new).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// What every broker has said of itself, also those that are gone.
pub async fn brokers(db: &mut Db) -> Result<Vec<Broker>> {
    let rows = sqlx::query("SELECT id, beat, keys FROM broker").fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let keys: String = row.try_get("keys")?;
            let keys = keys.split(' ').filter(|id| !id.is_empty()).map(ToOwned::to_owned).collect();
            Ok(Broker { id: row.try_get("id")?, beat: row.try_get("beat")?, keys })
        })
        .collect()
}

/// The marks of all keys that ever were in the list, by id.
pub async fn noted(db: &mut Db) -> Result<HashMap<String, Vec<u8>>> {
    let rows = sqlx::query("SELECT id, mark FROM sealing_key").fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("mark")?))).collect()
}

/// Notes a key's mark.
pub async fn note(db: &mut Db, id: &str, mark: &[u8]) -> Result<()> {
    sqlx::query("INSERT INTO sealing_key (id, mark) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET mark = $2")
        .bind(id)
        .bind(mark)
        .execute(db)
        .await
        .map(drop)
}
