"""One transaction over one portion of rows, or one delivery: the only place that composes rules and shells."""
