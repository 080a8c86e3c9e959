-- Each announcement in the audit log has one end. An effect whose end was recorded as unknown is still looked for before
-- it is repeated, so that its announcement stays here; this column says that its end is written.
ALTER TABLE dsrd.checkpoint ADD COLUMN ended_intent uuid;
COMMENT ON COLUMN dsrd.checkpoint.ended_intent IS 'The announcement whose end stands in the audit log, as unknown; no second end is written for it.';

-- Progress gives attempts back.
COMMENT ON COLUMN dsrd.job.attempt IS 'Attempts since the last step that was finished. Counted when the job is handed out, so that a job that kills its worker counts too.';
COMMENT ON COLUMN dsrd.job.crash_count IS 'How often a worker died with it since the last step that was finished.';
