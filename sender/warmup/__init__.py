"""Warm-up: how many mails of a pool each mailbox provider gets in a day. `plan` reads first, and is pure."""
