-- A restriction that is placed again after its end is told again, and so is its end: what recipients heard last is what stands
-- (Art. 18, 19 GDPR).

ALTER TABLE dsrd.recipient_task ADD COLUMN round smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN dsrd.recipient_task.round IS
  'For restrict and release: how many restrictions of this request the recipient had to hear the end of before. Otherwise 0.';

ALTER TABLE dsrd.recipient_task
  ADD CONSTRAINT recipient_task_once_a_round UNIQUE (organisation_id, request_id, recipient, action, round),
  DROP CONSTRAINT recipient_task_organisation_id_request_id_recipient_action_key,
  ADD CONSTRAINT restrictions_have_rounds CHECK (round = 0 OR action IN ('restrict', 'release')) NOT VALID;
ALTER TABLE dsrd.recipient_task VALIDATE CONSTRAINT restrictions_have_rounds;

COMMENT ON COLUMN dsrd.hold.recipients_noted_at IS
  'For the restriction of an objection, or one that is placed again after its request was answered: when the tasks of telling recipients were written (dsrd.recipient_task).';
