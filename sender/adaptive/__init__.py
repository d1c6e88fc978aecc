"""Lanes that slow down: what a provider's replies mean for how fast its mails may go. `slowing` decides, and is pure."""
