//! Whom alerts go to, and who watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use dsrd::alert::{Settings, Ward, Watch};
use dsrd::delivery::{MemoryTransport, Transport};
use dsrd::domain::KillSwitch;

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

/// What is watched of the organisation of a test: everything.
pub(crate) fn ward(service: &TestService, settings: Settings) -> Ward {
    Ward { controller: Arc::clone(&service.controller), settings, sweeps: true, self_tests: true }
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
