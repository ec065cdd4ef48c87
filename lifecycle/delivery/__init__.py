"""Out of the process: mail servers, mail folders, the provisioning system."""
