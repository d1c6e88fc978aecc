"""Real mail servers for the conformance tests, each with a queue and a mailbox of its own in a temporary folder."""
