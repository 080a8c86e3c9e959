-- A deletion is proven by two looks that find the contact gone, some time apart (F-39): the first one is remembered here. A
-- program that does not know the column goes on with one look.

ALTER TABLE dsrd.checkpoint ADD COLUMN absent_since timestamptz;
COMMENT ON COLUMN dsrd.checkpoint.absent_since IS 'For the read-back of a deletion: since when every look found the contact gone; empty again once one finds it.';
