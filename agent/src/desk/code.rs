//! Native code for plugins: from the cache, else from the component's bytes and the compiler.
//!
//! Owns when a component's bytes are needed at all. Code in the cache is bound by its MAC to the digest of the component that
//! it was made of, which is the digest that the plugin is vouched for by: so where there is code no byte is fetched, read or
//! hashed. What the cache holds in memory goes when nobody uses it for a while, and with the desk.

use std::rc::Rc;
use std::time::Duration;

use orderly_host::cache::{Cache, Compiled};

use super::Desk;
use crate::exec::chain;
use crate::exec::plugin::AdmittedPlugin;

/// How long compiled code that nobody uses is held in memory.
const UNUSED_TIME: Duration = Duration::from_secs(120);

impl Desk {
    /// Whether the plugin's native code is at hand. A cache or a compiler that cannot be used is told when it is needed.
    pub(super) fn has_code(self: &Rc<Self>, plugin: &AdmittedPlugin) -> bool {
        let found = self.compiled().map(|cache| cache.lookup(&plugin.plugin, &self.config.wasmc));
        let there = matches!(found, Ok(Ok(Some(_))));
        if there {
            self.let_code_go_later();
        }
        there
    }

    /// The plugin's native code, compiled where it is not at hand.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(super) async fn code(&self, plugin: &AdmittedPlugin) -> Result<Compiled, String> {
        let cache = self.compiled()?;
        let cannot = |error| format!("the plugin could not be compiled: {}", chain(&error));
        if let Some(code) = cache.lookup(&plugin.plugin, &self.config.wasmc).map_err(cannot)? {
            return Ok(code);
        }
        let component = self.artifacts.component(plugin.plugin.component, plugin.component_bytes).await;
        let component = component.map_err(|error| chain(&error))?;
        cache.get(&plugin.plugin, &component, &self.config.wasmc).await.map_err(cannot)
    }

    /// Lets compiled code go once nobody has used it for [`UNUSED_TIME`]; it stays on the disk.
    pub(super) fn let_code_go_later(self: &Rc<Self>) {
        let Some(cache) = self.compiled.borrow().clone() else { return };
        if self.letting_go.replace(true) {
            return;
        }
        let desk = Rc::clone(self);
        self.tasks.spawn_local(async move {
            while !desk.closing.is_cancelled() && cache.drop_unused(UNUSED_TIME) {
                tokio::select! {
                    () = tokio::time::sleep(UNUSED_TIME) => {}
                    () = desk.closing.cancelled() => {}
                }
            }
            desk.letting_go.set(false);
        });
    }

    /// The cache of compiled plugins.
    fn compiled(&self) -> Result<Rc<Cache>, String> {
        if let Some(cache) = &*self.compiled.borrow() {
            return Ok(Rc::clone(cache));
        }
        let cache = Cache::open(&self.directory.path().join("compiled")).map_err(|error| chain(&error))?;
        Ok(Rc::clone(self.compiled.borrow_mut().insert(Rc::new(cache))))
    }
}
