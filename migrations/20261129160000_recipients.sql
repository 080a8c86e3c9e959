-- Those to whom the controller gave data are told when it was erased, corrected or restricted (Art. 19 GDPR, R-42). One row a
-- recipient and request, written in the transaction that proved the erasure; the request may close while a row is open.

CREATE TABLE dsrd.recipient_task (
  organisation_id text NOT NULL,
  task_id uuid NOT NULL,
  request_id uuid NOT NULL,
  recipient text NOT NULL CHECK (recipient ~ '^[a-z][a-z0-9-]{0,39}$'),
  action text NOT NULL CHECK (action IN ('erase', 'rectify', 'restrict')),
  categories text[] NOT NULL CHECK (cardinality(categories) > 0),
  channel text NOT NULL CHECK (channel IN ('mail', 'webhook', 'person')),
  sealed_object bytea,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'confirmed', 'impossible', 'disproportionate')),
  reason text CHECK (reason ~ '^[a-z_]{1,40}$'),
  answer_by date NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  last_code text CHECK (length(last_code) <= 60),
  intent uuid,
  created_at timestamptz NOT NULL,
  sent_at timestamptz,
  ended_at timestamptz,
  alerted_at timestamptz,
  PRIMARY KEY (organisation_id, task_id),
  UNIQUE (organisation_id, request_id, recipient, action),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request,
  CONSTRAINT ended_is_ended CHECK ((state IN ('confirmed', 'impossible', 'disproportionate')) = (ended_at IS NOT NULL)),
  CONSTRAINT given_up_for_a_reason CHECK ((state IN ('impossible', 'disproportionate')) = (reason IS NOT NULL)),
  CONSTRAINT sent_at_an_instant CHECK (state <> 'sent' OR sent_at IS NOT NULL)
);
CREATE INDEX recipient_task_due ON dsrd.recipient_task (run_at) WHERE state = 'queued' AND channel <> 'person';
CREATE INDEX recipient_task_open ON dsrd.recipient_task (organisation_id, answer_by) WHERE state IN ('queued', 'sent');
COMMENT ON TABLE dsrd.recipient_task IS 'What each recipient of a person''s data has to be told, and whether it answered.';
COMMENT ON COLUMN dsrd.recipient_task.recipient IS 'Short name of the recipient in the settings.';
COMMENT ON COLUMN dsrd.recipient_task.categories IS 'The sections of data that it holds, as in access reports.';
COMMENT ON COLUMN dsrd.recipient_task.channel IS 'How it is told; person: somebody does so by hand.';
COMMENT ON COLUMN dsrd.recipient_task.sealed_object IS 'The platform''s id of the contact, encrypted for its row; emptied with that of the case.';
COMMENT ON COLUMN dsrd.recipient_task.reason IS 'Why it was given up, from a closed list.';
COMMENT ON COLUMN dsrd.recipient_task.answer_by IS 'From the day after it the open row is an alert.';
COMMENT ON COLUMN dsrd.recipient_task.last_code IS 'What the recipient''s server last answered, or why there was no answer.';
COMMENT ON COLUMN dsrd.recipient_task.intent IS 'The audit entry that announced the latest sending, while its end is not recorded.';
COMMENT ON COLUMN dsrd.recipient_task.alerted_at IS 'When the log first said that it is overdue.';

GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.recipient_task TO dsrd_service;
