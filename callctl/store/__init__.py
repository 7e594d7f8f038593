"""The history: one SQLite file, written by one thread, read by anybody with `sqlite3`.

A **fact** is what happened, as the model's records say it. A **row** is what stands in a table. The
**spill** is a file beside the database for rows that it could not take. The way through:

- `tables`: the tables as SQL, with a comment on every column. `views`: what people ask for. `schema`: the
  steps that lead to them.
- `own_files`: where the files of the history lie, and who may read them. `connections`: the writer's and
  the readers' connections, the lock of the one server, errors in words.
- `journal`: takes facts and writes them in batches. Below it `rows` (facts become rows), `writer` (rows
  go to the database, in its thread) and `spill` (or to the file beside it).
- `event_types`: the catalogue of what other systems are told. `event_builder`: makes such events of facts.
  `event_log`: reads them back.
- `loading`: rows become records again, for a start after a stop or a crash.
- `metrics`: the field's formulas, each with its name. `reports`: the same figures from the raw rows.
- `timeline`: finds calls, and tells the story of one. `export` and `queue_log`: calls for other programs.
- `backup`: copies, and puts a copy back. `upkeep`: removes what is old, and looks for what is wrong.
- `roster`: agents and tiers changed by hand while no server runs.
"""
