-- R-8: staff is told before and after the day by which the receipt of a request must be confirmed (11 CCR 7021(a)).

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue', 'came_back', 'flood',
             'sweep_missed', 'past_term', 'self_test_failed', 'often_extended', 'often_late', 'rows_parked',
             'rows_of_nobody', 'acknowledgement_due', 'acknowledgement_late')) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
