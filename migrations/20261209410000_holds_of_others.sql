-- Whoever decides that holds which concern a contact by a telephone number alone are about somebody else decides about those that they
-- were shown, and not about one that was placed since. A decision of before named none: the erasure asks again, if it is still open.

ALTER TABLE dsrd.request
  ADD COLUMN unclear_holds text[] NOT NULL DEFAULT '{}',
  ADD COLUMN holds_of_others text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN dsrd.request.unclear_holds IS
  'For an erasure parked as hold_unclear: the references of the holds that concern its contact by a telephone number alone, and wait for a decision.';
COMMENT ON COLUMN dsrd.request.holds_of_others IS
  'The references of those holds of which a person decided that they are about somebody else.';
COMMENT ON COLUMN dsrd.request.held_is_another_at IS
  'When a person decided, with an earlier program, that holds are about somebody else; which, nobody wrote down. Not read any more.';
COMMENT ON COLUMN dsrd.request.waits_for IS
  'For an erasure parked as waits_for_access: the reference of the access request. For one parked as newer_will because the data was restricted: that of the restriction. For one parked as hold_unclear: those of the holds that may be about somebody else, with a space between them.';
