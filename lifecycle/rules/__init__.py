"""Pure decisions: values in, decisions out. The standard library only; no settings, no clock, no database."""
