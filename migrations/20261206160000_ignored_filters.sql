-- S-7: a filter that the platform ignores is told to staff, also when it begins to be ignored while the daemon runs: whoever is looked for
-- by it needs every contact to be read.

ALTER TABLE dsrd.platform_watch
  ADD COLUMN ignored_filters text[] NOT NULL DEFAULT '{}',
  ADD COLUMN filter_ignored_at timestamptz,
  ADD CONSTRAINT ignored_since CHECK ((filter_ignored_at IS NULL) = (ignored_filters = '{}'));
COMMENT ON COLUMN dsrd.platform_watch.ignored_filters IS 'The filters that the platform ignores, by the latest probe or by what searches brought back since.';
COMMENT ON COLUMN dsrd.platform_watch.filter_ignored_at IS 'When the latest of them was found; empty while there is none.';

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue', 'came_back', 'flood',
             'sweep_missed', 'past_term', 'self_test_failed', 'often_extended', 'often_late', 'rows_parked',
             'rows_of_nobody', 'acknowledgement_due', 'acknowledgement_late', 'filter_ignored')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term', 'self_test_failed',
                'often_extended', 'often_late', 'rows_parked', 'rows_of_nobody', 'filter_ignored'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
