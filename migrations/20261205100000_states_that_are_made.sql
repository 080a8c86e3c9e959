-- Nobody is asked who they are while their request waits for a person: a person who finds out records that, and one who lets it go
-- on sends it back to the machine, which asks where something is missing. A mirror of src/domain/lifecycle.rs.

DELETE FROM dsrd.case_transition WHERE from_state = 'manual' AND to_state = 'needs_identity';
