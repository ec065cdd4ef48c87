"""When and in what order: one file per job; file, flow and deployment share one name."""
