"""Jobs: films that origins make while nobody waits. The queue is a table, the uploads and films are in a store."""
