//! What is shown while it runs: bars on a terminal, plain lines elsewhere, nothing beside `--json`.

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::Output;

/// Where the talk goes.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    output: Output,
    bars: MultiProgress,
    terminal: bool,
    /// Every bar, until the end: one that is let go earlier leaves its line behind twice.
    begun: Arc<Mutex<Vec<ProgressBar>>>,
}

/// Something that is under way. Its end is told once.
#[derive(Debug)]
pub(super) struct Running {
    stage: Stage,
    bar: ProgressBar,
    what: &'static str,
    told: bool,
}

impl Stage {
    pub(super) fn new(output: &Output) -> Self {
        let terminal = io::stderr().is_terminal() && !output.is_for_programs();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            output: output.clone(),
            bars: MultiProgress::with_draw_target(target),
            terminal,
            begun: Arc::default(),
        }
    }

    /// A line for people.
    pub(super) fn say(&self, line: &str) {
        if self.output.is_for_programs() {
            return;
        }
        if self.begun().is_empty() {
            self.output.say(line);
        } else {
            self.bars.suspend(|| self.output.say(line));
        }
    }

    /// Leaves the bars as they stand: whatever is written from now on comes below them.
    pub(super) fn end(&self) {
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.begun().clear();
    }

    fn begun(&self) -> MutexGuard<'_, Vec<ProgressBar>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line with a label in a column of its own.
    pub(super) fn tell(&self, label: &str, text: &str) {
        self.say(&format!("  {label:<22}{text}"));
    }

    /// Begins to show something that has `number` parts.
    pub(super) fn begin(&self, what: &'static str, number: u64) -> Running {
        let style =
            ProgressStyle::with_template("  {prefix:<22}{bar:18.cyan/dim} {human_pos}/{human_len} {msg}");
        let bar = self.bars.add(ProgressBar::new(number).with_prefix(what));
        self.begun().push(bar.clone());
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸─"));
        }
        if self.terminal {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Running { stage: self.clone(), bar, what, told: false }
    }
}

impl Running {
    /// So many parts are done.
    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// For callbacks that know more of it than we do.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Marks the end, with what came of it; later calls change nothing.
    pub(super) fn finish(&mut self, result: &str) {
        if self.told {
            return;
        }
        self.told = true;
        if let Some(length) = self.bar.length() {
            self.bar.set_position(length);
        }
        self.bar.finish_with_message(result.to_owned());
        if !self.stage.terminal {
            self.stage.tell(self.what, result);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.told {
            self.bar.abandon();
        }
    }
}
