-- Alerts and digests to the staff of the controllers (N-19). No personal data: requests are named by their reference.

CREATE TABLE dsrd.alert (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  alert_id uuid NOT NULL,
  rule text NOT NULL CHECK (
    rule IN ('due_soon', 'overdue', 'statutory_breach', 'target_missed', 'notice_bounced', 'verification_failed',
             'platform_down')),
  step smallint NOT NULL,
  request_id uuid,
  raised_on date NOT NULL,
  raised_at timestamptz NOT NULL,
  acknowledged_at timestamptz,
  acknowledged_by text CHECK (acknowledged_by ~ '^person:[A-Za-z0-9_.-]{1,63}$'),
  PRIMARY KEY (organisation_id, alert_id),
  FOREIGN KEY (organisation_id, request_id) REFERENCES dsrd.request ON DELETE CASCADE,
  CONSTRAINT alert_once_a_day UNIQUE NULLS NOT DISTINCT (organisation_id, request_id, rule, step, raised_on),
  CONSTRAINT acknowledged_by_somebody CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
  CONSTRAINT only_platforms_have_no_request CHECK ((request_id IS NULL) = (rule = 'platform_down')),
  CONSTRAINT only_due_days_are_steps CHECK (step = 0 OR (step > 0 AND rule = 'due_soon'))
);
CREATE INDEX alert_raised ON dsrd.alert (organisation_id, raised_on);
COMMENT ON TABLE dsrd.alert IS 'Why somebody of the staff has to look, one row a cause and day, until somebody acknowledges it. It goes with its case.';
COMMENT ON COLUMN dsrd.alert.rule IS 'The cause (src/domain/alert.rs).';
COMMENT ON COLUMN dsrd.alert.step IS 'For due_soon: how many days before the due date the alert begins. Otherwise 0.';
COMMENT ON COLUMN dsrd.alert.raised_on IS 'The day in the controller''s time zone.';
COMMENT ON COLUMN dsrd.alert.acknowledged_by IS 'Who acknowledged it: person:<login>. The cause is not repeated after that.';

CREATE TABLE dsrd.staff_mail (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  mail_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('alerts', 'digest')),
  role text NOT NULL CHECK (role IN ('dpo', 'deputy', 'operator')),
  raised_on date NOT NULL,
  message_id text NOT NULL UNIQUE,
  subject text NOT NULL,
  body text NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'sent', 'refused', 'skipped')),
  attempts integer NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  last_code text,
  intent uuid,
  enqueued_at timestamptz NOT NULL,
  sent_at timestamptz,
  PRIMARY KEY (organisation_id, mail_id),
  CONSTRAINT staff_mail_sent_at_an_instant CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE UNIQUE INDEX staff_mail_one_digest ON dsrd.staff_mail (organisation_id, role, raised_on) WHERE kind = 'digest';
CREATE INDEX staff_mail_pending ON dsrd.staff_mail (run_at) WHERE state = 'pending';
COMMENT ON TABLE dsrd.staff_mail IS 'Outbox of mails to staff. The address stands in the settings; subject and body name requests by reference only.';
COMMENT ON COLUMN dsrd.staff_mail.raised_on IS 'The day in the controller''s time zone; there is one digest a day.';
COMMENT ON COLUMN dsrd.staff_mail.state IS 'skipped: a digest with nothing to tell.';
COMMENT ON COLUMN dsrd.staff_mail.intent IS 'The audit entry that announced the latest attempt, while its end is not recorded.';
COMMENT ON COLUMN dsrd.staff_mail.run_at IS 'Not before this instant, by the database''s clock; moved on while somebody is sending it.';

CREATE TABLE dsrd.platform_watch (
  organisation_id text PRIMARY KEY REFERENCES dsrd.organisation,
  looked_at timestamptz NOT NULL,
  down_since timestamptz
);
COMMENT ON TABLE dsrd.platform_watch IS 'Whether the platform of an organisation answers; any daemon that reaches it ends an outage.';

GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.alert, dsrd.staff_mail, dsrd.platform_watch TO dsrd_service;
