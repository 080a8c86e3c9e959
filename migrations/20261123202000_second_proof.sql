-- The hand-over page asks for a second proof beside its link (S-11): wrong answers are counted here, so that the limit
-- holds whichever daemon is asked and after every restart (S-2).

ALTER TABLE dsrd.package
  ADD COLUMN wrong_answers smallint NOT NULL DEFAULT 0 CHECK (wrong_answers BETWEEN 0 AND 5);
COMMENT ON COLUMN dsrd.package.wrong_answers IS 'Wrong answers given on the hand-over page; with the fifth the link is locked for good.';
