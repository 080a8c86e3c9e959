-- What follows from a withdrawal of consent may not be possible to hand in, because its contact cannot be read: that holds up no
-- other, is tried again later each time, and goes to a person in the end. And an absence is remembered wherever it decides.

ALTER TABLE dsrd.follow_up
  ADD COLUMN tries smallint NOT NULL DEFAULT 0 CHECK (tries >= 0),
  ADD COLUMN again_at timestamptz,
  ADD COLUMN last_code text;
COMMENT ON COLUMN dsrd.follow_up.tries IS 'How often it could not be handed in although it was due.';
COMMENT ON COLUMN dsrd.follow_up.again_at IS 'When it is tried again; empty before the first failure.';
COMMENT ON COLUMN dsrd.follow_up.last_code IS 'Why it could not be handed in at the latest try that failed.';
GRANT UPDATE (tries, again_at, last_code) ON dsrd.follow_up TO dsrd_service;

COMMENT ON COLUMN dsrd.checkpoint.absent_since IS 'Since when every look of the step found the contact gone; empty again once one finds it.';
