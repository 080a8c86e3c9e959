//! Whom alerts go to, and who watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dsrd::alert::{Settings, Ward, Watch};
use dsrd::delivery::{MemoryTransport, Transport};
use dsrd::domain::KillSwitch;
use dsrd::queue;

use super::service::TestService;
use super::settings::mail_settings;

/// The mailbox of the data protection officer.
pub(crate) const DPO: &str = "dpo@prova.example";

/// Alerts to the data protection officer and nobody else, at the usual limits, without a digest.
pub(crate) fn to_dpo() -> Settings {
    Settings {
        dpo: Some(DPO.to_owned()),
        deputy: None,
        operator: None,
        due_days: vec![10, 5, 2],
        platform_down_hours: 24,
        sweep_late_hours: 24,
        figures_days: 90,
        figures_least: 20,
        extended_percent: 20,
        late_percent: 5,
        digest: false,
        digest_hour: 8,
    }
}

/// The limit of a platform that may be called so often a second, with the longest pause that is configured by default.
pub(crate) fn limit(calls_per_second: f64) -> queue::Limit {
    queue::Limit {
        emission: Duration::from_secs_f64(1.0 / calls_per_second),
        burst: 1,
        furthest: Duration::from_secs(30),
        longest_pause: Duration::from_mins(10),
    }
}

/// What is watched of the organisation of a test: everything. Its platform may be called twice a second.
pub(crate) fn ward(service: &TestService, settings: Settings) -> Ward {
    let limit = limit(2.0);
    Ward { controller: Arc::clone(&service.controller), settings, sweeps: true, self_tests: true, limit }
}

/// The watch of one daemon over one organisation, its mails in memory.
pub(crate) fn watch(service: &TestService, ward: Ward, mails: &MemoryTransport) -> Watch {
    Watch {
        store: service.store.clone(),
        clock: Arc::clone(&service.desk.clock),
        wards: BTreeMap::from([(service.controller.id.clone(), ward)]),
        transport: Arc::new(Transport::Memory(mails.clone())),
        mail: mail_settings(),
        checks_clock: service.executor.checks_clock,
        kill: KillSwitch::default(),
    }
}
