-- Recipients are told of corrections, of restrictions and of their end (Art. 16, 18, 19 GDPR), and auditors see what they were
-- told and whether they answered.

ALTER TABLE dsrd.recipient_task
  DROP CONSTRAINT recipient_task_action_check,
  ADD CONSTRAINT recipient_task_action_check CHECK (action IN ('erase', 'rectify', 'restrict', 'release')) NOT VALID,
  ADD COLUMN template text,
  ADD COLUMN text_sha256 bytea CHECK (length(text_sha256) = 32);
ALTER TABLE dsrd.recipient_task VALIDATE CONSTRAINT recipient_task_action_check;
COMMENT ON COLUMN dsrd.recipient_task.action IS 'What the recipient is asked to do: erase, rectify, restrict, or release: a restriction has ended.';
COMMENT ON COLUMN dsrd.recipient_task.template IS 'For a mail: name, language and version of its text.';
COMMENT ON COLUMN dsrd.recipient_task.text_sha256 IS 'For a mail: SHA-256 of its text without the object.';

CREATE VIEW audit_view.recipient_task AS
  SELECT organisation_id, request_id AS case_id, task_id, recipient, action, categories, channel, state, reason, answer_by,
         attempts, last_code, template, encode(text_sha256, 'hex') AS text_sha256, created_at, sent_at, ended_at, alerted_at
  FROM dsrd.recipient_task;
COMMENT ON VIEW audit_view.recipient_task IS 'Every recipient of a person''s data with what it had to be told (Art. 19 GDPR); join with log on case_id.';
COMMENT ON COLUMN audit_view.recipient_task.organisation_id IS 'Short name of the organisation.';
COMMENT ON COLUMN audit_view.recipient_task.case_id IS 'Id of the request, as in the log.';
COMMENT ON COLUMN audit_view.recipient_task.task_id IS 'Id of the task, which the recipient got, too.';
COMMENT ON COLUMN audit_view.recipient_task.recipient IS 'Short name of the recipient in the settings.';
COMMENT ON COLUMN audit_view.recipient_task.action IS 'What it is asked to do: erase, rectify, restrict, release.';
COMMENT ON COLUMN audit_view.recipient_task.categories IS 'The sections of data that it holds.';
COMMENT ON COLUMN audit_view.recipient_task.channel IS 'How it is told: mail, webhook, or person: by hand.';
COMMENT ON COLUMN audit_view.recipient_task.state IS 'queued, sent, confirmed, impossible or disproportionate.';
COMMENT ON COLUMN audit_view.recipient_task.reason IS 'Why it was given up, from a closed list.';
COMMENT ON COLUMN audit_view.recipient_task.answer_by IS 'From the day after it the open task is an alert to staff.';
COMMENT ON COLUMN audit_view.recipient_task.attempts IS 'How often it was sent or tried.';
COMMENT ON COLUMN audit_view.recipient_task.last_code IS 'What the recipient''s server last answered, or why there was no answer.';
COMMENT ON COLUMN audit_view.recipient_task.template IS 'For a mail: name, language and version of its text.';
COMMENT ON COLUMN audit_view.recipient_task.text_sha256 IS 'For a mail: SHA-256 of its text without the object.';
COMMENT ON COLUMN audit_view.recipient_task.created_at IS 'When it was written: in the transaction of the proof, or of the record, of what was done.';
COMMENT ON COLUMN audit_view.recipient_task.sent_at IS 'When the recipient''s server took it.';
COMMENT ON COLUMN audit_view.recipient_task.ended_at IS 'When it was confirmed or given up.';
COMMENT ON COLUMN audit_view.recipient_task.alerted_at IS 'When the log first said that it is overdue.';
GRANT SELECT ON audit_view.recipient_task TO auditor, dsrd_service;
