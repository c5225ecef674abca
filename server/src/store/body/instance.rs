//! Instances, their tags and signs of life.

use std::collections::BTreeMap;

use orderly_signing::instance::InstanceId;
use sqlx::{QueryBuilder, Row as _};

use super::super::CHUNK;
use super::{Conn, Db, Reader, Row, json, parsed};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{EnrolOutcome, InstanceKey, InstanceRow, NewInstance, Seen};

/// Counts the code and stores the instance. The same instance may come again with a code that is still good: its first answer may
/// have been lost, and it must not use the code up.
pub(super) async fn enrol(conn: &mut Conn, new: &NewInstance) -> Result<Answer, StoreError> {
    let known: Option<(InstanceKey,)> = sqlx::query_as::<Db, _>("SELECT id FROM instances WHERE uid = $1")
        .bind(new.uid.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let counted: Option<(String,)> = sqlx::query_as::<Db, _>(
        "UPDATE activations SET used = used + $1 WHERE code_hash = $2 AND disabled = 0 AND expires_ms > $3 \
         AND used + $1 <= max_instances RETURNING tags",
    )
    .bind(i32::from(known.is_none()))
    .bind(&new.code_hash.as_bytes()[..])
    .bind(new.enrolled_ms)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((tags,)) = counted else {
        return Ok(Answer::Enrolled(EnrolOutcome::CodeSpent));
    };
    let key = match known {
        Some((key,)) => {
            sqlx::query::<Db>("UPDATE instances SET name = $1, facts = $2 WHERE id = $3")
                .bind(&new.name)
                .bind(&new.facts)
                .bind(key)
                .execute(&mut *conn)
                .await?;
            key
        }
        None => {
            let (key,): (InstanceKey,) = sqlx::query_as::<Db, _>(
                "INSERT INTO instances (uid, name, public_key, facts, enrolled_ms) VALUES ($1, $2, $3, $4, $5) \
                 RETURNING id",
            )
            .bind(new.uid.as_str())
            .bind(&new.name)
            .bind(&new.public_key)
            .bind(&new.facts)
            .bind(new.enrolled_ms)
            .fetch_one(&mut *conn)
            .await?;
            set_tags(conn, key, &json("activations", &tags)?).await?;
            key
        }
    };
    let _ = key;
    Ok(Answer::Enrolled(EnrolOutcome::Enrolled))
}

pub(super) async fn set_tags(
    conn: &mut Conn,
    instance: InstanceKey,
    tags: &BTreeMap<String, String>,
) -> Result<Answer, StoreError> {
    sqlx::query::<Db>("DELETE FROM instance_tags WHERE instance_id = $1").bind(instance).execute(&mut *conn).await?;
    if !tags.is_empty() {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO instance_tags (key, value, instance_id) ");
        query.push_values(tags, |mut row, (key, value)| {
            row.push_bind(key).push_bind(value).push_bind(instance);
        });
        query.build().persistent(false).execute(conn).await?;
    }
    Ok(Answer::Done)
}

pub(super) async fn set_facts(conn: &mut Conn, instance: InstanceKey, facts: &str) -> Result<Answer, StoreError> {
    sqlx::query::<Db>("UPDATE instances SET facts = $1 WHERE id = $2").bind(facts).bind(instance).execute(conn).await?;
    Ok(Answer::Done)
}

pub(super) async fn seen(conn: &mut Conn, seen: &[Seen]) -> Result<Answer, StoreError> {
    for chunk in seen.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new(
            "INSERT INTO instance_seen (instance_id, last_seen_ms, boot_id, keyring_revision) ",
        );
        query.push_values(chunk, |mut row, seen| {
            row.push_bind(seen.instance)
                .push_bind(seen.at_ms)
                .push_bind(&seen.boot_id)
                .push_bind(seen.keyring_revision);
        });
        query.push(
            " ON CONFLICT (instance_id) DO UPDATE SET last_seen_ms = excluded.last_seen_ms, \
             boot_id = excluded.boot_id, keyring_revision = excluded.keyring_revision",
        );
        query.build().persistent(chunk.len() == CHUNK).execute(&mut *conn).await?;
    }
    Ok(Answer::Done)
}

