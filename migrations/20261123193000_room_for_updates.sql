-- A case is written four or five times while it is carried out, and none of those writes changes an indexed column but
-- `state`. Room in each page lets the new version of a row stay beside the old one, without touching the indexes. The
-- same for notices and checkpoints. It holds for pages that are written from now on; nothing is rewritten.
ALTER TABLE dsrd.request SET (fillfactor = 70);
ALTER TABLE dsrd.notice SET (fillfactor = 70);
ALTER TABLE dsrd.checkpoint SET (fillfactor = 80);
