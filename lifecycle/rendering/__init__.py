"""Text and bytes from finished values: no session, no settings, no clock, no arithmetic."""
