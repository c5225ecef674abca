//! What a script's tree may use of an instance. Owns the bounds, which are those of the signed order.

use orderly_signing::order::{MAX_CPU_PERCENT, MAX_MEMORY_MIB, MAX_PROCESSES, Resources};

/// Fewest MiB of memory: less holds no interpreter.
const MEMORY_MIN_MIB: u32 = 4;

/// Limits of one script's process tree; at least one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceLimits {
    cpu_percent: Option<u32>,
    memory_mib: Option<u32>,
    processes: Option<u32>,
}

/// A limit that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResourceFault {
    /// All are absent.
    #[error("limits nothing: leave it out, or set `cpu_percent`, `memory_mib` or `processes`")]
    Nothing,
    /// One is out of its bounds.
    #[error("`{field}` is {value}; write {least} to {most}")]
    Bounds {
        /// Which.
        field: &'static str,
        /// What it is.
        value: u32,
        /// What it is at least.
        least: u32,
        /// What it is at most.
        most: u32,
    },
}

impl ResourceLimits {
    /// Checks limits.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(asked: Resources) -> Result<Self, Vec<ResourceFault>> {
        let Resources { cpu_percent, memory_mib, processes } = asked;
        let bounds = [
            ("cpu_percent", cpu_percent, 1, MAX_CPU_PERCENT),
            ("memory_mib", memory_mib, MEMORY_MIN_MIB, MAX_MEMORY_MIB),
            ("processes", processes, 1, MAX_PROCESSES),
        ];
        if bounds.iter().all(|(_, value, ..)| value.is_none()) {
            return Err(vec![ResourceFault::Nothing]);
        }
        let outside = bounds.into_iter().filter_map(|(field, value, least, most)| {
            let value = value.filter(|value| !(least..=most).contains(value))?;
            Some(ResourceFault::Bounds { field, value, least, most })
        });
        let faults: Vec<_> = outside.collect();
        if faults.is_empty() { Ok(Self { cpu_percent, memory_mib, processes }) } else { Err(faults) }
    }

    /// Processor time in percent of one processor: 250 are two processors and a half.
    pub fn cpu_percent(&self) -> Option<u32> {
        self.cpu_percent
    }

    /// Memory in MiB.
    pub fn memory_mib(&self) -> Option<u32> {
        self.memory_mib
    }

    /// Processes and threads at a time.
    pub fn processes(&self) -> Option<u32> {
        self.processes
    }
}

impl From<ResourceLimits> for Resources {
    fn from(limits: ResourceLimits) -> Self {
        let ResourceLimits { cpu_percent, memory_mib, processes } = limits;
        Self { cpu_percent, memory_mib, processes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_bounds_and_all_faults_are_told() {
        let limits =
            |cpu_percent, memory_mib, processes| ResourceLimits::new(Resources { cpu_percent, memory_mib, processes });
        assert_eq!(limits(None, None, None), Err(vec![ResourceFault::Nothing]));
        assert!(limits(Some(1), Some(4), Some(1)).is_ok());
        assert!(limits(Some(MAX_CPU_PERCENT), Some(MAX_MEMORY_MIB), Some(MAX_PROCESSES)).is_ok());
        assert_eq!(limits(Some(0), Some(3), Some(0)).map_err(|faults| faults.len()), Err(3));
        let asked = Resources { cpu_percent: None, memory_mib: Some(64), processes: None };
        assert_eq!(ResourceLimits::new(asked).map(Resources::from), Ok(asked));
    }
}
