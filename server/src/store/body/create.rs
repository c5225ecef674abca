//! Creating an invocation: its row, its order, a task and a delivery for each target, all in the caller's transaction.

use sqlx::QueryBuilder;

use super::super::CHUNK;
use super::{Conn, Db};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{Created, InvocationKey, NewInvocation, OrderKey, OrderKind};

pub(super) async fn create(conn: &mut Conn, new: &NewInvocation) -> Result<Answer, StoreError> {
    // An id is taken for ever: orders live longer than what is kept of them may.
    if super::retention::is_pruned(conn, &new.uid).await? {
        return Ok(Answer::Created(None));
    }
    let series = new.series.as_ref().map(serde_json::to_string).transpose();
    let series = series.map_err(|error| StoreError::Batch(error.to_string()))?;
    // The number of the last run: a series has had none.
    let generation = i32::from(series.is_none());
    let count = i64::try_from(new.targets.len()).unwrap_or(i64::MAX);
    let created: Option<(InvocationKey,)> = sqlx::query_as::<Db, _>(
        "INSERT INTO invocations (uid, name, kind, summary, principal, created_ms, deadline_ms, order_digest, plugin_id, \
         targets, n_pending, content, command_uid, command_version, series) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14) \
         ON CONFLICT (uid) DO NOTHING RETURNING id",
    )
    .bind(&new.uid)
    .bind(&new.name)
    .bind(new.kind)
    .bind(&new.summary)
    .bind(&new.principal)
    .bind(new.created_ms)
    .bind(new.deadline_ms)
    .bind(&new.order_digest.as_bytes()[..])
    .bind(new.plugin)
    .bind(count)
    .bind(&new.content)
    .bind(new.command.as_ref().map(|(uid, _)| uid))
    .bind(new.command.as_ref().map(|(_, version)| version))
    .bind(series)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((invocation,)) = created else {
        return Ok(Answer::Created(None));
    };
    if let Some((command, _)) = &new.command {
        super::command::used(conn, command, new.created_ms).await?;
    }
    if let Some(blob) = &new.blob {
        super::files::use_blob(conn, blob, invocation).await?;
    }
    let (order,): (OrderKey,) = sqlx::query_as::<Db, _>(
        "INSERT INTO orders (digest, invocation_id, kind, expires_ms, envelope) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind(&new.order_digest.as_bytes()[..])
    .bind(invocation)
    .bind(OrderKind::Run.code())
    .bind(new.deadline_ms)
    .bind(&new.envelope)
    .fetch_one(&mut *conn)
    .await?;
    // Sorted, so that rows go in where the last one went.
    let mut targets = new.targets.clone();
    targets.sort_unstable();
    for chunk in targets.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO tasks (invocation_id, instance_id, status, generation) ");
        query.push_values(chunk, |mut row, instance| {
            row.push_bind(invocation).push_bind(*instance).push("0").push_bind(generation);
        });
        query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
    }
    if let Some(rollout) = &new.rollout {
        super::rollout::begin(conn, invocation, order, rollout).await?;
        return Ok(Answer::Created(Some(Created { invocation, order })));
    }
    sqlx::query::<Db>(
        "INSERT INTO deliveries (instance_id, order_id) SELECT instance_id, $2 FROM tasks WHERE invocation_id = $1",
    )
    .bind(invocation)
    .bind(order)
    .execute(conn)
    .await?;
    Ok(Answer::Created(Some(Created { invocation, order })))
}
