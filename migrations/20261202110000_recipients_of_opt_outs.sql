-- Recipients are told of opt-outs: always of those of California (11 CCR 7026(f), R-56), of others where the register asks for it.

ALTER TABLE dsrd.recipient_task
  DROP CONSTRAINT recipient_task_action_check,
  ADD CONSTRAINT recipient_task_action_check
    CHECK (action IN ('erase', 'rectify', 'restrict', 'release', 'opt_out', 'ccpa_opt_out')) NOT VALID;
ALTER TABLE dsrd.recipient_task VALIDATE CONSTRAINT recipient_task_action_check;
COMMENT ON COLUMN dsrd.recipient_task.action IS 'What the recipient is asked to do: erase, rectify, restrict; release: a restriction has ended; opt_out: use for marketing no more; ccpa_opt_out: neither sell nor share any more.';
COMMENT ON COLUMN audit_view.recipient_task.action IS 'What it is asked to do: erase, rectify, restrict, release, opt_out, ccpa_opt_out.';
