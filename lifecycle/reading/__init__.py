"""Bytes into values: what others wrote, read into values of the rules."""
