//! Commands that are kept. A change locks the command's row first, so that of two servers neither deletes what the other begins to
//! run, and no version is written over.

use std::collections::BTreeMap;

use sqlx::{QueryBuilder, Row as _};

use super::super::CHUNK;
use super::{Conn, Db, Reader, Row, digest};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{
    CommandFilter, CommandKey, CommandRow, DeleteOutcome, NewCommand, NewVersion, RUNNING_NAMED_MAX, VersionOutcome,
    VersionRow,
};

/// Stores a command where there are fewer than `most`. Servers that share a database may each add one too many at the same moment.
pub(super) async fn add(conn: &mut Conn, new: &NewCommand, most: i64) -> Result<Answer, StoreError> {
    let added: Option<(CommandKey,)> = sqlx::query_as::<Db, _>(
        "INSERT INTO commands (uid, name, kind, version, created_ms, created_by) SELECT $1, $2, $3, 1, $4, $5 \
         WHERE (SELECT COUNT(*) FROM commands) < $6 RETURNING id",
    )
    .bind(&new.uid)
    .bind(&new.first.name)
    .bind(&new.kind)
    .bind(new.first.changed_ms)
    .bind(&new.first.changed_by)
    .bind(most)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((key,)) = added else { return Ok(Answer::Found(false)) };
    version(conn, key, 1, &new.first).await?;
    Ok(Answer::Found(true))
}

/// Stores the next version, where the command is still at `from`.
pub(super) async fn change(conn: &mut Conn, uid: &str, from: i32, new: &NewVersion) -> Result<Answer, StoreError> {
    let changed: Option<(CommandKey, i32)> = sqlx::query_as::<Db, _>(
        "UPDATE commands SET version = version + 1, name = $1 WHERE uid = $2 AND version = $3 RETURNING id, version",
    )
    .bind(&new.name)
    .bind(uid)
    .bind(from)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some((key, number)) = changed {
        version(conn, key, number, new).await?;
        return Ok(Answer::Versioned(VersionOutcome::Stored(number)));
    }
    let now: Option<(i32,)> =
        sqlx::query_as::<Db, _>("SELECT version FROM commands WHERE uid = $1").bind(uid).fetch_optional(conn).await?;
    Ok(Answer::Versioned(now.map_or(VersionOutcome::Unknown, |(now,)| VersionOutcome::Stale(now))))
}

