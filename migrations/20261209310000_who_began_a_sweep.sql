-- Who began a sweep was told by its due time, which one that was interrupted hands on, and which the one that goes by a clock that was
-- ahead has taken. And what a person confirmed holds for the sweep itself, also where another process takes it up.

ALTER TABLE dsrd.sweep
  ADD COLUMN begun_by text CHECK (begun_by IN ('schedule', 'person')),
  ADD COLUMN confirmed bigint;
COMMENT ON COLUMN dsrd.sweep.begun_by IS 'Who began it; empty in rows of earlier programs, of which scheduled_for tells.';
COMMENT ON COLUMN dsrd.sweep.confirmed IS 'How many candidates a person confirmed: with another number nothing is submitted. Empty where nobody did.';
COMMENT ON COLUMN dsrd.sweep.scheduled_for IS 'The due time that it was run for; empty when a person began it, and where another sweep has it.';
