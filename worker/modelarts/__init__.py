"""The contract with the cloud: URLs, credentials, bodies, answers, and what each answer means."""