async fn version(conn: &mut Conn, key: CommandKey, number: i32, new: &NewVersion) -> Result<(), StoreError> {
    sqlx::query::<Db>(
        "INSERT INTO command_versions (command_id, version, changed_ms, changed_by, name, description, content_digest, \
         content_bytes, draft) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(key)
    .bind(number)
    .bind(new.changed_ms)
    .bind(&new.changed_by)
    .bind(&new.name)
    .bind(&new.description)
    .bind(new.content_digest.as_ref().map(|digest| &digest.as_bytes()[..]))
    .bind(new.content_bytes)
    .bind(&new.draft)
    .execute(&mut *conn)
    .await?;
    let Some(tags) = &new.tags else { return Ok(()) };
    sqlx::query::<Db>("DELETE FROM command_tags WHERE command_id = $1").bind(key).execute(&mut *conn).await?;
    if !tags.is_empty() {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO command_tags (key, value, command_id) ");
        query.push_values(tags, |mut row, (name, value)| {
            row.push_bind(name).push_bind(value).push_bind(key);
        });
        query.build().persistent(false).execute(conn).await?;
    }
    Ok(())
}

/// Notes that an invocation of the command begins. That it may be gone by now harms nothing: the invocation has all that it needs.
pub(super) async fn used(conn: &mut Conn, uid: &str, now_ms: i64) -> Result<(), StoreError> {
    sqlx::query::<Db>("UPDATE commands SET used_ms = $1 WHERE uid = $2").bind(now_ms).bind(uid).execute(conn).await?;
    Ok(())
}

/// Deletes the command with its versions, unless an invocation of it has not ended.
pub(super) async fn delete(conn: &mut Conn, uid: &str) -> Result<Answer, StoreError> {
    // Changes nothing but locks the row: what another server has begun to run meanwhile is seen below.
    let locked: Option<(CommandKey,)> =
        sqlx::query_as::<Db, _>("UPDATE commands SET used_ms = used_ms WHERE uid = $1 RETURNING id")
            .bind(uid)
            .fetch_optional(&mut *conn)
            .await?;
    let Some((key,)) = locked else { return Ok(Answer::Deleted(DeleteOutcome::Unknown)) };
    let running: Vec<(String,)> = sqlx::query_as::<Db, _>(
        "SELECT uid FROM invocations WHERE command_uid = $1 AND finished_ms IS NULL ORDER BY id LIMIT $2",
    )
    .bind(uid)
    .bind(RUNNING_NAMED_MAX)
    .fetch_all(&mut *conn)
    .await?;
    if !running.is_empty() {
        return Ok(Answer::Deleted(DeleteOutcome::Running(running.into_iter().map(|(uid,)| uid).collect())));
    }
    for sql in [
        "DELETE FROM command_tags WHERE command_id = $1",
        "DELETE FROM command_versions WHERE command_id = $1",
        "DELETE FROM commands WHERE id = $1",
    ] {
        sqlx::query::<Db>(sql).bind(key).execute(&mut *conn).await?;
    }
    Ok(Answer::Deleted(DeleteOutcome::Deleted))
}

/// The columns of a version, which come first in every read.
const VERSION: &str = "v.version, v.changed_ms, v.changed_by, v.name, v.description, v.content_digest, v.content_bytes";

/// The columns of the command, which follow those.
const COMMAND: &str = ", c.id, c.uid, c.kind, c.version, c.created_ms, c.created_by, c.used_ms";

fn version_row(row: &Row) -> Result<VersionRow, StoreError> {
    let content_digest: Option<&[u8]> = row.try_get(5)?;
    Ok(VersionRow {
        version: row.try_get(0)?,
        changed_ms: row.try_get(1)?,
        changed_by: row.try_get(2)?,
        name: row.try_get(3)?,
        description: row.try_get(4)?,
        content_digest: content_digest.map(digest).transpose()?,
        content_bytes: row.try_get(6)?,
    })
}

fn command_row(row: &Row) -> Result<CommandRow, StoreError> {
    Ok(CommandRow {
        version: version_row(row)?,
        key: row.try_get(7)?,
        uid: row.try_get(8)?,
        kind: row.try_get(9)?,
        newest: row.try_get(10)?,
        created_ms: row.try_get(11)?,
        created_by: row.try_get(12)?,
        used_ms: row.try_get(13)?,
        tags: BTreeMap::new(),
    })
}

impl Reader {
    /// A page of commands in their newest versions, by key.
    pub(in crate::store) async fn commands(
        &self,
        filter: &CommandFilter,
        after: CommandKey,
        limit: i64,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT ");
        query.push(VERSION).push(COMMAND);
        query.push(" FROM commands c JOIN command_versions v ON v.command_id = c.id AND v.version = c.version");
        query.push(" WHERE c.id > ").push_bind(after);
        // Neither of the two databases' patterns: they differ in what capitals mean, and have letters of their own.
        if let Some(prefix) = &filter.prefix {
            query.push(" AND SUBSTR(c.name, 1, LENGTH(").push_bind(prefix.clone()).push(")) = ");
            query.push_bind(prefix.clone());
        }
        if let Some(part) = filter.contains.as_ref().filter(|part| !part.is_empty()) {
            query.push(" AND REPLACE(c.name, ").push_bind(part.clone()).push(", '') <> c.name");
        }
        if let Some(kind) = &filter.kind {
            query.push(" AND c.kind = ").push_bind(kind.clone());
        }
        for (key, value) in &filter.tags {
            query.push(" AND c.id IN (SELECT command_id FROM command_tags WHERE key = ").push_bind(key.clone());
            query.push(" AND value = ").push_bind(value.clone()).push(")");
        }
        query.push(" ORDER BY c.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        let mut found = rows.iter().map(command_row).collect::<Result<Vec<_>, _>>()?;
        self.add_command_tags(&mut found).await?;
        Ok(found)
    }

    /// A command in its newest version or another, with its draft.
    pub(in crate::store) async fn command(
        &self,
        uid: &str,
        version: Option<i32>,
    ) -> Result<Option<(CommandRow, String)>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT ");
        query.push(VERSION).push(COMMAND).push(", v.draft");
        query.push(" FROM commands c JOIN command_versions v ON v.command_id = c.id AND v.version = ");
        match version {
            Some(version) => query.push_bind(version),
            None => query.push("c.version"),
        };
        query.push(" WHERE c.uid = ").push_bind(uid);
        let Some(row) = query.build().fetch_optional(&self.pool).await? else { return Ok(None) };
        let mut found = vec![command_row(&row)?];
        self.add_command_tags(&mut found).await?;
        let draft: String = row.try_get(14)?;
        Ok(found.pop().map(|command| (command, draft)))
    }

    async fn add_command_tags(&self, found: &mut [CommandRow]) -> Result<(), StoreError> {
        for chunk in found.chunks_mut(CHUNK) {
            let mut query =
                QueryBuilder::<Db>::new("SELECT command_id, key, value FROM command_tags WHERE command_id IN (");
            let mut list = query.separated(", ");
            for row in chunk.iter() {
                list.push_bind(row.key);
            }
            query.push(")");
            for row in query.build().persistent(chunk.len() == 1).fetch_all(&self.pool).await? {
                let key: CommandKey = row.try_get(0)?;
                if let Some(command) = chunk.iter_mut().find(|command| command.key == key) {
                    command.tags.insert(row.try_get(1)?, row.try_get(2)?);
                }
            }
        }
        Ok(())
    }

    /// The versions of a command before `before`, newest first.
    pub(in crate::store) async fn command_versions(
        &self,
        key: CommandKey,
        before: i32,
        limit: i64,
    ) -> Result<Vec<VersionRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT ");
        query.push(VERSION).push(" FROM command_versions v WHERE v.command_id = ").push_bind(key);
        query.push(" AND v.version < ").push_bind(before).push(" ORDER BY v.version DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(version_row).collect()
    }
}
