//! Reading orders and what still has to reach an instance.

use orderly_signing::digest::Digest;
use sqlx::{QueryBuilder, Row as _};

use super::{Db, Reader, Row, parsed};
use crate::store::StoreError;
use crate::store::row::{Delivery, InstanceKey, OrderBody, OrderHead, OrderKey, OrderKind};

const HEAD: &str = "SELECT o.id, o.invocation_id, o.kind, o.expires_ms, o.rolled FROM orders o";

fn head(row: &Row) -> Result<OrderHead, StoreError> {
    Ok(OrderHead {
        key: row.try_get(0)?,
        invocation: row.try_get(1)?,
        kind: OrderKind::from_code(row.try_get(2)?),
        expires_ms: row.try_get(3)?,
        rolled: row.try_get::<i32, _>(4)? != 0,
    })
}

impl Reader {
    /// The key of the newest order; 0 where there is none.
    pub(in crate::store) async fn newest_order(&self) -> Result<OrderKey, StoreError> {
        let row: (Option<OrderKey>,) =
            sqlx::query_as::<Db, _>("SELECT MAX(id) FROM orders").fetch_one(&self.pool).await?;
        Ok(row.0.unwrap_or(0))
    }

    /// Which orders still have to reach whom, by order and then by instance.
    pub(in crate::store) async fn deliveries(
        &self,
        after: (OrderKey, InstanceKey),
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = sqlx::query::<Db>(
            "SELECT o.id, o.invocation_id, o.kind, o.expires_ms, o.rolled, d.instance_id FROM deliveries d \
             JOIN orders o ON o.id = d.order_id WHERE (d.order_id, d.instance_id) > ($1, $2) \
             ORDER BY d.order_id, d.instance_id LIMIT $3",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(Delivery { order: head(row)?, instance: row.try_get(5)? })).collect()
    }

    /// What still has to reach an instance, oldest first.
    pub(in crate::store) async fn deliveries_to(
        &self,
        instance: InstanceKey,
        after: OrderKey,
        limit: i64,
    ) -> Result<Vec<OrderHead>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(HEAD);
        query.push(" JOIN deliveries d ON d.order_id = o.id WHERE d.instance_id = ").push_bind(instance);
        query.push(" AND d.order_id > ").push_bind(after);
        query.push(" ORDER BY o.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(head).collect()
    }

    /// An order with all that its offers share.
    pub(in crate::store) async fn order(&self, key: OrderKey) -> Result<Option<OrderBody>, StoreError> {
        let row = sqlx::query::<Db>(
            "SELECT o.id, o.invocation_id, o.kind, o.expires_ms, o.rolled, o.envelope, o.targets, \
             CASE WHEN o.kind = 0 THEN v.content END, CASE WHEN o.kind = 0 THEN v.plugin_id END, v.uid \
             FROM orders o JOIN invocations v ON v.id = o.invocation_id WHERE o.id = $1",
        )
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let targets: Option<Vec<u8>> = row.try_get(6)?;
        let targets = targets
            .map(|list| String::from_utf8_lossy(&list).lines().map(|uid| parsed("orders", uid)).collect())
            .transpose()?;
        let plugin = match row.try_get::<Option<i64>, _>(8)? {
            Some(plugin) => self.plugin_by_key(plugin).await?,
            None => None,
        };
        Ok(Some(OrderBody {
            head: head(&row)?,
            invocation: row.try_get(9)?,
            envelope: row.try_get(5)?,
            targets,
            content: row.try_get(7)?,
            plugin,
        }))
    }

    /// The envelope of the order with this digest.
    pub(in crate::store) async fn envelope(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as::<Db, _>("SELECT envelope FROM orders WHERE digest = $1")
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(envelope,)| envelope))
    }
}
