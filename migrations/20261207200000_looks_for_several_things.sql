-- A step that looks for several things notes of each what it did not find.
COMMENT ON COLUMN dsrd.checkpoint.item IS
  'For a step with several effects, or that looks for several things: which one, for example the policy, or the events.';
COMMENT ON COLUMN dsrd.checkpoint.absent_since IS
  'Since when every look of the step found the contact, or this item of it, gone; empty again once one finds it.';
