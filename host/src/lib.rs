//! What is **allowed**: runs a verified component with grants, limits and a deadline.
//!
//! The only crate that links wasmtime, and the place of the operating system's parts that scripts and plugins share
//! (starting, following and ending process trees; output; the box). It never sees the wire, a server or a store.
//!
//! A plugin runs in a one-shot child of the program that calls [`invoke::invoke`], which is this program itself,
//! re-executed with [`child::RUN_PLUGIN_ARGUMENT`]; compiled code comes from [`cache::Cache`], which runs `orderly-wasmc`.
//! Nothing here lives longer than a run: it stops by its deadline, by its stop token, or by being dropped.
//!
//! Layers, left may not import right: error · limits · output · platform · epoch · engine · compile · cache · frame ·
//! line · capability · broker · state · abi · component · child · invoke.

mod abi;
mod broker;
pub mod cache;
mod capability;
pub mod child;
#[cfg(feature = "compile")]
pub mod compile;
mod component;
pub mod engine;
mod epoch;
pub mod error;
mod frame;
pub mod invoke;
pub mod limits;
mod line;
pub mod output;
pub mod platform;
mod state;

pub use frame::{DescribedParameter, Description, Failure, PluginFacts};
