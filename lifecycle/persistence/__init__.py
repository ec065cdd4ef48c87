"""Rows: the only place that knows SQL. Functions take a session and leave committing to their caller."""
