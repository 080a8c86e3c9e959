-- The rest of an erasure that a hold had postponed may not be possible to hand in: that holds up no other, and is tried again later
-- each time.

ALTER TABLE dsrd.postponed_erasure
  ADD COLUMN tries smallint NOT NULL DEFAULT 0 CHECK (tries >= 0),
  ADD COLUMN again_at timestamptz,
  ADD COLUMN last_code text;
COMMENT ON COLUMN dsrd.postponed_erasure.tries IS 'How often the rest could not be handed in although no hold stood any more.';
COMMENT ON COLUMN dsrd.postponed_erasure.again_at IS 'When it is tried again; empty before the first failure.';
COMMENT ON COLUMN dsrd.postponed_erasure.last_code IS 'Why it could not be handed in at the latest try that failed.';
GRANT UPDATE (tries, again_at, last_code) ON dsrd.postponed_erasure TO dsrd_service;
