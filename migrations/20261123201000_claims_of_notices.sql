-- A claim of a notice names the process that holds it, so that it ends with the process and not only with its time.
ALTER TABLE dsrd.notice ADD COLUMN claimed_by bigint;
CREATE INDEX notice_claimed ON dsrd.notice (claimed_by) WHERE state = 'pending' AND claimed_by IS NOT NULL;
COMMENT ON COLUMN dsrd.notice.claimed_by IS 'The instance that took the notice for sending in the background; its claim is taken back when it is declared dead, at the latest at run_at.';
COMMENT ON TABLE dsrd.instance IS 'One row a start of a process part that claims work: a worker (jobs) or a pump (notices); ids are never used again. Heartbeats by the database''s clock.';
