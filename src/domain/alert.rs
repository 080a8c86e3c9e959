//! The words of alerts to staff (N-19): why somebody has to look, and who is told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::request::vocabulary;

vocabulary! {
    /// Why somebody of the controller's staff has to look.
    AlertRule, "alert rule" {
        /// The conservative due date of an open request is near.
        DueSoon = "due_soon",
        /// The conservative due date of an open request has passed.
        Overdue = "overdue",
        /// Receipt of a request is not confirmed, and the day by which the law wants that is near (11 CCR 7021(a), R-8).
        AcknowledgementDue = "acknowledgement_due",
        /// The day by which receipt of a request must have been confirmed has passed, and it is not.
        AcknowledgementLate = "acknowledgement_late",
        /// The last lawful day for an open request has passed (Art. 12(3) GDPR).
        StatutoryBreach = "statutory_breach",
        /// A request is open for longer than the organisation's own goal, although its due date is far.
        TargetMissed = "target_missed",
        /// A notice came back or was refused: the person was not told.
        NoticeBounced = "notice_bounced",
        /// An effect was accepted by the platform, and reading back did not show it.
        VerificationFailed = "verification_failed",
        /// A breach of personal data is declared, and the authority must be told within hours (Art. 33 GDPR, R-36).
        IncidentOpen = "incident_open",
        /// The time within which the authority must have been told of a breach is over.
        IncidentOverdue = "incident_overdue",
        /// The date of review of a hold is near or past: somebody must look whether it is still needed.
        HoldReview = "hold_review",
        /// The date of review of a hold on the audit log has come: until it is lifted the log forgets nothing, for every
        /// organisation.
        LogHoldReview = "log_hold_review",
        /// A recipient of the data was told of an erasure, correction or restriction and has not answered in its time.
        RecipientOverdue = "recipient_overdue",
        /// The platform has not answered for a long time, refuses the key, or shows no contacts: nobody's right can be carried
        /// out.
        PlatformDown = "platform_down",
        /// At the pace that the platform allows, requests that wait for it will be answered after their due date (R-5, F-46).
        ForecastLate = "forecast_late",
        /// The platform ignores a filter: whoever is looked for by it needs every contact to be read (S-7).
        FilterIgnored = "filter_ignored",
        /// Somebody who was erased or opted out is back at the platform, and a person has to decide.
        CameBack = "came_back",
        /// More was handed in than the limits allow at once: some of it waits (S-10).
        Flood = "flood",
        /// A retention sweep that was due did not begin.
        SweepMissed = "sweep_missed",
        /// Contacts are past their term after the last sweep, and no hold explains it; or it did not get through.
        PastTerm = "past_term",
        /// The daily self-test failed or did not begin: a right may not be exercised in fact.
        SelfTestFailed = "self_test_failed",
        /// More requests are extended than the organisation wants (EDPB guidelines 01/2022, paragraph 162; R-7).
        OftenExtended = "often_extended",
        /// More requests are not answered within a month than the organisation wants.
        OftenLate = "often_late",
        /// What a producer handed in could not become a request, and waits for a person while the time runs.
        RowsParked = "rows_parked",
        /// The same, for an organisation that is not configured: nobody but who runs the service can hear of it.
        RowsOfNobody = "rows_of_nobody",
    }
}

vocabulary! {
    /// A role in which somebody of the staff is told.
    StaffRole, "role of staff" {
        /// The data protection officer, or whoever answers for requests.
        Dpo = "dpo",
        /// Who stands in when the first does not react.
        Deputy = "deputy",
        /// Who runs the service.
        Operator = "operator",
    }
}
