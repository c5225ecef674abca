//! Rows in a store, written without the server: what `cargo xtask bench fanout` compares with and fills a store with.
//!
//! `rows bare DIR COUNT` writes as many rows as an invocation on `COUNT` instances leaves, in transactions as large as the server's,
//! into a new database with the server's schema and settings, and prints the seconds that it took. `rows copy DIR COUNT` copies the
//! newest invocation in the store of a data directory, whose server does not run, until `COUNT` more tasks lie there. Owns its
//! connection; never shares a file with a running server.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, QueryBuilder, Sqlite};

/// Rows of one transaction, as in the server's intake.
const BATCH: usize = 1000;

/// Rows of one statement, as in the server.
const CHUNK: usize = 50;

/// Bytes of a receipt and of an output, about as they are in the measured invocation.
const RECEIPT_BYTES: usize = 1000;
const OUTPUT_BYTES: usize = 120;

/// Tables of which an invocation has rows, with the columns that differ in the copy.
const COPIED: [(&str, &str); 4] = [
    ("invocations", "id = NULL, uid = 't-' || lower(hex(randomblob(13)))"),
    ("orders", "id = NULL, digest = randomblob(32), invocation_id = (SELECT MAX(id) FROM invocations)"),
    ("tasks", "invocation_id = (SELECT MAX(id) FROM invocations)"),
    ("results", "id = NULL, invocation_id = (SELECT MAX(id) FROM invocations)"),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let done = match (words.as_slice(), words.get(2).and_then(|count| count.parse::<usize>().ok())) {
        (["bare", dir, _], Some(count)) => runtime.block_on(bare(Path::new(dir), count)),
        (["copy", dir, _], Some(count)) => runtime.block_on(copy(Path::new(dir), count)),
        _ => {
            eprintln!("rows bare DIR COUNT | rows copy DIR COUNT");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn open(dir: &Path, synchronous: SqliteSynchronous) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("store.sqlite3"))
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(false)
        .pragma("journal_size_limit", "67108864");
    SqliteConnection::connect_with(&options).await
}

async fn bare(dir: &Path, count: usize) -> Result<(), sqlx::Error> {
    let mut conn = open(dir, SqliteSynchronous::Full).await?;
    conn.execute(include_str!("../migrations/sqlite/0001_first.sql")).await?;
    let rows: Vec<i64> = (1..).take(count).collect();
    let (receipt, output) = (vec![b'r'; RECEIPT_BYTES], vec![b'o'; OUTPUT_BYTES]);
    let started = Instant::now();
    let mut created = conn.begin().await?;
    for chunk in rows.chunks(CHUNK) {
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO tasks (invocation_id, instance_id, status, generation) ");
        query.push_values(chunk, |mut row, instance| {
            row.push("1").push_bind(*instance).push("0").push("1");
        });
        query.build().execute(&mut *created).await?;
    }
    created.execute("INSERT INTO deliveries (instance_id, order_id) SELECT instance_id, 1 FROM tasks").await?;
    created.commit().await?;
    for batch in rows.chunks(BATCH) {
        let mut recorded = conn.begin().await?;
        for chunk in batch.chunks(CHUNK) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO results (invocation_id, instance_id, reason, check_code, receipt, output, report) ",
            );
            query.push_values(chunk, |mut row, instance| {
                row.push("1")
                    .push_bind(*instance)
                    .push("NULL")
                    .push("NULL")
                    .push_bind(&receipt[..])
                    .push_bind(&output[..]);
                row.push("NULL");
            });
            query.build().execute(&mut *recorded).await?;
        }
        recorded.commit().await?;
    }
    println!("{:.6}", started.elapsed().as_secs_f64());
    conn.close().await
}

async fn copy(dir: &Path, count: usize) -> Result<(), sqlx::Error> {
    // A copy that breaks off is made anew.
    let mut conn = open(dir, SqliteSynchronous::Off).await?;
    let newest = "(SELECT MAX(id) FROM invocations)";
    let (tasks,): (i64,) =
        sqlx::query_as(AssertSqlSafe(format!("SELECT COUNT(*) FROM tasks WHERE invocation_id = {newest}")))
            .fetch_one(&mut conn)
            .await?;
    let tasks = usize::try_from(tasks).unwrap_or(0).max(1);
    for (table, _) in COPIED {
        let key = if table == "invocations" { "id" } else { "invocation_id" };
        let text = format!("CREATE TEMP TABLE copied_{table} AS SELECT * FROM {table} WHERE {key} = {newest}");
        conn.execute(AssertSqlSafe(text)).await?;
    }
    for _ in 0..count.div_ceil(tasks) {
        let mut all = conn.begin().await?;
        for (table, changed) in COPIED {
            all.execute(AssertSqlSafe(format!("UPDATE copied_{table} SET {changed}"))).await?;
            all.execute(AssertSqlSafe(format!("INSERT INTO {table} SELECT * FROM copied_{table}"))).await?;
        }
        all.commit().await?;
    }
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    println!("{}", count.div_ceil(tasks) * tasks);
    conn.close().await
}
