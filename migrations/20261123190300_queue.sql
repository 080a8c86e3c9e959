-- The queue: live work only, narrow rows, no personal data.

CREATE TABLE dsrd.instance (
  instance_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  dead_at timestamptz,
  version text NOT NULL
);
COMMENT ON TABLE dsrd.instance IS 'One row a start of a worker process; ids are never used again. Heartbeats by the database''s clock.';

CREATE TABLE dsrd.job (
  job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  lane text NOT NULL CHECK (lane IN ('request', 'sweep')),
  due_at timestamptz NOT NULL,
  state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'parked')),
  run_at timestamptz NOT NULL DEFAULT now(),
  attempt integer NOT NULL DEFAULT 0,
  crash_count integer NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  owner bigint,
  last_code text CHECK (last_code ~ '^[a-z_]{1,40}$'),
  CONSTRAINT leased_by_somebody CHECK ((state = 'leased') = (owner IS NOT NULL)),
  UNIQUE (organisation_id, request_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX job_ready ON dsrd.job (lane, due_at, job_id) WHERE state = 'ready';
CREATE INDEX job_leased ON dsrd.job (owner) WHERE state = 'leased';
COMMENT ON TABLE dsrd.job IS 'Work that is not finished; a finished job''s row moves to dsrd.job_done.';
COMMENT ON COLUMN dsrd.job.lane IS 'request: for a person who asked; sweep: for a retention rule. Each lane has worker slots of its own.';
COMMENT ON COLUMN dsrd.job.due_at IS 'End of the due day; the earliest is handed out first.';
COMMENT ON COLUMN dsrd.job.run_at IS 'Not before this instant, by the database''s clock.';
COMMENT ON COLUMN dsrd.job.attempt IS 'Counted when the job is handed out, so that a job that kills its worker counts too.';
COMMENT ON COLUMN dsrd.job.crash_count IS 'How often a worker died with it.';
COMMENT ON COLUMN dsrd.job.fence IS 'Lease token: raised at each hand-out; every write of a worker must match it.';
COMMENT ON COLUMN dsrd.job.last_code IS 'Why it was put back or parked.';

CREATE TABLE dsrd.job_done (
  job_id bigint PRIMARY KEY,
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  lane text NOT NULL,
  attempt integer NOT NULL,
  crash_count integer NOT NULL,
  done_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dsrd.job_done IS 'History of finished jobs.';

CREATE TABLE dsrd.rate_budget (
  organisation_id text PRIMARY KEY,
  theoretical_arrival_at timestamptz NOT NULL DEFAULT '-infinity',
  blocked_until timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE dsrd.rate_budget IS 'Calls to the platform, shared by all daemons of a key: the generic cell rate algorithm in one row.';

CREATE TABLE dsrd.checkpoint (
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  step text NOT NULL,
  item text NOT NULL DEFAULT '',
  attempts integer NOT NULL DEFAULT 1,
  intent uuid,
  began_at timestamptz NOT NULL,
  finished_at timestamptz,
  outcome jsonb,
  PRIMARY KEY (organisation_id, request_id, step, item),
  CONSTRAINT finished_with_an_outcome CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
COMMENT ON TABLE dsrd.checkpoint IS 'What each step of a request found or did. A finished row never changes.';
COMMENT ON COLUMN dsrd.checkpoint.item IS 'For a step with several effects: which one, for example the policy.';
COMMENT ON COLUMN dsrd.checkpoint.intent IS 'For an outside effect: the audit entry that announced its latest attempt.';

CREATE FUNCTION dsrd.keep_finished_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a finished checkpoint never changes' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER checkpoint_finished_stays BEFORE UPDATE ON dsrd.checkpoint
  FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION dsrd.keep_finished_checkpoint();

CREATE TABLE dsrd.stray_effect (
  stray_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id text NOT NULL,
  request_id uuid NOT NULL,
  step text NOT NULL,
  item text NOT NULL,
  fence bigint NOT NULL,
  outcome jsonb NOT NULL,
  at timestamptz NOT NULL
);
COMMENT ON TABLE dsrd.stray_effect IS 'Answers to outside effects that arrived after the lease was lost: recorded, never acted upon.';

GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.job TO dsrd_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON dsrd.instance TO dsrd_service;
GRANT SELECT, INSERT, UPDATE ON dsrd.rate_budget, dsrd.checkpoint TO dsrd_service;
GRANT SELECT, INSERT ON dsrd.job_done, dsrd.stray_effect TO dsrd_service;
