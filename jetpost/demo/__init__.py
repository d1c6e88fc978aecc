"""The demo: a whole campaign through every part of the system, on embedded servers, to a mailbox simulator."""
