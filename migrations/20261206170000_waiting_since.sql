-- When a request came to wait for a person: of two that wait for the same reason, or of one that waits again, an acknowledgement
-- from before was for another cause.

ALTER TABLE dsrd.request ADD COLUMN parked_at timestamptz;
COMMENT ON COLUMN dsrd.request.parked_at IS
  'When the latest step or answer left it to a person; it stays when the request goes on. Empty for what waited from its receipt on.';
