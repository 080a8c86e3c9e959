//! What the kernel says about this process and this machine, and the middle of several figures.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Figures of one kind, one from each pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The figure below which the share `of_one` lies; not a number when there is none.
    pub(crate) fn quantile(&self, of_one: f64) -> f64 {
        let sorted = self.sorted();
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among a few hundred figures"
        )]
        let place = (last as f64 * of_one).round() as usize;
        sorted[place.min(last)]
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// All of them together.
    pub(crate) fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn most(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "median": self.median(), "min": self.least(), "max": self.most(), "all": self.0 })
    }
}

/// Wall time and the processor time of all threads of this process.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self { cpu: cpu_time()?, started: Instant::now() })
    }

    /// Wall and processor time since the start, in seconds.
    pub(crate) fn stop(&self) -> Result<(f64, f64)> {
        let wall = self.started.elapsed();
        Ok((wall.as_secs_f64(), cpu_time()?.saturating_sub(self.cpu).as_secs_f64()))
    }
}

/// User and system time of this process, to a hundredth of a second (the kernel's unit of `/proc`).
fn cpu_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    // The name in brackets may hold anything; the fields are counted after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |place: usize| -> u64 {
        fields.split_whitespace().nth(place).and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
}

/// The largest resident size that this process ever had, in MiB.
pub(crate) fn peak_mib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")?;
    Ok(kib / 1024.0)
}

/// The load of the last minute.
pub(crate) fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    text.split_whitespace().next().unwrap_or_default().parse().context("/proc/loadavg holds no number")
}

/// The machine, for the record.
pub(crate) fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let of = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    json!({
        "processor": of(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": of(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
