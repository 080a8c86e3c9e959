-- A retention period may run from the last activity instead of the creation (R-60): the sweep then reads the records of
-- everybody old enough, in a state of its own, and keeps of those who were active only their number.

ALTER TABLE dsrd.sweep
  ADD COLUMN activity jsonb,
  ADD COLUMN active bigint NOT NULL DEFAULT 0,
  ADD COLUMN unclear bigint NOT NULL DEFAULT 0,
  DROP CONSTRAINT sweep_state_check,
  ADD CONSTRAINT sweep_state_check
    CHECK (state IN ('listing', 'reading', 'stopped', 'submitting', 'finished', 'failed'));
COMMENT ON COLUMN dsrd.sweep.activity IS 'What counted as activity, for a period from the last one; empty for one from the creation.';
COMMENT ON COLUMN dsrd.sweep.active IS 'Contacts old enough that were active since.';
COMMENT ON COLUMN dsrd.sweep.unclear IS 'Contacts old enough whose last activity cannot be known: never candidates, to be looked at by a person.';

ALTER TABLE dsrd.sweep_candidate
  ADD COLUMN read_at timestamptz,
  DROP CONSTRAINT sweep_candidate_skipped_check,
  ADD CONSTRAINT sweep_candidate_skipped_check
    CHECK (skipped IN ('hold', 'restriction', 'open_access_request', 'unclear_activity'));
COMMENT ON COLUMN dsrd.sweep_candidate.read_at IS 'When its last activity was read; empty where the period runs from the creation.';
