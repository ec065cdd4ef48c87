"""How it is started: the command line, one machine with everything, the sample business."""
