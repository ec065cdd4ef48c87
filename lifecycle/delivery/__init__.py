"""Out of the process: mail servers and mail folders."""
