-- A look that finds another contact than the one that was erased says which, so that each is one task, and so that the looks at the
-- erased one go on whatever becomes of the other.

ALTER TABLE dsrd.look
  ADD COLUMN other_hash bytea,
  ADD CONSTRAINT only_others_are_others CHECK (
    other_hash IS NULL OR (verdict IS NOT DISTINCT FROM 'other_contact' AND length(other_hash) = 32)) NOT VALID;
ALTER TABLE dsrd.look VALIDATE CONSTRAINT only_others_are_others;
COMMENT ON COLUMN dsrd.look.other_hash IS 'With other_contact: the platform''s id of that contact, as a keyed hash of the suppression list: one task for each.';
