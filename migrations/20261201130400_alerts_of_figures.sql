-- How requests are answered is a signal of health (R-7): staff is told when too many are extended, or answered late.

CREATE TABLE dsrd.figures_watch (
  organisation_id text PRIMARY KEY REFERENCES dsrd.organisation,
  counted_on date NOT NULL,
  extended_since timestamptz,
  late_since timestamptz
);
COMMENT ON TABLE dsrd.figures_watch IS 'What the figures of an organisation said when they were last counted for alerts: once a day, by one daemon.';
COMMENT ON COLUMN dsrd.figures_watch.extended_since IS 'Since when more requests are extended than the settings allow.';
COMMENT ON COLUMN dsrd.figures_watch.late_since IS 'Since when more requests are not answered within a month than the settings allow.';
GRANT SELECT, INSERT, UPDATE ON dsrd.figures_watch TO dsrd_service;

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue', 'came_back', 'flood',
             'sweep_missed', 'past_term', 'self_test_failed', 'often_extended', 'often_late')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term', 'self_test_failed',
                'often_extended', 'often_late'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