const INSTANCE: &str = "SELECT i.id, i.uid, i.name, i.public_key, i.facts, i.enrolled_ms, s.last_seen_ms \
     FROM instances i LEFT JOIN instance_seen s ON s.instance_id = i.id";

fn instance(row: &Row) -> Result<InstanceRow, StoreError> {
    Ok(InstanceRow {
        key: row.try_get(0)?,
        uid: parsed("instances", row.try_get(1)?)?,
        name: row.try_get(2)?,
        public_key: row.try_get(3)?,
        facts: row.try_get(4)?,
        enrolled_ms: row.try_get(5)?,
        last_seen_ms: row.try_get(6)?,
        tags: BTreeMap::new(),
    })
}

/// Says that an instance has all of some tags.
fn push_tags(query: &mut QueryBuilder<Db>, tags: &BTreeMap<String, String>) {
    for (key, value) in tags {
        query
            .push(" AND i.id IN (SELECT instance_id FROM instance_tags WHERE key = ")
            .push_bind(key.clone())
            .push(" AND value = ")
            .push_bind(value.clone())
            .push(")");
    }
}

impl Reader {
    pub(in crate::store) async fn instance(&self, uid: &InstanceId) -> Result<Option<InstanceRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(INSTANCE);
        query.push(" WHERE i.uid = ").push_bind(uid.as_str());
        let Some(row) = query.build().fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        let mut found = vec![instance(&row)?];
        self.add_tags(&mut found).await?;
        Ok(found.pop())
    }

    pub(in crate::store) async fn instances(
        &self,
        tags: &BTreeMap<String, String>,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<InstanceRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(INSTANCE);
        query.push(" WHERE i.id > ").push_bind(after);
        push_tags(&mut query, tags);
        query.push(" ORDER BY i.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        let mut found = rows.iter().map(instance).collect::<Result<Vec<_>, _>>()?;
        self.add_tags(&mut found).await?;
        Ok(found)
    }

    async fn add_tags(&self, found: &mut [InstanceRow]) -> Result<(), StoreError> {
        for chunk in found.chunks_mut(CHUNK) {
            let mut query =
                QueryBuilder::<Db>::new("SELECT instance_id, key, value FROM instance_tags WHERE instance_id IN (");
            let mut list = query.separated(", ");
            for row in chunk.iter() {
                list.push_bind(row.key);
            }
            query.push(")");
            let rows = query.build().persistent(chunk.len() == 1).fetch_all(&self.pool).await?;
            for row in rows {
                let key: InstanceKey = row.try_get(0)?;
                if let Some(instance) = chunk.iter_mut().find(|instance| instance.key == key) {
                    instance.tags.insert(row.try_get(1)?, row.try_get(2)?);
                }
            }
        }
        Ok(())
    }

    /// The keys of those of `uids` that exist.
    pub(in crate::store) async fn instance_keys(
        &self,
        uids: &[InstanceId],
    ) -> Result<Vec<(InstanceKey, InstanceId)>, StoreError> {
        let mut found = Vec::with_capacity(uids.len());
        for chunk in uids.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new("SELECT id, uid FROM instances WHERE uid IN (");
            let mut list = query.separated(", ");
            for uid in chunk {
                list.push_bind(uid.as_str());
            }
            query.push(")");
            let persistent = chunk.len() == CHUNK || chunk.len() == 1;
            for row in query.build().persistent(persistent).fetch_all(&self.pool).await? {
                found.push((row.try_get(0)?, parsed("instances", row.try_get(1)?)?));
            }
        }
        Ok(found)
    }

    pub(in crate::store) async fn instances_with(
        &self,
        tags: &BTreeMap<String, String>,
    ) -> Result<Vec<(InstanceKey, InstanceId)>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT i.id, i.uid FROM instances i WHERE i.id > 0");
        push_tags(&mut query, tags);
        let rows = query.push(" ORDER BY i.id").build().fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, parsed("instances", row.try_get(1)?)?))).collect()
    }
}
