"""What can go wrong in a way that the user can mend.

Fault
├── SettingsInvalid     settings cannot be used as they stand
├── AlreadyUp           another Jetpost works with the same data directory
└── ChildFailed         a component did not come up
"""


class Fault(Exception):
    """Something that the user can mend; the message says how. Ends a command with exit code 2."""


class SettingsInvalid(Fault):
    """Some settings cannot be used; the message says which, where they were set and how to mend them."""


class AlreadyUp(Fault):
    """Another Jetpost works with the same data directory. Stop that one first, or set `data_dir` to another."""


class ChildFailed(Fault):
    """A component did not come up; the message has the end of its log."""
