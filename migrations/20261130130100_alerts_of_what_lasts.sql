-- More that staff is told: who was erased or opted out is back (R-48, R-53), more came in than may begin at once (S-10), a
-- retention sweep did not begin or did not get through (R-62). Later than the alerts of breaches and holds, whose words it keeps.

ALTER TABLE dsrd.alert
  DROP CONSTRAINT alert_rule_check,
  ADD CONSTRAINT alert_rule_check CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down', 'incident_open', 'incident_overdue', 'hold_review', 'recipient_overdue', 'came_back', 'flood',
             'sweep_missed', 'past_term')) NOT VALID,
  DROP CONSTRAINT about_a_request,
  ADD CONSTRAINT about_a_request CHECK (
    (request_id IS NULL)
    = (rule IN ('platform_down', 'hold_review', 'came_back', 'flood', 'sweep_missed', 'past_term'))) NOT VALID;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT alert_rule_check;
ALTER TABLE dsrd.alert VALIDATE CONSTRAINT about_a_request;
