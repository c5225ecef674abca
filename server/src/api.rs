//! The HTTP API: `/v1` for people and programs, `/agent/v1` for agents.
//!
//! Owns requests and answers. A handler authorises before the body is read, turns the request into rows or reads rows into views, and
//! never waits for an agent. Holds no state but handles on what the server is made of.

mod activations;
mod agent;
mod auth;
mod blobs;
mod body;
mod commands;
mod events;
mod files;
mod groups;
mod instances;
mod invocations;
mod openapi;
mod order;
mod plugins;
mod problem;
mod results;
mod retention;
mod run;
mod runs;
mod secret;
mod tasks;
mod throttle;
mod tokens;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use orderly_model::command::ContentLimits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::blobs::Blobs;
use crate::dispatch::Nudge;
use crate::keys::Authority;
use crate::link::LinkDeps;
use crate::retention::Keep;
use crate::shutdown::Phase;
use crate::store::Store;
use crate::trust::Trust;

pub use openapi::document;
pub use secret::{AdminError, admin_token};

/// Bytes of a JSON body where nothing else is said.
const BODY_MAX: usize = 512 * 1024;

/// Bytes of the body that creates an invocation: the largest script in Base64, and a million instance ids.
const INVOCATION_MAX: usize = 48 * 1024 * 1024;

/// Bytes of the body that makes or changes a command: the largest script, in JSON with room for what is escaped there.
const COMMAND_MAX: usize = 8 * 1024 * 1024;

/// Packages that are taken at the same time; each is held in memory while it is checked.
const UPLOADS: usize = 2;

/// Invocations whose reports are read at the same time: each takes a processor for a while, and some MiB.
const REPORT_READERS: usize = 2;

/// What a connection is, beside what its requests say.
#[derive(Debug, Clone, Copy)]
pub struct PeerConnection {
    /// The other end.
    pub address: SocketAddr,
    /// 32 bytes exported from its TLS session, which proofs sign.
    pub exporter: [u8; 32],
}

/// Room that a connection takes among all; a link keeps it after its connection became a WebSocket.
#[derive(Debug, Clone)]
pub struct Room(pub Arc<OwnedSemaphorePermit>);

/// What the handlers work with.
#[derive(Debug)]
pub struct Api {
    /// The store.
    pub store: Store,
    /// The keyring and the dispatch key.
    pub trust: Trust,
    /// The CA, for whoever wants to pin it.
    pub authority: Authority,
    /// Content by digest.
    pub blobs: Blobs,
    /// How large the scripts of commands that are kept may be.
    pub scripts: ContentLimits,
    /// How long invocations are kept.
    pub keep: Keep,
    /// Wakes the dispatcher.
    pub nudge: Nudge,
    /// What links work with.
    pub link: LinkDeps,
    /// The phase of connections and event streams.
    pub accepting: Phase,
    /// The phase of links.
    pub links: Phase,
    /// Enrolment attempts by address.
    pub throttle: throttle::Throttle,
    /// Room for uploads.
    pub uploads: Semaphore,
    /// Room for reading the reports of whole invocations.
    pub reports: Semaphore,
}

impl Api {
    /// Room for the uploads that are taken at the same time.
    #[must_use]
    pub fn upload_room() -> Semaphore {
        Semaphore::new(UPLOADS)
    }

    /// Room for the invocations whose reports are read at the same time.
    #[must_use]
    pub fn report_room() -> Semaphore {
        Semaphore::new(REPORT_READERS)
    }
}

/// A handle on [`Api`] for handlers.
type State = axum::extract::State<Arc<Api>>;

/// All routes with their description, without the state.
fn described() -> OpenApiRouter<Arc<Api>> {
    let large = OpenApiRouter::new()
        .routes(routes!(invocations::list, invocations::create))
        .layer(DefaultBodyLimit::max(INVOCATION_MAX));
    let packages = OpenApiRouter::new()
        .routes(routes!(plugins::list, plugins::upload))
        .layer(DefaultBodyLimit::max(orderly_wire::package::PACKAGE_MAX_BYTES));
    let commands = OpenApiRouter::new()
        .routes(routes!(commands::list, commands::create))
        .routes(routes!(commands::show, commands::change, commands::delete))
        .routes(routes!(commands::duplicate))
        .routes(routes!(commands::versions))
        .layer(DefaultBodyLimit::max(COMMAND_MAX));
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(openapi::health))
        .routes(routes!(openapi::serve))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(activations::list, activations::create))
        .routes(routes!(activations::disable))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::show, groups::delete))
        .routes(routes!(instances::list))
        .routes(routes!(instances::show))
        .routes(routes!(instances::set_tags))
        .routes(routes!(plugins::show))
        .routes(routes!(plugins::approve))
        .routes(routes!(trust::show))
        .routes(routes!(trust::publish))
        .routes(routes!(invocations::show))
        .routes(routes!(invocations::stop))
        .routes(routes!(invocations::rollout::halt))
        .routes(routes!(invocations::rollout::resume))
        .routes(routes!(invocations::rollout::confirm))
        .routes(routes!(invocations::evidence))
        .routes(routes!(events::stream))
        .routes(routes!(results::groups))
        .routes(routes!(retention::show))
        .routes(routes!(results::list))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::show))
        .routes(routes!(tasks::output))
        .routes(routes!(tasks::receipt))
        .routes(routes!(runs::list))
        .routes(routes!(runs::of_task))
        .routes(routes!(runs::show))
        .routes(routes!(runs::skips))
        .routes(routes!(blobs::show, blobs::put))
        .routes(routes!(files::fetch))
        .routes(routes!(files::state, files::put))
        .routes(routes!(agent::enrol))
        .routes(routes!(agent::link))
        .routes(routes!(agent::blob))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .merge(large)
        .merge(packages)
        .merge(commands)
}

/// The service of all routes.
pub fn router(api: Arc<Api>) -> Router {
    described()
        .split_for_parts()
        .0
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(problem::finish))
        .with_state(api)
}

#[cfg(test)]
mod tests;
