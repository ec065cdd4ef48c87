"""The dated obligations of a subscription business. Runs without Prefect."""
