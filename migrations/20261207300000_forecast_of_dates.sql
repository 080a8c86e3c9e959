-- F-46: staff is told before a date is missed. When a forecast first said so is noted, so that an acknowledgement holds until it has
-- said otherwise.

ALTER TABLE dsrd.figures_watch ADD COLUMN forecast_late_since timestamptz;
COMMENT ON TABLE dsrd.figures_watch IS
  'What the figures of an organisation said when they were last counted for alerts, once a day by one daemon, and what is forecast.';
COMMENT ON COLUMN dsrd.figures_watch.counted_on IS 'The day of the latest count; -infinity before the first.';
COMMENT ON COLUMN dsrd.figures_watch.forecast_late_since IS
  'Since when, at the pace that the platform allows, due dates of requests that wait for it will be missed; empty while none will.';

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'log_hold_review', 'recipient_overdue',
             'came_back', 'flood', 'sweep_missed', 'past_term', 'self_test_failed', 'often_extended', 'often_late', 'rows_parked',
             'rows_of_nobody', 'acknowledgement_due', 'acknowledgement_late', 'filter_ignored', 'forecast_late')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'log_hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term',
                'self_test_failed', 'often_extended', 'often_late', 'rows_parked', 'rows_of_nobody', 'filter_ignored',
                'forecast_late'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
