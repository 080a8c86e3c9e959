//! A switch that stops the work at a boundary, as a crash would.

use std::fmt;
use std::sync::Arc;

/// The work was stopped by its kill switch: it writes nothing more and does not release what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

/// Decides at each named boundary whether the work dies there. Inert by default; tests pass a closure (integration
/// tests do not see `cfg(test)`, so the switch is a value).
#[derive(Clone, Default)]
pub struct KillSwitch(Option<Decision>);

/// Whether the work dies at the boundary named.
type Decision = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl KillSwitch {
    /// A switch that asks `dies_at` at each boundary, named `<step>.<point>`.
    pub fn new(dies_at: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(dies_at)))
    }

    /// Asks at the boundary `<step>.<point>`.
    ///
    /// # Errors
    /// [`Killed`] when the work dies here.
    pub fn reached(&self, step: &str, point: &str) -> Result<(), Killed> {
        match &self.0 {
            Some(dies_at) if dies_at(&format!("{step}.{point}")) => Err(Killed),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for KillSwitch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "KillSwitch(armed)" } else { "KillSwitch(inert)" })
    }
}
