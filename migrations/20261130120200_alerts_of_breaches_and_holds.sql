-- More that staff is told by mail until somebody acknowledges it: a breach of which the authority must be told (Art. 33 GDPR),
-- a hold whose review is due, a recipient that has not answered (Art. 19).

ALTER TABLE dsrd.alert
  ADD COLUMN hold_id uuid,
  ADD FOREIGN KEY (organisation_id, hold_id) REFERENCES dsrd.hold ON DELETE CASCADE,
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue')) NOT VALID,
  DROP CONSTRAINT only_platforms_have_no_request,
  ADD CONSTRAINT about_a_request CHECK ((request_id IS NULL) = (rule IN ('platform_down', 'hold_review'))) NOT VALID,
  ADD CONSTRAINT about_a_hold CHECK ((hold_id IS NOT NULL) = (rule = 'hold_review')) NOT VALID,
  DROP CONSTRAINT only_due_days_are_steps,
  ADD CONSTRAINT only_due_days_are_steps CHECK (
    step = 0 OR (step > 0 AND rule = 'due_soon') OR (step = 1 AND rule = 'incident_open')) NOT VALID,
  DROP CONSTRAINT alert_once_a_day,
  ADD CONSTRAINT alert_once_a_day UNIQUE NULLS NOT DISTINCT (organisation_id, request_id, hold_id, rule, step, raised_on);
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_hold;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT only_due_days_are_steps;
COMMENT ON COLUMN dsrd.alert.step IS 'For due_soon: how many days before the due date the alert begins. For incident_open: 1 within the last day before the authority must have been told. Otherwise 0.';
COMMENT ON COLUMN dsrd.alert.hold_id IS 'For hold_review: the hold.';
