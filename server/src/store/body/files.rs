//! Blobs as they are used, and files that instances sent.

use std::collections::HashSet;

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use sqlx::{QueryBuilder, Row as _};

use super::super::CHUNK;
use super::{Conn, Db, Reader, digest};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{Collecting, Content, FileRow, InstanceKey, InvocationKey, OrderKind, Swept};

/// Says that a blob is wanted now, so that it stays for a while; whether it is there with this size.
pub(super) async fn touch_blob(conn: &mut Conn, blob: &Digest, bytes: i64, now_ms: i64) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>("UPDATE blobs SET created_ms = $3 WHERE digest = $1 AND bytes = $2")
        .bind(&blob.as_bytes()[..])
        .bind(bytes)
        .bind(now_ms)
        .execute(conn)
        .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

/// Writes down that an invocation needs a blob.
pub(super) async fn use_blob(conn: &mut Conn, blob: &Digest, invocation: InvocationKey) -> Result<(), StoreError> {
    sqlx::query::<Db>("INSERT INTO blob_uses (digest, invocation_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(&blob.as_bytes()[..])
        .bind(invocation)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ties a file to its task, where that is open and has none.
pub(super) async fn add_file(
    conn: &mut Conn,
    invocation: InvocationKey,
    instance: InstanceKey,
    file: &FileRow,
    created_ms: i64,
) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "INSERT INTO files (invocation_id, instance_id, digest, bytes, created_ms) SELECT $1, $2, $3, $4, $5 \
         WHERE EXISTS (SELECT 1 FROM tasks WHERE invocation_id = $1 AND instance_id = $2 AND status < $6) \
         ON CONFLICT (invocation_id, instance_id) DO NOTHING",
    )
    .bind(invocation)
    .bind(instance)
    .bind(&file.digest.as_bytes()[..])
    .bind(file.bytes)
    .bind(created_ms)
    .bind(i32::try_from(TaskStatus::FIRST_FINAL_CODE).unwrap_or(i32::MAX))
    .execute(conn)
    .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

/// Forgets blobs that nothing has needed since `blobs_ms`, and files that were collected before `files_ms`.
pub(super) async fn sweep(conn: &mut Conn, blobs_ms: i64, files_ms: i64) -> Result<Answer, StoreError> {
    let blobs = sqlx::query::<Db>(
        "DELETE FROM blobs WHERE created_ms < $1 \
         AND NOT EXISTS (SELECT 1 FROM plugins p WHERE p.component = blobs.digest) \
         AND NOT EXISTS (SELECT 1 FROM blob_uses u JOIN invocations v ON v.id = u.invocation_id \
             WHERE u.digest = blobs.digest AND (v.finished_ms IS NULL OR v.finished_ms >= $1)) RETURNING digest",
    )
    .bind(blobs_ms)
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query::<Db>(
        "DELETE FROM blob_uses WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = blob_uses.digest)",
    )
    .execute(&mut *conn)
    .await?;
    let files = sqlx::query::<Db>("DELETE FROM files WHERE created_ms < $1 RETURNING digest")
        .bind(files_ms)
        .fetch_all(&mut *conn)
        .await?;
    let mut swept = Swept::default();
    for row in blobs {
        swept.blobs.push(digest(row.try_get(0)?)?);
    }
    for row in files {
        let gone = digest(row.try_get(0)?)?;
        let other: Option<(i64,)> = sqlx::query_as::<Db, _>("SELECT instance_id FROM files WHERE digest = $1 LIMIT 1")
            .bind(&gone.as_bytes()[..])
            .fetch_optional(&mut *conn)
            .await?;
        if other.is_none() {
            swept.files.push(gone);
        }
    }
    Ok(Answer::Swept(swept))
}

impl Reader {
    /// Bytes of all blobs and of all collected files, each content once.
    pub(in crate::store) async fn stored_bytes(&self) -> Result<i64, StoreError> {
        // Sums of 64-bit numbers are of another type in PostgreSQL.
        let row: (Option<i64>,) = sqlx::query_as::<Db, _>(
            "SELECT CAST(SUM(bytes) AS BIGINT) FROM (SELECT digest, bytes FROM blobs \
             UNION ALL SELECT DISTINCT digest, bytes FROM files) AS contents",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.0.unwrap_or(0))
    }

    /// Those of `digests` that have a row.
    pub(in crate::store) async fn known(
        &self,
        content: Content,
        digests: &[Digest],
    ) -> Result<HashSet<Digest>, StoreError> {
        let table = match content {
            Content::Blob => "SELECT digest FROM blobs WHERE digest IN (",
            Content::Collected => "SELECT digest FROM files WHERE digest IN (",
        };
        let mut known = HashSet::new();
        for chunk in digests.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new(table);
            let mut list = query.separated(", ");
            for wanted in chunk {
                list.push_bind(&wanted.as_bytes()[..]);
            }
            query.push(")");
            for row in query.build().persistent(false).fetch_all(&self.pool).await? {
                known.insert(digest(row.try_get(0)?)?);
            }
        }
        Ok(known)
    }

    /// What an instance sent for an invocation.
    pub(in crate::store) async fn file(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<Option<FileRow>, StoreError> {
        let row = sqlx::query::<Db>("SELECT digest, bytes FROM files WHERE invocation_id = $1 AND instance_id = $2")
            .bind(invocation)
            .bind(instance)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(FileRow { digest: digest(row.try_get(0)?)?, bytes: row.try_get(1)? })).transpose()
    }

    /// The task of an instance that an order makes, and the order.
    pub(in crate::store) async fn collecting(
        &self,
        order: &Digest,
        instance: InstanceKey,
    ) -> Result<Option<Collecting>, StoreError> {
        let row = sqlx::query::<Db>(
            "SELECT o.invocation_id, o.envelope, t.status FROM orders o \
             JOIN tasks t ON t.invocation_id = o.invocation_id AND t.instance_id = $2 WHERE o.digest = $1 AND o.kind = $3",
        )
        .bind(&order.as_bytes()[..])
        .bind(instance)
        .bind(OrderKind::Run.code())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Collecting {
                invocation: row.try_get(0)?,
                envelope: row.try_get(1)?,
                status: super::task::status(row.try_get(2)?)?,
            })
        })
        .transpose()
    }
}
