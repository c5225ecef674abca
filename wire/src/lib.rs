//! What is **said**: the frames between server and agent, and the bodies of the HTTP API.
//!
//! Owns the exact JSON of both and the limits of what may be sent. Never opens a socket, never decides
//! anything. Both ends use these very types, and golden files keep a released shape from changing.

pub mod frame;
pub mod http;
pub mod package;
pub mod to_agent;
pub mod to_server;
pub mod version;
