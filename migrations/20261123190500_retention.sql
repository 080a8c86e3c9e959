-- Sweeps by creation date: what was found is frozen here before anything is submitted for erasure.

CREATE TABLE dsrd.sweep (
  organisation_id text NOT NULL REFERENCES dsrd.organisation,
  sweep_id uuid NOT NULL,
  scheduled_for timestamptz,
  started_at timestamptz NOT NULL,
  created_before timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('listing', 'stopped', 'submitting', 'finished', 'failed')),
  reason text CHECK (reason ~ '^[a-z_]{1,40}$'),
  contacts bigint,
  candidates bigint NOT NULL DEFAULT 0,
  unreadable bigint NOT NULL DEFAULT 0,
  submitted bigint NOT NULL DEFAULT 0,
  finished_at timestamptz,
  PRIMARY KEY (organisation_id, sweep_id),
  UNIQUE (organisation_id, scheduled_for),
  CONSTRAINT stopped_for_a_reason CHECK (state NOT IN ('stopped', 'failed') OR reason IS NOT NULL)
);
COMMENT ON TABLE dsrd.sweep IS 'One run of the retention rule. It submits erasures and deletes nothing itself.';
COMMENT ON COLUMN dsrd.sweep.scheduled_for IS 'The due time that started it; empty when a person did.';
COMMENT ON COLUMN dsrd.sweep.contacts IS 'How many contacts the organisation had; the base of the percentage cap.';
COMMENT ON COLUMN dsrd.sweep.unreadable IS 'Contacts without a readable creation date: never candidates.';

CREATE TABLE dsrd.sweep_candidate (
  organisation_id text NOT NULL,
  sweep_id uuid NOT NULL,
  contact_id text NOT NULL,
  created_at timestamptz NOT NULL,
  request_id uuid,
  PRIMARY KEY (organisation_id, sweep_id, contact_id),
  FOREIGN KEY (organisation_id, sweep_id) REFERENCES dsrd.sweep
);
CREATE INDEX sweep_candidate_open ON dsrd.sweep_candidate (organisation_id, sweep_id) WHERE request_id IS NULL;
COMMENT ON TABLE dsrd.sweep_candidate IS 'The contacts that a sweep found past their time, and the erasure request made for each.';

CREATE TABLE dsrd.schedule (
  organisation_id text NOT NULL,
  name text NOT NULL CHECK (name ~ '^[a-z_]{1,40}$'),
  expression text NOT NULL,
  next_run_at timestamptz NOT NULL,
  last_run_at timestamptz,
  PRIMARY KEY (organisation_id, name)
);
COMMENT ON TABLE dsrd.schedule IS 'Due times, claimed like work, so that several daemons run each exactly once.';

GRANT SELECT, INSERT, UPDATE ON dsrd.sweep, dsrd.sweep_candidate, dsrd.schedule TO dsrd_service;
