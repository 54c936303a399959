-- orgrecon repair of {day}: heals what observation {observation} found.
-- Nothing has been run. Read it, then: psql --set ON_ERROR_STOP=1 --file this.sql, as a role that may write the target.
--
-- It makes the target equal to the source, and never touches the source. Every statement decides by the source as it
-- is when it runs: what was healed or written since is left alone, and running it twice changes nothing.
-- While a batch runs, writers of these tables wait, so that no newer write is overtaken; a batch that does not get its
-- locks within {lock_timeout} or that would change more rows than the observation counted is rolled back, whole.
-- A second write that is still on its way comes on top of it: apply it while the dual write has no lag.
-- Afterwards run `orgrecon report`: that is the proof.
{notes}
