//! Tokens, activations and keyrings.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;
use sqlx::Row as _;

use super::{Conn, Db, Reader, Row, digest, json};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{ActivationRow, KeyringRow, TokenRow};

pub(super) async fn add_token(conn: &mut Conn, token: &TokenRow) -> Result<Answer, StoreError> {
    sqlx::query::<Db>("INSERT INTO tokens (uid, name, hash, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(&token.uid)
        .bind(&token.name)
        .bind(&token.hash.as_bytes()[..])
        .bind(token.created_ms)
        .bind(token.expires_ms)
        .execute(conn)
        .await?;
    Ok(Answer::Done)
}

pub(super) async fn remove_token(conn: &mut Conn, uid: &str) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>("DELETE FROM tokens WHERE uid = $1").bind(uid).execute(conn).await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

pub(super) async fn add_activation(
    conn: &mut Conn,
    row: &ActivationRow,
    code_hash: &Digest,
) -> Result<Answer, StoreError> {
    sqlx::query::<Db>(
        "INSERT INTO activations (uid, name, code_hash, created_ms, expires_ms, max_instances, tags, networks) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&row.uid)
    .bind(&row.name)
    .bind(&code_hash.as_bytes()[..])
    .bind(row.created_ms)
    .bind(row.expires_ms)
    .bind(row.max_instances)
    .bind(serde_json::to_string(&row.tags).unwrap_or_default())
    .bind(serde_json::to_string(&row.networks).unwrap_or_default())
    .execute(conn)
    .await?;
    Ok(Answer::Done)
}

pub(super) async fn disable_activation(conn: &mut Conn, uid: &str) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>("UPDATE activations SET disabled = 1 WHERE uid = $1").bind(uid).execute(conn).await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

pub(super) async fn add_keyring(conn: &mut Conn, keyring: &KeyringRow) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "INSERT INTO keyrings (revision, root, envelope, created_ms) SELECT $1, $2, $3, $4 \
         WHERE NOT EXISTS (SELECT 1 FROM keyrings WHERE revision >= $1) ON CONFLICT DO NOTHING",
    )
    .bind(keyring.revision)
    .bind(&keyring.root.as_bytes()[..])
    .bind(&keyring.envelope)
    .bind(keyring.created_ms)
    .execute(conn)
    .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

const TOKEN: &str = "SELECT uid, name, hash, created_ms, expires_ms FROM tokens";

fn token(row: &Row) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        uid: row.try_get(0)?,
        name: row.try_get(1)?,
        hash: digest(row.try_get(2)?)?,
        created_ms: row.try_get(3)?,
        expires_ms: row.try_get(4)?,
    })
}

const ACTIVATION: &str =
    "SELECT uid, name, created_ms, expires_ms, max_instances, used, disabled, tags, networks FROM activations";

fn activation(row: &Row) -> Result<ActivationRow, StoreError> {
    Ok(ActivationRow {
        uid: row.try_get(0)?,
        name: row.try_get(1)?,
        created_ms: row.try_get(2)?,
        expires_ms: row.try_get(3)?,
        max_instances: row.try_get(4)?,
        used: row.try_get(5)?,
        disabled: row.try_get::<i32, _>(6)? != 0,
        tags: json::<BTreeMap<String, String>>("activations", row.try_get(7)?)?,
        networks: json("activations", row.try_get(8)?)?,
    })
}

impl Reader {
    pub(in crate::store) async fn token(&self, hash: &Digest) -> Result<Option<TokenRow>, StoreError> {
        const SQL: &str = "SELECT uid, name, hash, created_ms, expires_ms FROM tokens WHERE hash = $1";
        let row = sqlx::query::<Db>(SQL).bind(&hash.as_bytes()[..]).fetch_optional(&self.pool).await?;
        row.as_ref().map(token).transpose()
    }

    pub(in crate::store) async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let mut query = sqlx::QueryBuilder::<Db>::new(TOKEN);
        let rows = query.push(" ORDER BY id").build().fetch_all(&self.pool).await?;
        rows.iter().map(token).collect()
    }

    pub(in crate::store) async fn activations(&self) -> Result<Vec<ActivationRow>, StoreError> {
        let mut query = sqlx::QueryBuilder::<Db>::new(ACTIVATION);
        let rows = query.push(" ORDER BY id DESC").build().fetch_all(&self.pool).await?;
        rows.iter().map(activation).collect()
    }

    pub(in crate::store) async fn activation(&self, code_hash: &Digest) -> Result<Option<ActivationRow>, StoreError> {
        let mut query = sqlx::QueryBuilder::<Db>::new(ACTIVATION);
        query.push(" WHERE code_hash = ").push_bind(&code_hash.as_bytes()[..]);
        let row = query.build().fetch_optional(&self.pool).await?;
        row.as_ref().map(activation).transpose()
    }

    pub(in crate::store) async fn keyring(&self) -> Result<Option<KeyringRow>, StoreError> {
        const SQL: &str = "SELECT revision, root, envelope, created_ms FROM keyrings ORDER BY revision DESC LIMIT 1";
        let Some(row) = sqlx::query::<Db>(SQL).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        Ok(Some(KeyringRow {
            revision: row.try_get(0)?,
            root: digest(row.try_get(1)?)?,
            envelope: row.try_get(2)?,
            created_ms: row.try_get(3)?,
        }))
    }
}
