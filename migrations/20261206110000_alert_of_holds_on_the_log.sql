-- R-74: staff is told when a hold on the audit log is to be reviewed.

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'log_hold_review', 'recipient_overdue',
             'came_back', 'flood', 'sweep_missed', 'past_term', 'self_test_failed', 'often_extended', 'often_late',
             'rows_parked', 'rows_of_nobody', 'acknowledgement_due', 'acknowledgement_late')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'log_hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term',
                'self_test_failed', 'often_extended', 'often_late', 'rows_parked', 'rows_of_nobody'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
